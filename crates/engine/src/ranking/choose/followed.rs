//! The probability of each position of a given list, given the positions above it.
//!
//! - As long as each item can come where it is, the list is followed as it would be drawn: of a list that
//!   [`choose`](super::choose) drew, the probabilities are its propensities, bit by bit.
//! - Where an item cannot come (a rule excludes it, a cap is reached, its score is too low for the
//!   pool), its probability is 0, and what is below it is followed as a later page of a list that
//!   begins with the items above.
//!
//! Cost: that of drawing the list, once more for each item that cannot come.

use crate::features::Candidate;
use crate::ranking::choose::Choice;
use crate::ranking::choose::List;
use crate::ranking::choose::Pin;
use crate::ranking::choose::Slate;
use crate::ranking::choose::ranker::RankerList;

/// A position of a list that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Index in the candidates.
    pub candidate: usize,
    /// Whether it was not chosen.
    pub pinned: bool,
}

/// The probability that a draw gives each position to its item; 1 for a pinned one. `check` may end
/// it early.
///
/// # Errors
/// That of `check`.
pub fn follow<E>(
    slate: &Slate<'_>,
    choice: &Choice,
    shown: &[Placed],
    check: impl Fn() -> Result<(), E>,
) -> Result<Vec<f64>, E> {
    let mut propensities = Vec::with_capacity(shown.len());
    follow_on(slate, choice, shown, &mut propensities);
    while propensities.len() < shown.len() {
        check()?;
        let (above, rest) = shown.split_at(propensities.len());
        below(slate, above, |slate| {
            let positions = choice.positions.saturating_sub(above.len()).max(1);
            follow_on(slate, &Choice { positions, ..*choice }, rest, &mut propensities);
        });
    }
    Ok(propensities)
}

/// Follows a list up to its end, or to the first item that cannot come.
fn follow_on(slate: &Slate<'_>, choice: &Choice, shown: &[Placed], propensities: &mut Vec<f64>) {
    let mut list = RankerList::new(slate, choice);
    for &Placed { candidate, pinned } in shown {
        let is_pin = slate.pins.iter().any(|pin| pin.candidate == candidate);
        let propensity = match pinned {
            true if is_pin => {
                list.take_pinned(candidate);
                Some(1.0)
            }
            true => None,
            false => give(&mut list, candidate),
        };
        let otherwise = if pinned { 1.0 } else { 0.0 };
        propensities.push(propensity.unwrap_or(otherwise));
        if propensity.is_none() {
            return;
        }
    }
}

/// Gives the next position to a candidate; `None` when it cannot come here.
fn give(list: &mut RankerList<'_, '_>, candidate: usize) -> Option<f64> {
    let offer = if list.look() { list.offer(candidate)? } else { return None };
    list.take(&offer);
    // Sums of probabilities are rounded.
    Some(offer.propensity.min(1.0))
}

/// The slate of a later page, below these positions.
fn below(slate: &Slate<'_>, shown: &[Placed], look: impl FnOnce(&Slate<'_>)) {
    let is_shown = |candidate: usize| shown.iter().any(|placed| placed.candidate == candidate);
    let items = shown.iter().map(|placed| slate.candidates[placed.candidate]);
    let above: Vec<Candidate<'_>> = slate.above.iter().copied().chain(items).collect();
    let pins = slate.pins.iter().filter(|pin| !is_shown(pin.candidate));
    let moved = |pin: &Pin| Pin { position: pin.position.saturating_sub(shown.len()), ..*pin };
    let pins: Vec<Pin> = pins.map(moved).collect();
    let mut excluded = slate.excluded.to_vec();
    excluded.extend(shown.iter().map(|placed| placed.candidate));
    excluded.sort_unstable();
    let slate: Slate<'_> = slate.clone();
    look(&Slate { above: &above, pins: &pins, excluded: &excluded, ..slate });
}
