//! A filter for a user at a moment: whether an item may be shown, and which rules exclude it.
//!
//! - Every rule acts before anything is chosen: retrieval checks each item, so that a list is
//!   as long as the catalogue allows.
//! - Items that the user hid are always excluded, whatever the filter says of seen items. Pins
//!   are exempt: they are the caller's decision.
//! - What the user has blocked is always excluded, from pins, too: the user's word on what is shown
//!   is stronger than the caller's.
//! - An item that may not be shown at the moment ([`Item::may_be_shown`]) is neither found, nor a
//!   candidate, nor pinned, nor of the caller's order. An item that the request describes may be
//!   shown where neither that description nor the catalogue withholds it.
//! - What earlier pages of the list showed is always excluded, pins included.

use crate::columns::index::ItemIndex;
use crate::columns::interner::name_key;
use crate::consumption::User;
use crate::domain::Item;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::expression::Expression;
use crate::expression::Subject;
use crate::features::Had;
use crate::features::UserContext;
use crate::give_up::GiveUp;
use crate::retrieval::condition::of_blocks;
use crate::retrieval::condition::of_filter;
use crate::retrieval::filter::Exclusion;
use crate::retrieval::filter::Filter;
use crate::retrieval::mask::Mask;
use crate::retrieval::plan::Plan;
use crate::retrieval::prepared::Prepared;
use crate::state::Entry;
use crate::state::View;

/// A filter for a user at a moment.
#[derive(Debug, Clone)]
pub struct Eligibility<'a> {
    view: &'a View,
    filter: &'a Filter,
    prepared: Prepared<'a>,
    context: &'a UserContext,
    user: Option<&'a User>,
    /// What the user has set, if anything.
    rules: Option<&'a UserRules>,
    now: Timestamp,
    /// Items that the user hid, sorted.
    hidden: Vec<ItemIndex>,
    /// Keys of items that reached the cap of impressions, sorted.
    worn_out: Vec<u64>,
    /// Keys of items on earlier pages of the list, sorted.
    earlier: Vec<u64>,
}

impl<'a> Eligibility<'a> {
    /// `shown`: item ids of the user's impressions that the view has not learnt yet, one for each
    /// impression.
    pub fn new(
        view: &'a View,
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
            let often = worn_out.chunk_by(|a, b| a == b).filter(|shown| shown.len() >= cap);
            worn_out = often.map(|shown| shown[0]).collect();
        }
        let user = view.user_index(user_id).map(|user| view.user(user).as_ref());
        let mut hidden: Vec<ItemIndex> =
            user.into_iter().flat_map(|user| user.history.hidden()).collect();
        hidden.sort_unstable();
        let rules = user.map(|user| &*user.rules).filter(|rules| !rules.is_empty());
        let prepared = Prepared::new(filter);
        let earlier = Vec::new();
        Self { view, filter, prepared, context, user, rules, now, hidden, worn_out, earlier }
    }

    /// The same for a later page of a list. `earlier`: keys of the items on the pages before.
    #[must_use]
    pub fn after(self, earlier: &[u64]) -> Self {
        let mut earlier = earlier.to_vec();
        earlier.sort_unstable();
        Self { earlier, ..self }
    }

    /// Whether an item may be shown: no rule excludes it.
    pub fn allows(&self, entry: &Entry, index: Option<ItemIndex>) -> bool {
        entry.item.as_ref().is_some_and(|item| {
            !Exclusion::RULES.iter().any(|&rule| self.excludes(rule, item, index))
        })
    }

    /// Whether an item may be pinned: only the rules about the item itself and the user's blocks
    /// count, not what the user had, hid or was shown.
    pub fn allows_pinned(&self, entry: &Entry, index: Option<ItemIndex>) -> bool {
        entry.item.as_ref().is_some_and(|item| {
            !Exclusion::RULES.iter().any(|&rule| self.excludes_item(rule, item, index))
        })
    }

    /// Whether an item satisfies the conditions of the request, whatever the user did with it and
    /// whether it may be shown now.
    pub fn is_asked_for(&self, entry: &Entry, index: Option<ItemIndex>) -> bool {
        let conditions = || Exclusion::RULES.into_iter().filter(|rule| rule.is_condition());
        let meets = |item| !conditions().any(|rule| self.excludes_item(rule, item, index));
        entry.item.as_deref().is_some_and(meets)
    }

    /// Every rule that excludes an item; none when it may be shown.
    pub fn exclusions(&self, entry: &Entry, index: Option<ItemIndex>) -> Vec<Exclusion> {
        let Some(item) = &entry.item else {
            return vec![Exclusion::NotInCatalogue];
        };
        let rules = Exclusion::RULES.into_iter();
        rules.filter(|&rule| self.excludes(rule, item, index)).collect()
    }

    /// The catalogue items that may be shown by sets of items, and whether the sets answer all of
    /// the filter. Every item that [`Self::allows`] accepts is in the mask.
    pub(super) fn mask(&self, give_up: &GiveUp<'_>) -> (Mask, bool) {
        let blocks = self.rules.map(of_blocks);
        let plan =
            Plan::All(blocks.into_iter().chain([of_filter(self.filter, self.now)]).collect());
        let mut mask = plan.items(self.view, give_up);
        mask.keep(&Mask::new(self.view.postings.showing.at(self.now)));
        let blocked = self.rules.map_or(&[][..], |rules| rules.blocked_items.entries());
        let listed = self.filter.exclude.iter().chain(blocked);
        let listed = listed.filter_map(|id| self.view.item_index(id));
        let shown = self.earlier.iter().filter_map(|key| self.view.item_of_key(*key));
        listed.chain(shown).for_each(|item| mask.clear(item));
        let personal = [
            Exclusion::HiddenByUser,
            Exclusion::Seen,
            Exclusion::SeenCooldown,
            Exclusion::SeenAfterSessions,
        ];
        for entry in self.user.map_or(&[][..], |user| user.history.entries()) {
            if personal.iter().any(|&rule| self.excludes_for_user(rule, entry.item)) {
                mask.clear(entry.item);
            }
        }
        (mask, plan.tells_all())
    }

    fn excludes(&self, rule: Exclusion, item: &Item, index: Option<ItemIndex>) -> bool {
        self.excludes_item(rule, item, index)
            || index.is_some_and(|index| self.excludes_for_user(rule, index))
            || rule == Exclusion::FrequencyCap && has_key(&self.worn_out, item)
    }

    /// Whether a rule about the item itself excludes it.
    fn excludes_item(&self, rule: Exclusion, item: &Item, index: Option<ItemIndex>) -> bool {
        let (filter, now) = (self.filter, self.now);
        match rule {
            Exclusion::Topics => !self.prepared.topics_fit(item),
            Exclusion::Sources => !self.prepared.source_fits(item),
            Exclusion::PublishedAfter => {
                let late = |after| item.published_at.is_some_and(|published| published > after);
                !filter.published_after.is_none_or(late)
            }
            Exclusion::Withheld(why) => {
                let kept = index.and_then(|index| self.view.entry(index).item.as_ref());
                item.is_withheld(why, now) || kept.is_some_and(|kept| kept.is_withheld(why, now))
            }
            Exclusion::Listed => {
                filter.exclude.binary_search_by(|id| (**id).cmp(item.item_id.as_str())).is_ok()
            }
            Exclusion::Attributes => !self.prepared.attributes_fit(item),
            Exclusion::Expression => {
                let holds = |expression: &Expression| expression.holds(Subject::item(item, now));
                !filter.expression.as_ref().is_none_or(holds)
            }
            Exclusion::BlockedItem | Exclusion::BlockedSource | Exclusion::BlockedTopic => {
                self.rules.is_some_and(|rules| is_blocked_by(rules, rule, item))
            }
            Exclusion::EarlierPage => has_key(&self.earlier, item),
            Exclusion::NotInCatalogue
            | Exclusion::HiddenByUser
            | Exclusion::Seen
            | Exclusion::SeenCooldown
            | Exclusion::SeenAfterSessions
            | Exclusion::FrequencyCap => false,
        }
    }

    /// Whether a rule about what the user did with the item excludes it.
    fn excludes_for_user(&self, rule: Exclusion, index: ItemIndex) -> bool {
        let filter = self.filter;
        let seen = || self.context.seen(index);
        match rule {
            Exclusion::HiddenByUser => self.hidden.binary_search(&index).is_ok(),
            Exclusion::Seen => !filter.include_seen && seen().is_some(),
            Exclusion::SeenCooldown => {
                let hours = f64::from(filter.seen_cooldown_hours);
                let recent = |had: &Had| self.now.hours_since(had.last) < hours;
                hours > 0.0 && seen().is_some_and(recent)
            }
            Exclusion::SeenAfterSessions => {
                let most = filter.seen_after_sessions;
                most > 0 && seen().is_some_and(|had| u32::from(had.times) >= most)
            }
            _ => false,
        }
    }
}

fn is_blocked_by(rules: &UserRules, rule: Exclusion, item: &Item) -> bool {
    match rule {
        Exclusion::BlockedItem => rules.blocked_items.has(item.item_id.as_str()),
        Exclusion::BlockedSource => {
            item.source.as_ref().is_some_and(|source| rules.blocked_sources.has(source))
        }
        Exclusion::BlockedTopic => item.topics.iter().any(|topic| rules.blocked_topics.has(topic)),
        _ => false,
    }
}

/// Whether the key of an item is among sorted ones.
fn has_key(keys: &[u64], item: &Item) -> bool {
    !keys.is_empty() && keys.binary_search(&name_key(item.item_id.as_str())).is_ok()
}

#[cfg(test)]
mod tests;
