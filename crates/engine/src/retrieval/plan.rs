//! Which items may pass, told by sets of items.
//!
//! - A plan is a tree of unions, intersections and complements of sets. It has the shape of the
//!   filter; what sets do not tell is [`Plan::Unknown`]: titles, the order of texts, and one
//!   field against another.
//! - Two masks come from it: items that may pass, and items that pass for certain. A complement
//!   takes one from the other. So a plan may accept more items than the filter, never fewer, and
//!   every found item is checked with the filter itself.
//! - Checkpoints ([`GiveUp`]) are before each set: once the caller gave up the masks mean nothing.

use crate::give_up::GiveUp;
use crate::retrieval::mask::Mask;
use crate::state::View;
use crate::state::postings::Label;
use crate::state::postings::LabelKey;
use crate::state::postings::NumberRange;

/// Times of publication are rounded by this much at most.
const ROUNDING_MS: i64 = 1_000;

/// Which items may pass a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Sets do not tell.
    Unknown,
    /// All of these; of none: every item.
    All(Vec<Plan>),
    /// Any of these; of none: no item.
    Any(Vec<Plan>),
    Not(Box<Plan>),
    Id(Box<str>),
    Label(LabelKey),
    Number(NumberRange),
    /// Published between two moments in milliseconds, up to rounding.
    Published(i64, i64),
}

/// Which side of the truth a mask is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Every item that passes is in it.
    Upper,
    /// Every item in it passes.
    Lower,
}

impl Plan {
    pub const EVERY: Self = Self::All(Vec::new());
    pub const NONE: Self = Self::Any(Vec::new());

    pub fn any<T>(values: &[T], plan: impl Fn(&T) -> Self) -> Self {
        Self::Any(values.iter().map(plan).collect())
    }

    pub fn label(label: Label<'_>) -> Self {
        Self::Label(label.key())
    }

    /// An attribute that is this text or a list with it.
    pub fn text(name: &str, text: &str) -> Self {
        Self::Any(vec![
            Self::label(Label::Text(name, text)),
            Self::label(Label::Member(name, text)),
        ])
    }

    /// An attribute that is this number.
    pub fn number(name: &str, number: f64) -> Self {
        Self::Number(NumberRange::of(name).from(number, true).to(number, true))
    }

    /// The items that may pass.
    pub fn items(&self, view: &View, give_up: &GiveUp<'_>) -> Mask {
        self.mask(view, Bound::Upper, give_up)
    }

    /// Whether every condition is answered by sets.
    pub fn tells_all(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::tells_all),
            Self::Not(inner) => inner.tells_all(),
            Self::Id(_) | Self::Label(_) | Self::Number(_) | Self::Published(..) => true,
        }
    }

    /// Whether the bound is better than the trivial one: every item, or none.
    pub fn tells(&self, bound: Bound) -> bool {
        match (self, bound) {
            (Self::Unknown, _) => false,
            (Self::All(parts), Bound::Upper) | (Self::Any(parts), Bound::Lower) => {
                parts.is_empty() || parts.iter().any(|part| part.tells(bound))
            }
            (Self::All(parts), Bound::Lower) | (Self::Any(parts), Bound::Upper) => {
                parts.iter().all(|part| part.tells(bound))
            }
            (Self::Not(inner), _) => inner.tells(bound.other()),
            (Self::Id(_) | Self::Label(_) | Self::Number(_) | Self::Published(..), _) => true,
        }
    }

    fn mask(&self, view: &View, bound: Bound, give_up: &GiveUp<'_>) -> Mask {
        let catalogue = || Mask::new(view.postings.catalogue().to_vec());
        let empty = || Mask::empty(view.postings.catalogue().len());
        match self {
            Self::Unknown if bound == Bound::Upper => catalogue(),
            Self::Unknown => empty(),
            Self::All(parts) => {
                let mut parts =
                    parts.iter().filter(|part| part.tells(bound) || bound == Bound::Lower);
                let first = parts.next().map(|part| part.mask(view, bound, give_up));
                parts.fold(first.unwrap_or_else(catalogue), |mut mask, part| {
                    mask.keep(&part.mask(view, bound, give_up));
                    mask
                })
            }
            Self::Not(inner) => {
                let mut mask = catalogue();
                mask.remove(&inner.mask(view, bound.other(), give_up));
                mask
            }
            _ => {
                let mut mask = empty();
                self.add_to(&mut mask, view, bound, give_up);
                mask
            }
        }
    }

    /// Adds the items of a union or of one set.
    fn add_to(&self, mask: &mut Mask, view: &View, bound: Bound, give_up: &GiveUp<'_>) {
        if give_up.check().is_err() {
            return;
        }
        let postings = &view.postings;
        match self {
            Self::Any(parts) => {
                parts.iter().for_each(|part| part.add_to(mask, view, bound, give_up))
            }
            Self::Unknown | Self::All(_) | Self::Not(_) => {
                mask.join(&self.mask(view, bound, give_up))
            }
            Self::Id(id) => {
                let item = view.item_index(id).filter(|&item| view.entry(item).item.is_some());
                item.into_iter().for_each(|item| mask.add(item));
            }
            Self::Label(label) => {
                postings.of_label(*label).for_each(|item| mask.add(item));
                if bound == Bound::Upper {
                    postings.unlisted(*label).for_each(|item| mask.add(item));
                }
            }
            Self::Number(range) => postings.of_numbers(*range).for_each(|item| mask.add(item)),
            Self::Published(from, to) => {
                let wider = if bound == Bound::Upper { ROUNDING_MS } else { -ROUNDING_MS };
                let (from, to) = (from.saturating_sub(wider), to.saturating_add(wider));
                postings.published_within(from, to).for_each(|item| mask.add(item));
            }
        }
    }
}

impl Bound {
    fn other(self) -> Self {
        match self {
            Self::Upper => Self::Lower,
            Self::Lower => Self::Upper,
        }
    }
}
