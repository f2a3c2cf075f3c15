//! Decisions in the log, and what came of them.

use std::collections::HashMap;

use crate::storage;
use crate::storage::InteractionLog;
use crate::storage::Partition;
use crate::storage::ReadLimit;
use engine::Aliases;
use engine::domain::Decision;
use engine::domain::Interaction;
use engine::domain::LogRecord;
use engine::domain::Sequence;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::limits;
use engine::domain::outweighs;
use engine::domain::reward;

/// Records read at a time.
const BATCH: usize = 10_000;

/// Looks at every record after `after` up to `end`, in order.
///
/// # Errors
/// Those of the log, and those of `look`, which end it.
pub fn each_record<E: From<storage::Error>>(
    log: &dyn InteractionLog,
    partition: &Partition,
    after: Sequence,
    end: Sequence,
    mut look: impl FnMut(&LogRecord) -> Result<(), E>,
) -> Result<(), E> {
    let mut after = after;
    while after < end {
        let records = log.read_from(partition, after, ReadLimit::records(BATCH))?;
        let Some(last) = records.last() else { break };
        after = last.sequence;
        for record in records.iter().filter(|record| record.sequence <= end) {
            look(record)?;
        }
    }
    Ok(())
}

/// Sequence of the first record up to `end` that was recorded at `since` or later; the
/// one after `end` when there is none. A search by halves: `recorded_at` never goes back
/// in a log.
///
/// # Errors
/// Those of the log.
pub fn first_recorded_since(
    log: &dyn InteractionLog,
    partition: &Partition,
    end: Sequence,
    since: Timestamp,
) -> Result<Sequence, storage::Error> {
    // Records up to `before` are older; those after `from` are not.
    let (mut before, mut from) = (0, end);
    while before < from {
        let middle = before + (from - before) / 2;
        let records = log.read_from(partition, middle, ReadLimit::records(1))?;
        match records.first() {
            Some(record) if record.recorded_at < since => before = record.sequence,
            _ => from = middle,
        }
    }
    Ok(before + 1)
}

/// Rewards of shown items, as the ranker credits them: of each the best interaction that
/// names the decision, by the confidences of the settings, from -1 to 1; a negative one
/// outweighs what came before it. Without any, 0. Ids that were merged are those of one user.
#[derive(Debug, Default)]
pub struct Rewards {
    /// Those in force at that position of the log.
    pub settings: Settings,
    /// Who is whom there.
    aliases: Aliases,
    by_decision: HashMap<Box<str>, Vec<Credit>>,
}

/// What a user did with an item of a decision.
#[derive(Debug)]
struct Credit {
    user: Box<str>,
    item: Box<str>,
    reward: f32,
}

impl Rewards {
    /// By these settings and aliases, until others come.
    pub fn by(settings: Settings, aliases: Aliases) -> Self {
        Self { settings, aliases, by_decision: HashMap::new() }
    }

    /// Takes in a merge of users; one that is known changes nothing.
    pub fn merge(&mut self, from: &UserId, into: &UserId, sequence: Sequence) {
        let budget = limits::MERGED_IDS_BYTES;
        self.aliases.merge(from.as_str(), into.as_str(), sequence, budget);
    }

    pub fn add(&mut self, interaction: &Interaction) {
        let Some(decision_id) = &interaction.decision_id else { return };
        let confidence = self.settings.confidence(interaction.kind, interaction.value);
        let reward = reward(confidence);
        if reward == 0.0 {
            return;
        }
        let (user, item) = (interaction.user_id.as_str(), interaction.item_id.as_str());
        let credits = self.by_decision.entry(decision_id.as_str().into()).or_default();
        match credits.iter_mut().find(|credit| credit.is_of(user, item)) {
            Some(credit) if outweighs(reward, credit.reward) => credit.reward = reward,
            Some(_) => {}
            None => credits.push(Credit { user: user.into(), item: item.into(), reward }),
        }
    }

    /// Drops what was earned by a decision.
    pub fn forget(&mut self, decision_id: &str) {
        self.by_decision.remove(decision_id);
    }

    /// The reward of an item that a decision showed.
    pub fn of(&self, decision: &Decision, item: &str) -> f32 {
        self.find(decision.decision_id.as_str(), decision.user_id.as_str(), item)
    }

    /// The same by ids.
    pub fn find(&self, decision: &str, user: &str, item: &str) -> f32 {
        let user = self.user(user);
        let credits = self.by_decision.get(decision).into_iter().flatten();
        let own = credits.filter(|credit| (self.user(&credit.user), &*credit.item) == (user, item));
        let rewards = own.map(|credit| credit.reward);
        rewards.reduce(|a, b| if outweighs(b, a) { b } else { a }).unwrap_or(0.0)
    }

    /// The id that a user's id answers as.
    pub fn user<'a>(&'a self, user_id: &'a str) -> &'a str {
        self.aliases.resolve(user_id)
    }
}

impl Credit {
    fn is_of(&self, user: &str, item: &str) -> bool {
        (&*self.user, &*self.item) == (user, item)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::storage::Appended;
    use crate::storage::Extent;
    use crate::storage::HashCheck;
    use crate::storage::LogAppend;
    use crate::storage::LogEnd;
    use crate::storage::LogRead;
    use crate::storage::Position;
    use engine::domain::ItemId;
    use engine::domain::NamespaceName;
    use engine::domain::Record;

    fn partition() -> Partition {
        Partition { namespace: NamespaceName::default(), incarnation: 1 }
    }

    /// A log of batches: how many records each has, and when it was recorded.
    struct Batches {
        batches: Vec<(u64, i64)>,
        reads: AtomicUsize,
    }

    impl Batches {
        fn new(batches: &[(u64, i64)]) -> Self {
            Self { batches: batches.to_vec(), reads: AtomicUsize::new(0) }
        }

        fn end(&self) -> u64 {
            self.batches.iter().map(|batch| batch.0).sum()
        }
    }

    impl InteractionLog for Batches {
        fn append(
            &self,
            _groups: &[LogAppend],
            _now: Timestamp,
        ) -> Result<Vec<Result<Appended, storage::Error>>, storage::Error> {
            unreachable!("it is read only")
        }

        fn read_after(
            &self,
            _partition: &Partition,
            _after: Position,
            _limit: ReadLimit,
        ) -> Result<LogRead, storage::Error> {
            unreachable!("nobody follows it")
        }

        fn read_from(
            &self,
            _partition: &Partition,
            after: Sequence,
            limit: ReadLimit,
        ) -> Result<Vec<LogRecord>, storage::Error> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let mut records = Vec::new();
            let mut sequence = 0;
            for (count, at) in &self.batches {
                for _ in 0..*count {
                    sequence += 1;
                    if sequence > after {
                        records.push(LogRecord {
                            sequence,
                            recorded_at: Timestamp::from_millis(*at),
                            record: Record::ItemDeleted(ItemId::parse("i").unwrap()),
                        });
                    }
                }
                if records.len() >= limit.records {
                    break;
                }
            }
            Ok(records)
        }

        fn position_at(
            &self,
            _partition: &Partition,
            _sequence: Sequence,
        ) -> Result<Option<Position>, storage::Error> {
            unreachable!("nobody follows it")
        }

        fn log_ends(&self, _of: &[Partition]) -> Result<Vec<LogEnd>, storage::Error> {
            Ok(Vec::new())
        }

        fn check_event_hashes(
            &self,
            _partition: &Partition,
            _extent: Extent,
        ) -> Result<HashCheck, storage::Error> {
            unreachable!("nothing is appended to it")
        }

        fn event_hashes_rebuilt(&self) -> u64 {
            0
        }

        fn release(&self, _partition: &Partition) {}

        fn is_shared(&self) -> bool {
            false
        }
    }

    #[test]
    fn the_first_record_of_a_time_is_found_wherever_its_batch_begins() {
        let log = Batches::new(&[(3, 10), (1, 20), (5, 20), (2, 30)]);
        let name = partition();
        for (since, expected) in [(0, 1), (10, 1), (11, 4), (20, 4), (21, 10), (30, 10), (31, 12)] {
            let since = Timestamp::from_millis(since);
            let found = first_recorded_since(&log, &name, log.end(), since).unwrap();
            assert_eq!(found, expected, "{since:?}");
        }
        let empty = Batches::new(&[]);
        assert_eq!(first_recorded_since(&empty, &name, 0, Timestamp::default()).unwrap(), 1);
    }

    #[test]
    fn a_time_is_found_in_a_long_log_by_a_few_reads() {
        let batches: Vec<(u64, i64)> = (0..1_000).map(|at| (1, at)).collect();
        let log = Batches::new(&batches);
        let name = partition();
        let since = Timestamp::from_millis(700);
        assert_eq!(first_recorded_since(&log, &name, 1_000, since).unwrap(), 701);
        assert!(log.reads.load(Ordering::Relaxed) <= 11);
    }

    #[test]
    fn records_up_to_the_end_are_looked_at_and_no_others() {
        let log = Batches::new(&[(3, 10), (4, 20)]);
        let mut seen = Vec::new();
        each_record(&log, &partition(), 1, 5, |record| {
            seen.push(record.sequence);
            Ok::<(), storage::Error>(())
        })
        .unwrap();
        assert_eq!(seen, [2, 3, 4, 5]);
    }
}
