//! The smallest change of a request that brings an item in.
//!
//! An item that k rules refuse needs k changes at least, and those are made first. Where
//! they do not do, one more is looked for: every rule of variety, the length of the list,
//! a boost. Each is verified by working out the list. The smallest has the fewest
//! changes, then the fewest other items that come or go with it.

use std::collections::BTreeSet;

use super::Alteration;
use super::Cause;
use super::Finding;
use super::sentence;
use crate::service::blocking::Expiry;
use crate::service::error::Error;
use crate::service::namespace::Namespace;
use crate::service::personalize::PersonalizeCall;
use crate::service::work_out::List;
use crate::service::work_out::item_of;
use crate::service::work_out::work_out;
use engine::Exclusion;
use engine::ItemIndex;
use engine::Retrieval;
use engine::View;
use engine::domain::ItemId;
use engine::domain::limits;

/// Halvings of the interval that holds the smallest boost.
const BOOST_HALVINGS: usize = 12;
/// The least boost that is tried.
const BOOST_MIN: f64 = 1e-4;

/// A change of the request with which the item is in the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// All of them together.
    pub alterations: Vec<Alteration>,
    /// The position of the item then.
    pub position: usize,
    /// Other items that come into the answer or leave it.
    pub displaced: usize,
    pub sentence: String,
}

/// Verified changes, the smallest first; empty when there is none or none is needed.
///
/// # Errors
/// `DeadlinePassed` when nobody waits for them any more.
pub fn suggestions(
    namespace: &Namespace,
    view: &View,
    call: &PersonalizeCall,
    item_id: &ItemId,
    finding: &Finding,
    expiry: &Expiry,
) -> Result<Vec<Suggestion>, Error> {
    let can_be_lifted = |rule: &Exclusion| !rule.is_beyond_requests();
    if matches!(finding.cause, Cause::Present | Cause::UnknownItem | Cause::NotInCatalogue)
        || !finding.exclusions.iter().all(can_be_lifted)
    {
        return Ok(Vec::new());
    }
    let mut required: Vec<Alteration> =
        finding.exclusions.iter().map(|&rule| Alteration::Without(rule)).collect();
    if !call.candidates.may_be(item_id) {
        required.push(Alteration::AddCandidate);
    }
    let personal = None;
    let mut search = Search { namespace, view, call, item_id, finding, expiry, required, personal };
    search.run()
}

struct Search<'a> {
    namespace: &'a Namespace,
    view: &'a View,
    call: &'a PersonalizeCall,
    item_id: &'a ItemId,
    finding: &'a Finding,
    expiry: &'a Expiry,
    /// Without these there is no way.
    required: Vec<Alteration>,
    /// What suits the user under the filter with the required changes.
    personal: Option<Vec<ItemIndex>>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<Vec<Suggestion>, Error> {
        if !self.required.is_empty()
            && let Some(found) = self.with(None)?
        {
            return Ok(vec![found]);
        }
        let mut found: Vec<Suggestion> = Vec::new();
        for one in Alteration::of_choice(self.call) {
            found.extend(self.with(Some(one))?);
        }
        found.extend(self.longest()?);
        found.extend(self.boosted()?);
        found.sort_by_key(|suggestion| (suggestion.alterations.len(), suggestion.displaced));
        Ok(found)
    }

    /// Works out the list with the required changes and one more.
    fn with(&mut self, one: Option<Alteration>) -> Result<Option<Suggestion>, Error> {
        self.expiry.check()?;
        let alterations: Vec<Alteration> = self.required.iter().copied().chain(one).collect();
        let mut call = self.call.clone();
        for alteration in &alterations {
            alteration.apply(&mut call, self.item_id);
        }
        let personal = &mut self.personal;
        let found = |retrieval: &Retrieval<'_>| match personal {
            Some(found) => Ok(found.clone()),
            None => Ok(personal.insert(retrieval.personal()?).clone()),
        };
        let look = |list: List<'_>| -> Vec<ItemId> {
            let items = list.ranked.items.iter();
            let candidates = items.map(|item| &list.candidates[item.candidate]);
            candidates.map(|candidate| item_of(candidate).item_id.clone()).collect()
        };
        let shown = self.expiry.bound(|give_up| {
            work_out(self.namespace, self.view, &call, false, give_up, found, look)
        })?;
        let Some(position) = shown.iter().position(|id| id == self.item_id) else {
            return Ok(None);
        };
        let shown: BTreeSet<ItemId> = shown.into_iter().collect();
        let displaced = self.finding.shown.symmetric_difference(&shown);
        let displaced = displaced.filter(|id| *id != self.item_id).count();
        let sentence = sentence::suggestion(&alterations, position);
        Ok(Some(Suggestion { alterations, position, displaced, sentence }))
    }

    /// The shortest list that has it.
    fn longest(&mut self) -> Result<Option<Suggestion>, Error> {
        let mut without = self.call.choice.positions;
        let Some(mut best) = self.with(Some(Alteration::MaxResults(limits::RESULTS)))? else {
            return Ok(None);
        };
        let mut within = limits::RESULTS;
        let guess = best.position + 1;
        if guess > without && guess < within {
            match self.with(Some(Alteration::MaxResults(guess)))? {
                Some(found) => (best, within) = (found, guess),
                None => without = guess,
            }
        }
        while within - without > 1 {
            let middle = without.midpoint(within);
            match self.with(Some(Alteration::MaxResults(middle)))? {
                Some(found) => (best, within) = (found, middle),
                None => without = middle,
            }
        }
        Ok(Some(best))
    }

    /// The least boost that does, but for one part in some thousands.
    fn boosted(&mut self) -> Result<Option<Suggestion>, Error> {
        let gap = self.finding.gap.as_ref();
        let gap = gap.and_then(|gap| Some(gap.last_shown.as_ref()?.1 - gap.candidate_rank.score));
        let mut without = 0.0;
        let mut within = gap.unwrap_or(BOOST_MIN).max(BOOST_MIN);
        let mut best = loop {
            if let Some(found) = self.with(Some(Alteration::Boost(within)))? {
                break found;
            }
            if within >= limits::BOOST {
                return Ok(None);
            }
            (without, within) = (within, (within * 2.0).min(limits::BOOST));
        };
        for _ in 0..BOOST_HALVINGS {
            let middle = f64::midpoint(without, within);
            match self.with(Some(Alteration::Boost(middle)))? {
                Some(found) => (best, within) = (found, middle),
                None => without = middle,
            }
        }
        // A round number is easier to read, as long as it still does.
        let rounded = rounded_up(within);
        Ok(self.with(Some(Alteration::Boost(rounded)))?.or(Some(best)))
    }
}

/// The least number of three digits that is no less.
fn rounded_up(value: f64) -> f64 {
    let mut millionths = 1.0;
    while millionths * 1_000.0 < value * 1e6 {
        millionths *= 10.0;
    }
    ((value * 1e6 / millionths).ceil() * millionths / 1e6).min(limits::BOOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boost_is_rounded_up_to_three_digits_and_never_down() {
        for (value, expected) in [(0.034_91, 0.035), (0.000_104_2, 0.000_105), (7.0, 7.0)] {
            let rounded = rounded_up(value);
            assert_eq!(rounded, expected);
        }
    }
}
