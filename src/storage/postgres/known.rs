//! What this process knows of the partitions it appends to, and deciding and writing
//! with it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::append::Call;
use super::append::Failed;
use super::append::InDoubt;
use super::decided::Decided;
use super::event_hashes;
use super::failure;
use super::leases::key;
use super::partition::Behind;
use super::partition::KnownPartition;
use super::session::Session;
use super::transaction;
use super::transaction::State;
use crate::storage::batch::BatchBuilder;
use crate::storage::chain::Seal;
use crate::storage::error::Error;
use crate::storage::log::LogAppend;
use crate::storage::partition::Partition;

/// Why nothing is appended to a namespace.
pub enum Rejection {
    NoNamespace,
    Corrupt { what: String, reason: String },
    Unavailable { reason: String },
}

pub type Refused = BTreeMap<Partition, Rejection>;

impl Rejection {
    fn because(error: Error) -> Self {
        match error {
            Error::Corrupt { what, reason } => Self::Corrupt { what, reason },
            other => Self::Unavailable { reason: other.to_string() },
        }
    }

    /// The answer for one of the groups.
    pub fn of(&self, group: &LogAppend) -> Error {
        match self {
            Self::NoNamespace => {
                Error::NoNamespace { namespace: group.partition.namespace.clone() }
            }
            Self::Corrupt { what, reason } => {
                Error::Corrupt { what: what.clone(), reason: reason.clone() }
            }
            Self::Unavailable { reason } => Error::Unavailable { reason: reason.clone() },
        }
    }
}

#[derive(Default)]
pub struct Known {
    pub partitions: HashMap<Partition, KnownPartition>,
    /// The connection of the last append, whose statements are prepared: to a server
    /// far away another one would take several round trips first.
    pub session: Option<Session>,
    /// Batches whose event hashes were rebuilt, not yet counted.
    pub event_hashes_rebuilt: u64,
    builder: BatchBuilder,
}

impl Known {
    /// Takes over what the server says under the locks. Returns whether all partitions
    /// are up to date and can be written to; if not, the transaction has ended and is
    /// to be begun again.
    ///
    /// What is far behind is caught up without the locks, since others wait for them;
    /// with `again`, that is once others have been faster than that, under the locks.
    pub async fn update(
        &mut self,
        session: &Session,
        requested: &BTreeSet<&Partition>,
        state: &State,
        refused: &mut Refused,
        again: bool,
    ) -> Result<bool, Failed> {
        let mut current = true;
        let (mut behind, mut damaged) = (Vec::new(), Vec::new());
        for partition in requested {
            let Some(known) = self.partitions.get_mut(*partition) else { continue };
            let told = state.partitions.get(&known.id);
            let name = partition.namespace.as_str();
            let told = told.filter(|told| told.name.as_deref() == Some(name));
            let updated = told.map_or(Err(Behind::Deleted), |told| told.update(known));
            if matches!(updated, Ok(true)) {
                behind.push(*partition);
            }
            let updated = updated.map(|_may_go_on| ());
            current &= self.keep_or_drop(partition, updated, refused, &mut damaged)?;
        }
        if current && behind.is_empty() {
            return Ok(true);
        }
        let holds = again && current;
        if !holds {
            session.batch_execute("ROLLBACK").await?;
        }
        for partition in behind {
            if let Some(known) = self.partitions.get_mut(partition) {
                let caught_up = known.catch_up(session).await;
                current &= self.keep_or_drop(partition, caught_up, refused, &mut damaged)?;
            }
        }
        if holds && !current {
            session.batch_execute("ROLLBACK").await?;
        }
        // What is damaged is not current, so the transaction is over.
        for (partition, seal) in damaged {
            match event_hashes::repair(session, partition, &seal).await? {
                Ok(()) => self.event_hashes_rebuilt += 1,
                Err(error) => {
                    self.partitions.remove(partition);
                    refused.insert(partition.clone(), Rejection::because(error));
                }
            }
        }
        Ok(holds && current)
    }

    /// Returns whether the partition need not be looked at again.
    fn keep_or_drop<'a>(
        &mut self,
        partition: &'a Partition,
        updated: Result<(), Behind>,
        refused: &mut Refused,
        damaged: &mut Vec<(&'a Partition, Box<Seal>)>,
    ) -> Result<bool, Failed> {
        match updated {
            Ok(()) => return Ok(true),
            Err(Behind::Unanswered(error)) => return Err(error.into()),
            // It is known up to there; the next look goes on from there.
            Err(Behind::DamagedHashes(seal)) => {
                damaged.push((partition, seal));
                return Ok(false);
            }
            Err(Behind::GoneBack) => {}
            Err(Behind::Deleted) => {
                refused.insert(partition.clone(), Rejection::NoNamespace);
            }
            Err(Behind::Unusable(error)) => {
                refused.insert(partition.clone(), Rejection::because(error));
            }
        }
        self.partitions.remove(partition);
        Ok(refused.contains_key(partition))
    }

    /// Decides, writes and commits.
    pub async fn write(
        &mut self,
        session: Session,
        call: &Call<'_>,
        refused: &Refused,
        state: State,
        in_doubt: &mut Option<InDoubt>,
    ) -> Result<Decided, Failed> {
        let (decided, partitions) = self.decide(call, refused, &state);
        if decided.batches.is_empty() {
            session.roll_back().await;
            self.partitions.extend(partitions);
            return Ok(decided);
        }
        // From here on until the answer, whatever happens to this call.
        let in_flight = in_doubt.insert(InDoubt { xid: state.xid, decided });
        let mut failures = transaction::commit(&session, &in_flight.decided.batches).await;
        if let Some(position) = failures.iter().position(failure::is_rejection) {
            *in_doubt = None;
            return Err(failures.swap_remove(position).into());
        }
        if let Some(error) = failures.into_iter().next() {
            return Err(Failed { error: error.into(), passing: true });
        }
        self.session = Some(session);
        self.partitions.extend(partitions);
        Ok(in_doubt.take().expect("set above, and no longer in doubt").decided)
    }

    /// Takes the partitions written to out of what is known, until they are committed.
    fn decide(
        &mut self,
        call: &Call<'_>,
        refused: &Refused,
        state: &State,
    ) -> (Decided, BTreeMap<Partition, KnownPartition>) {
        let mut decided = Decided::default();
        let mut held = BTreeMap::new();
        for group in call.groups {
            if let Some(rejection) = refused.get(&group.partition) {
                decided.outcomes.push(Err(rejection.of(group)));
                continue;
            }
            if let Some(fence) = &group.fence
                && state.epochs.get(&key(&fence.lease)) != Some(&fence.epoch)
            {
                decided.outcomes.push(Err(Error::Fenced { lease: fence.lease.clone() }));
                continue;
            }
            let known = held.entry(group.partition.clone()).or_insert_with_key(|partition| {
                self.partitions.remove(partition).expect("what is not known is refused")
            });
            decided.add(group, known, call.now, &mut self.builder);
        }
        (decided, held)
    }
}
