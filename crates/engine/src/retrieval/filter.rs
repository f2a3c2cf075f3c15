//! Which items a request allows, and which rule refuses the others.
//!
//! - Every rule acts before anything is chosen: retrieval asks for each item, so that
//!   a list is as long as the catalogue allows.
//! - [`Filter`] is what the request says, and the same for everybody at any time;
//!   [`Eligibility`] is that filter for a person at a moment.

use crate::domain::Attributes;
use crate::domain::Item;
use crate::domain::Timestamp;
use crate::expression::Expression;
use crate::expression::Subject;
use crate::features::UserContext;
use crate::retrieval::wanted::Wanted;
use crate::state::Entry;
use crate::state::View;
use crate::state::interner::name_key;

/// Which candidates a request allows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these topics; empty: all.
    pub topics: Vec<Box<str>>,
    /// Any of these sources; empty: all.
    pub sources: Vec<Box<str>>,
    /// Every one of these attributes.
    pub attributes: Attributes,
    pub published_after: Option<Timestamp>,
    /// Ids left out, sorted.
    pub exclude: Vec<Box<str>>,
    pub expression: Option<Expression>,
    /// Whether items the person already had are allowed.
    pub include_seen: bool,
    /// Hours for which an item stays away after an interaction; 0: no such rule.
    pub seen_cooldown_hours: f32,
    /// Interactions from which on an item stays away; 0: no such rule.
    pub seen_after_interactions: u32,
    /// Showings in 24 hours from which on an item stays away; 0: no such rule.
    pub frequency_cap_per_day: u32,
}

/// The rule that keeps an item out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not described in the catalogue.
    NotInCatalogue,
    Topics,
    Sources,
    Attributes,
    PublishedAfter,
    Excluded,
    Expression,
    /// The person had it.
    Seen,
    /// The person had it a short while ago.
    SeenCooldown,
    /// The person had it often enough.
    SeenAfterInteractions,
    /// The person was shown it often enough today.
    FrequencyCap,
}

impl Refusal {
    /// All rules of a filter, those about the item first.
    pub const RULES: [Self; 10] = [
        Self::Topics,
        Self::Sources,
        Self::PublishedAfter,
        Self::Excluded,
        Self::Attributes,
        Self::Expression,
        Self::Seen,
        Self::SeenCooldown,
        Self::SeenAfterInteractions,
        Self::FrequencyCap,
    ];
}

impl Filter {
    /// Whether who passes depends on nothing but the item, the person's history and
    /// the model: not on the time nor on what was shown.
    pub fn is_timeless(&self) -> bool {
        self.seen_cooldown_hours == 0.0
            && self.frequency_cap_per_day == 0
            && !self.expression.as_ref().is_some_and(Expression::depends_on_time)
    }

    /// Whether a rule about the item itself is broken; rules about the person's
    /// history are not. `wanted`: its values, prepared.
    fn refuses(&self, wanted: &Wanted<'_>, rule: Refusal, item: &Item, now: Timestamp) -> bool {
        match rule {
            Refusal::Topics => !wanted.topics_fit(item),
            Refusal::Sources => !wanted.source_fits(item),
            Refusal::PublishedAfter => {
                let late = |after| item.published_at.is_some_and(|published| published > after);
                !self.published_after.is_none_or(late)
            }
            Refusal::Excluded => {
                self.exclude.binary_search_by(|id| (**id).cmp(item.item_id.as_str())).is_ok()
            }
            Refusal::Attributes => !wanted.attributes_fit(item),
            Refusal::Expression => {
                let holds = |expression: &Expression| expression.holds(Subject { item, now });
                !self.expression.as_ref().is_none_or(holds)
            }
            Refusal::NotInCatalogue
            | Refusal::Seen
            | Refusal::SeenCooldown
            | Refusal::SeenAfterInteractions
            | Refusal::FrequencyCap => false,
        }
    }
}

/// A filter for a person at a moment.
#[derive(Debug, Clone)]
pub struct Eligibility<'a> {
    filter: &'a Filter,
    wanted: Wanted<'a>,
    context: &'a UserContext,
    now: Timestamp,
    /// Keys of items shown as often as is allowed, sorted.
    worn_out: Vec<u64>,
}

impl<'a> Eligibility<'a> {
    /// `shown`: ids of items shown to the user that the view has not learnt of yet, once for
    /// each showing.
    pub fn new(
        view: &View,
        filter: &'a Filter,
        user_id: &str,
        context: &'a UserContext,
        now: Timestamp,
        shown: &[Box<str>],
    ) -> Self {
        let cap = filter.frequency_cap_per_day as usize;
        let mut worn_out = Vec::new();
        if cap > 0 {
            worn_out = view.shown_in_a_day(user_id, now);
            worn_out.extend(shown.iter().map(|id| name_key(id)));
            worn_out.sort_unstable();
            let often = worn_out.chunk_by(|a, b| a == b).filter(|showings| showings.len() >= cap);
            worn_out = often.map(|showings| showings[0]).collect();
        }
        Self { filter, wanted: Wanted::new(filter), context, now, worn_out }
    }

    /// Whether an item may be shown: no rule refuses it.
    pub fn allows(&self, entry: &Entry, index: Option<u32>) -> bool {
        let Some(item) = &entry.item else {
            return false;
        };
        !Refusal::RULES.iter().any(|&rule| self.refuses(rule, item, index))
    }

    /// Whether an item may be pinned: by the rules about the item itself. What the
    /// person had or was shown is no reason against what the caller wants there.
    pub fn allows_pinned(&self, entry: &Entry) -> bool {
        let Some(item) = &entry.item else {
            return false;
        };
        !Refusal::RULES.iter().any(|&rule| self.refuses_item(rule, item))
    }

    /// Every rule that keeps an item out; none when it may be shown.
    pub fn refusals(&self, entry: &Entry, index: Option<u32>) -> Vec<Refusal> {
        let Some(item) = &entry.item else {
            return vec![Refusal::NotInCatalogue];
        };
        let rules = Refusal::RULES.into_iter();
        rules.filter(|&rule| self.refuses(rule, item, index)).collect()
    }

    fn refuses(&self, rule: Refusal, item: &Item, index: Option<u32>) -> bool {
        self.refuses_item(rule, item)
            || index.is_some_and(|index| self.refuses_again(rule, index))
            || rule == Refusal::FrequencyCap && self.is_worn_out(item)
    }

    fn refuses_item(&self, rule: Refusal, item: &Item) -> bool {
        self.filter.refuses(&self.wanted, rule, item, self.now)
    }

    fn is_worn_out(&self, item: &Item) -> bool {
        let key = || name_key(item.item_id.as_str());
        !self.worn_out.is_empty() && self.worn_out.binary_search(&key()).is_ok()
    }

    /// Whether a rule about what the person had is broken.
    fn refuses_again(&self, rule: Refusal, index: u32) -> bool {
        let filter = self.filter;
        let seen = || self.context.seen(index);
        match rule {
            Refusal::Seen => !filter.include_seen && seen().is_some(),
            Refusal::SeenCooldown => {
                let hours = f64::from(filter.seen_cooldown_hours);
                let recent = |(_, last)| self.now.hours_since(last) < hours;
                hours > 0.0 && seen().is_some_and(recent)
            }
            Refusal::SeenAfterInteractions => {
                let most = filter.seen_after_interactions;
                most > 0 && seen().is_some_and(|(times, _)| u32::from(times) >= most)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
