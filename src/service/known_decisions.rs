//! Which decisions and selections of a namespace an event may name: those that it could
//! still be credited to, and those made here that are not learnt yet.
//!
//! - Learnt ones are read off the view when somebody asks, from the newest that was read
//!   before on; none are kept while nobody asks.
//! - What another replica made within the last moment is not known here before it is
//!   learnt: whoever tells of an unknown decision says so.
//! - By 64 bits of a hash: a few hundred kilobytes where both windows are full.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use engine::PENDING_DECISIONS_MAX;
use engine::PENDING_SELECTIONS_MAX;
use engine::View;
use engine::decision_key;
use engine::domain::Record;

/// Decisions made here and not learnt yet: some seconds of them at high rates.
const MADE_MAX: usize = 16_384;

/// A decision or a selection by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Decision(u64),
    Selection(u64),
}

impl Named {
    pub fn decision(id: &str) -> Self {
        Self::Decision(short(decision_key(id)))
    }

    pub fn selection(id: &str) -> Self {
        Self::Selection(short(decision_key(id)))
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

fn short(key: u128) -> u64 {
    (key >> 64) as u64
}

/// Of one open namespace.
#[derive(Debug, Default)]
pub struct KnownDecisions(Mutex<Kinds>);

#[derive(Debug, Default)]
struct Kinds {
    decisions: Known,
    selections: Known,
}

impl KnownDecisions {
    /// Notes what is about to be answered.
    pub fn note(&self, made: Named) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Named::Decision(key) => kinds.decisions.made.push(key, MADE_MAX),
            Named::Selection(key) => kinds.selections.made.push(key, MADE_MAX),
        }
    }

    /// How many of these name what could not be credited now.
    pub fn count_unknown(&self, view: &View, named: impl Iterator<Item = Named>) -> u64 {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kinds { decisions, selections } = &mut *kinds;
        let mut unknown = 0;
        for named in named {
            unknown += u64::from(match named {
                Named::Decision(key) => {
                    let learnt = view.decision_keys_from(decisions.read);
                    decisions.learn(learnt, view.counts().decisions, PENDING_DECISIONS_MAX);
                    !decisions.has(key)
                }
                Named::Selection(key) => {
                    let learnt = view.selection_keys_from(selections.read);
                    selections.learn(learnt, view.selections(), PENDING_SELECTIONS_MAX);
                    !selections.has(key)
                }
            });
        }
        unknown
    }
}

#[derive(Debug, Default)]
struct Known {
    learnt: Window,
    /// How many had been learnt when the view was read last.
    read: u64,
    made: Window,
}

impl Known {
    fn learn(&mut self, keys: impl Iterator<Item = u128>, read: u64, most: usize) {
        // A view that is older than the last one has nothing new.
        if read <= self.read {
            return;
        }
        for key in keys.map(short) {
            self.learnt.push(key, most);
            self.made.keys.remove(&key);
        }
        self.read = read;
    }

    fn has(&self, key: u64) -> bool {
        self.learnt.keys.contains(&key) || self.made.keys.contains(&key)
    }
}

/// The newest of some keys.
#[derive(Debug, Default)]
struct Window {
    /// The oldest first; some may have left `keys` before.
    order: VecDeque<u64>,
    keys: HashSet<u64>,
}

impl Window {
    fn push(&mut self, key: u64, most: usize) {
        if self.keys.insert(key) {
            self.order.push_back(key);
        }
        while let Some(oldest) = self.order.front()
            && (self.order.len() > most || !self.keys.contains(oldest))
        {
            self.keys.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_what_is_learnt_is_not_kept_twice() {
        let mut known = Known::default();
        for key in 0..10 {
            known.made.push(key, 4);
        }
        assert!(!known.has(5) && known.has(6) && known.has(9));
        let learnt = (0..12).map(|key: u128| key << 64);
        known.learn(learnt, 12, 3);
        assert!(known.has(11) && known.has(9) && !known.has(6), "the window holds three");
        assert!(known.made.keys.is_empty());
        known.made.push(20, 4);
        assert_eq!(known.made.order.len(), 1, "what was learnt has left");
        // Read to record 12: an older view changes nothing.
        known.learn(std::iter::once(99 << 64), 7, 3);
        assert!(!known.has(99));
    }

    #[test]
    fn what_was_never_made_is_unknown_and_what_is_about_to_be_learnt_is_not() {
        let view = engine::Engine::new(engine::domain::Settings::default()).view();
        let known = KnownDecisions::default();
        known.note(Named::decision("d"));
        known.note(Named::selection("s"));
        let unknown = |named| known.count_unknown(&view, std::iter::once(named));
        assert_eq!(unknown(Named::decision("d")), 0);
        assert_eq!(unknown(Named::selection("s")), 0);
        // A reward is not an interaction: each has its own kind.
        assert_eq!(unknown(Named::selection("d")), 1);
        assert_eq!(unknown(Named::decision("never")), 1);
    }
}
