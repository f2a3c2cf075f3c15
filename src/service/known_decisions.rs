//! Which decisions and selections of a namespace an event may name: those that it could
//! still be credited to, which the view knows, and those made here that are not learnt yet.
//!
//! - What another replica made within the last moment is not known here before it is
//!   learnt: its events count as of an unknown decision.
//! - By 64 bits of a hash: half a megabyte where both windows are full.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use engine::View;
use engine::decision_key;
use engine::domain::Record;

/// Recent decisions of this replica: some seconds of them at high rates, and what is not learnt
/// by then is lost.
const MADE_MAX: usize = 16_384;

/// A decision or a selection by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Decision(u128),
    Selection(u128),
}

impl Named {
    pub fn decision(id: &str) -> Self {
        Self::Decision(decision_key(id))
    }

    pub fn selection(id: &str) -> Self {
        Self::Selection(decision_key(id))
    }

    /// What a record is to be credited to, if it says.
    pub fn by(record: &Record) -> Option<Self> {
        match record {
            Record::Interaction(interaction) => {
                interaction.decision_id.as_ref().map(|id| Self::decision(id.as_str()))
            }
            Record::ArmRewarded(reward) => Some(Self::selection(reward.decision_id.as_str())),
            _ => None,
        }
    }
}

/// Of one open namespace.
#[derive(Debug, Default)]
pub struct KnownDecisions(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    decisions: Window,
    selections: Window,
}

impl KnownDecisions {
    /// Notes what is about to be answered.
    pub fn add(&self, made: Named) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Named::Decision(key) => windows.decisions.push(key),
            Named::Selection(key) => windows.selections.push(key),
        }
    }

    /// How many of these name what could not be credited now.
    pub fn count_unknown(&self, view: &View, named: impl Iterator<Item = Named>) -> u64 {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |named: &Named| match *named {
            Named::Decision(key) => view.knows_decision(key) || made.decisions.has(key),
            Named::Selection(key) => view.knows_selection(key) || made.selections.has(key),
        };
        named.filter(|named| !is_known(named)).count() as u64
    }
}

/// The newest keys.
#[derive(Debug, Default)]
struct Window {
    /// The oldest first.
    order: VecDeque<u64>,
    keys: HashSet<u64>,
}

fn short(key: u128) -> u64 {
    (key >> 64) as u64
}

impl Window {
    fn push(&mut self, key: u128) {
        if self.keys.insert(short(key)) {
            self.order.push_back(short(key));
        }
        if self.order.len() > MADE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    fn has(&self, key: u128) -> bool {
        self.keys.contains(&short(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_no_more() {
        let mut made = Window::default();
        for key in 0..=MADE_MAX as u128 {
            made.push(key << 64);
            made.push(key << 64);
        }
        assert!(!made.has(0) && made.has(1 << 64) && made.has((MADE_MAX as u128) << 64));
        assert_eq!((made.order.len(), made.keys.len()), (MADE_MAX, MADE_MAX));
    }

    #[test]
    fn what_was_never_made_is_unknown_and_what_is_about_to_be_learnt_is_not() {
        let view = engine::Engine::new(engine::domain::Settings::default()).view();
        let known = KnownDecisions::default();
        known.add(Named::decision("d"));
        known.add(Named::selection("s"));
        let unknown = |named| known.count_unknown(&view, std::iter::once(named));
        assert_eq!(unknown(Named::decision("d")), 0);
        assert_eq!(unknown(Named::selection("s")), 0);
        // A reward is not an interaction: each has its own kind.
        assert_eq!(unknown(Named::selection("d")), 1);
        assert_eq!(unknown(Named::decision("never")), 1);
    }
}
