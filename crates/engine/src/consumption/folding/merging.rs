//! Two entries of one item, of two users who turn out to be one.
//!
//! The outcome is that of all events folded as of one user, as far as the entries still tell:
//!
//! - Latest sessions that follow within the gap are one; else the later one is the latest. Earlier
//!   sessions are counted as they were.
//! - Evidence is the strongest of both.
//! - What was stated for the item ends what was stated against it before, and HIDE. Where both
//!   are against it, both hold; where it is not known which came last, the one against.

use crate::consumption::folding::COUNTED;
use crate::consumption::folding::Consumption;
use crate::consumption::folding::HIDDEN;
use crate::consumption::folding::KINDS;
use crate::consumption::folding::LATEST;
use crate::consumption::strength::Strength;

impl Consumption {
    /// The entry of both.
    #[must_use]
    pub fn merged_with(&self, other: &Self, gap_seconds: u32) -> Self {
        // Of equal ends the latest type decides, so that it does not matter who asks whom.
        let is_later = (other.end, other.flags) > (self.end, self.flags);
        let (earlier, later) = if is_later { (self, other) } else { (other, self) };
        let mut merged = *later;
        merged.sessions = self.sessions.saturating_add(other.sessions);
        if later.start <= earlier.end.saturating_add(gap_seconds) {
            merged.start = later.start.min(earlier.start);
            merged.in_session = later.in_session.max(earlier.in_session);
            let both_counted = earlier.flags & later.flags & COUNTED != 0;
            merged.sessions -= u16::from(both_counted);
            merged.flags |= earlier.flags & COUNTED;
        }
        let first = [self.first, other.first].into_iter().filter(|first| *first > 0).min();
        merged.first = first.map_or(0, |first| first.min(merged.start));
        let counted = if earlier.flags & COUNTED != 0 { earlier.end } else { 0 };
        let ends = [self.before, other.before, counted].into_iter();
        merged.before = ends.filter(|end| *end < merged.start).max().unwrap_or(0);
        merged.flags |= earlier.flags & KINDS;
        merged.in_favour = later.in_favour.max(earlier.in_favour);
        merged.implicit_against = later.implicit_against.max(earlier.implicit_against);
        merged.state_as(self, other);
        merged
    }

    /// Takes over what was stated, from both.
    fn state_as(&mut self, one: &Self, other: &Self) {
        let holds = |side: &Self, opposite: &Self| {
            let ended = !opposite.is_opposed() && opposite.stated_at > side.stated_at;
            side.is_opposed() && !ended
        };
        let (mut against, mut hidden) = (Strength::default(), 0);
        for side in [(one, other), (other, one)].iter().filter(|pair| holds(pair.0, pair.1)) {
            against = against.max(side.0.explicit_against);
            hidden |= side.0.flags & HIDDEN;
        }
        self.explicit_against = against;
        self.flags = self.flags & !HIDDEN | hidden;
        self.stated_at = one.stated_at.max(other.stated_at);
    }

    /// Whether the latest explicit statement is against the item.
    fn is_opposed(&self) -> bool {
        !self.explicit_against.is_zero() || self.is_hidden()
    }
}

const _: () = assert!(KINDS & (HIDDEN | COUNTED) == 0 && HIDDEN < 1 << LATEST);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::columns::index::ItemIndex;
    use crate::consumption::folding::Evidence;
    use crate::domain::InteractionType;
    use crate::domain::Timestamp;

    const GAP: u32 = 3_600;

    /// Events of an item: minute, type, confidence.
    fn folded(events: &[(i64, InteractionType, f32)]) -> Consumption {
        let mut entry: Option<Consumption> = None;
        for &(minute, kind, confidence) in events {
            let at = Timestamp::from_seconds(1_000_000 + 60 * minute);
            let event = Evidence { kind, confidence, at };
            let begun = || Consumption::begun(ItemIndex::new(7), &event, GAP);
            entry = Some(entry.map_or_else(begun, |known| known.folded(&event, GAP)).0);
        }
        entry.expect("there are events")
    }

    fn merged(
        one: &[(i64, InteractionType, f32)],
        other: &[(i64, InteractionType, f32)],
    ) -> Consumption {
        let merged = folded(one).merged_with(&folded(other), GAP);
        assert_eq!(merged, folded(other).merged_with(&folded(one), GAP), "whichever comes first");
        assert!(merged.is_sound());
        merged
    }

    #[test]
    fn uses_that_follow_within_the_gap_are_one_and_others_add_up() {
        use InteractionType::{Click, Like};
        let near = merged(&[(0, Click, 1.0)], &[(30, Like, 2.0)]);
        assert_eq!(near, folded(&[(0, Click, 1.0), (30, Like, 2.0)]));
        let far = merged(&[(0, Click, 1.0)], &[(300, Click, 1.0)]);
        assert_eq!(far, folded(&[(0, Click, 1.0), (300, Click, 1.0)]));
        assert_eq!((near.sessions(), far.sessions()), (1, 2));
    }

    #[test]
    fn a_hidden_item_stays_hidden_until_either_id_says_yes_later() {
        use InteractionType::{Click, Hide, Like, Purchase};
        let hides = [(60, Hide, -1.0)];
        assert!(merged(&hides, &[(0, Like, 2.0)]).is_hidden());
        assert!(merged(&hides, &[(90, Click, 1.0)]).is_hidden());
        assert!(merged(&hides, &[(60, Like, 2.0)]).is_hidden(), "of one moment the hide holds");
        let taken_back = merged(&hides, &[(61, Purchase, 2.0)]);
        assert!(!taken_back.is_hidden() && taken_back.net() > 0.0);
        assert!(merged(&[(0, Hide, 0.0)], &[(5, Hide, -1.0)]).is_hidden());
    }

    #[test]
    fn a_dislike_of_one_id_outweighs_an_earlier_like_of_the_other() {
        use InteractionType::{Dislike, Like, Skip};
        let disliked = merged(&[(0, Like, 2.0)], &[(300, Dislike, -1.0)]);
        assert_eq!(disliked, folded(&[(0, Like, 2.0), (300, Dislike, -1.0)]));
        assert_eq!(disliked.net(), -1.0);
        let liked = merged(&[(0, Like, 2.0)], &[(-300, Dislike, -1.0)]);
        assert_eq!(liked.net(), 2.0);
        assert_eq!(merged(&[(0, Like, 2.0)], &[(1, Skip, -0.5)]).net(), 1.5);
    }

    fn event() -> impl Strategy<Value = (i64, InteractionType, f32)> {
        let kinds =
            InteractionType::ALL.into_iter().filter(|kind| *kind != InteractionType::Impression);
        (0..2_000_i64, prop::sample::select(kinds.collect::<Vec<_>>()), -2.0_f32..2.0)
    }

    proptest! {
        #[test]
        fn an_entry_of_both_is_sound_and_holds_the_evidence_of_both(
            one in prop::collection::vec(event(), 1..8),
            other in prop::collection::vec(event(), 1..8),
        ) {
            let both = folded(&one).merged_with(&folded(&other), GAP);
            prop_assert!(both.is_sound());
            let mut all = [one.clone(), other.clone()].concat();
            all.sort_by_key(|event| event.0);
            let truth = folded(&all);
            prop_assert_eq!(both.in_favour(), truth.in_favour());
            // A skip of what only the other id had counts as a use.
            prop_assert!(both.at() >= truth.at());
            let has = |kind: &InteractionType| both.has(*kind) == truth.has(*kind);
            prop_assert!(InteractionType::ALL[1..].iter().all(has));
            prop_assert!(both.sessions() <= folded(&one).sessions() + folded(&other).sessions());
            let bytes = postcard::to_stdvec(&both).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Consumption>(&bytes).unwrap(), both);
        }
    }
}
