//! Lists of several pages: each page is a decision that names the one before.
//!
//! - A page is known as long as its decision may still be rewarded. A list whose first pages are
//!   forgotten cannot be continued: it could show again what they showed.
//! - Items and users are named by keys of their ids, as in pending decisions.

use std::sync::Arc;

use crate::bandit::PageBefore;
use crate::bandit::PendingDecision;
use crate::columns::index::ItemIndex;
use crate::columns::interner::name_key;
use crate::domain::Continues;
use crate::domain::Decision;
use crate::domain::Division;
use crate::domain::ListOrigin;
use crate::domain::ShownItem;
use crate::domain::UserId;
use crate::domain::limits;
use crate::learning::apply::decision_key;
use crate::state::View;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    /// In the order shown.
    items: Box<[u64]>,
    /// Those of them that were pinned.
    pinned: Box<[u64]>,
    before: Option<PageBefore>,
    origin: Option<ListOrigin>,
    drawn: Option<DrawnVariant>,
}

/// The variant of an experiment that was drawn for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawnVariant {
    pub experiment: u32,
    pub variant: u8,
}

fn drawn(division: &Division) -> Option<DrawnVariant> {
    match division {
        Division::Drawn { experiment, variant, .. } => {
            Some(DrawnVariant { experiment: *experiment, variant: *variant })
        }
        Division::InTurns { .. } => None,
    }
}

/// A page that may not have been learnt yet.
#[derive(Debug, PartialEq)]
pub struct MadePage {
    /// The id of the request: which user it answers as is found out by the view that needs it.
    user_id: UserId,
    page: Page,
}

impl MadePage {
    pub fn of(decision: &Decision) -> Self {
        let before = decision.continues.as_deref().map(page_before_of);
        let key = |one: &ShownItem| name_key(one.item_id.as_str());
        // Only what was pinned has no features.
        let pinned = decision.shown.iter().filter(|one| one.features.is_empty());
        let of_trial = decision.trial.as_ref().map(|trial| trial.origin);
        let page = Page {
            items: decision.shown.iter().map(key).collect(),
            pinned: pinned.map(key).collect(),
            before,
            origin: of_trial.or_else(|| before?.origin),
            drawn: decision.division.as_deref().and_then(drawn),
        };
        Self { user_id: decision.user_id.clone(), page }
    }

    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let Page { items, pinned, .. } = &self.page;
        self.user_id.as_str().len() + size_of_val(&**items) + size_of_val(&**pinned)
    }
}

impl Page {
    fn of_pending(decision: &PendingDecision) -> Self {
        Self {
            items: decision.items().into(),
            pinned: decision.pinned().collect(),
            before: decision.page_before.as_deref().copied(),
            origin: decision.origin(),
            drawn: decision.division.as_ref().and_then(|it| drawn(&it.division)),
        }
    }
}

/// The state of the page before, by its record.
pub(super) fn page_before_of(page: &Continues) -> PageBefore {
    PageBefore { decision: decision_key(page.decision_id.as_str()), origin: page.origin }
}

/// What the pages of a list have shown so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EarlierPages {
    /// Keys of the items, the first of the list first.
    pub items: Vec<u64>,
    /// Keys of those of them that were pinned.
    pub pinned: Vec<u64>,
    /// Whose order the list is in; `None` where no other competed with the ranker's.
    pub origin: Option<ListOrigin>,
    /// The variant that was drawn for the first page: the others have it, too.
    pub drawn: Option<DrawnVariant>,
}

/// Why a list cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotContinued {
    /// One of its pages is not known, or not any more.
    Unknown,
    /// It is another user's.
    OtherUser,
}

impl View {
    /// All pages of a user's list up to the one of this key. `made` has pages that this view has
    /// not learnt.
    ///
    /// # Errors
    /// [`NotContinued`].
    pub fn pages_up_to(
        &self,
        user_id: &str,
        last: u128,
        made: impl Fn(u128) -> Option<Arc<MadePage>>,
    ) -> Result<EarlierPages, NotContinued> {
        let (mut pages, user): (Vec<Page>, _) = (Vec::new(), self.user_key(user_id));
        let mut next = Some(last);
        while let Some(key) = next {
            let learnt = self.pending_decision(key).map(|page| (page.user, Page::of_pending(page)));
            let of_made =
                |made: Arc<MadePage>| (self.user_key(made.user_id.as_str()), made.page.clone());
            let page = learnt.or_else(|| made(key).map(of_made));
            let (page_user, page) = page.ok_or(NotContinued::Unknown)?;
            if page_user != user {
                return Err(NotContinued::OtherUser);
            }
            // Pages are not empty. Only a damaged log goes on beyond this.
            if pages.len() == limits::LIST_POSITIONS {
                return Err(NotContinued::Unknown);
            }
            next = page.before.map(|before| before.decision);
            pages.push(page);
        }
        let in_order = |keys: fn(&Page) -> &[u64]| {
            pages.iter().rev().flat_map(keys).copied().collect::<Vec<u64>>()
        };
        Ok(EarlierPages {
            origin: pages.first().and_then(|page| page.origin),
            drawn: pages.last().and_then(|page| page.drawn),
            items: in_order(|page| &page.items),
            pinned: in_order(|page| &page.pinned),
        })
    }

    /// The item with this key, if the state has it.
    pub fn item_of_key(&self, key: u64) -> Option<ItemIndex> {
        self.items.ids.find_key(key)
    }
}
