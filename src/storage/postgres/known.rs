//! What this process knows of the partitions it appends to, and deciding and writing
//! with it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::append::Call;
use super::append::Doubt;
use super::append::Failed;
use super::decided::Decided;
use super::failure;
use super::partition::Behind;
use super::partition::Partition;
use super::session::Session;
use super::transaction;
use super::transaction::State;
use crate::storage::batch::BatchBuilder;
use crate::storage::error::Error;
use crate::storage::log::LogAppend;
use crate::storage::tail;
use engine::domain::NamespaceName;

/// Why nothing is appended to a namespace.
pub enum Refusal {
    NoNamespace,
    Corrupt { what: String, reason: String },
    Unavailable { reason: String },
}

pub type Refused = BTreeMap<NamespaceName, Refusal>;

impl Refusal {
    fn because(error: Error) -> Self {
        match error {
            Error::Corrupt { what, reason } => Self::Corrupt { what, reason },
            other => Self::Unavailable { reason: other.to_string() },
        }
    }

    /// The answer for one of the groups.
    pub fn of(&self, group: &LogAppend) -> Error {
        match self {
            Self::NoNamespace => Error::NoNamespace { namespace: group.namespace.clone() },
            Self::Corrupt { what, reason } => {
                Error::Corrupt { what: what.clone(), reason: reason.clone() }
            }
            Self::Unavailable { reason } => Error::Unavailable { reason: reason.clone() },
        }
    }
}

#[derive(Default)]
pub struct Known {
    pub partitions: HashMap<NamespaceName, Partition>,
    /// The connection of the last append, whose statements are prepared: to a server
    /// far away another one would take several round trips first.
    pub session: Option<Session>,
    builder: BatchBuilder,
}

impl Known {
    /// The partitions of the groups as the tail feed names them.
    pub fn of(&self, groups: &[LogAppend]) -> BTreeMap<i64, tail::Partition> {
        let mut partitions = BTreeMap::new();
        for group in groups {
            if let Some(known) = self.partitions.get(&group.namespace) {
                let incarnation = known.id.unsigned_abs();
                let namespace = group.namespace.clone();
                partitions.insert(known.id, tail::Partition { namespace, incarnation });
            }
        }
        partitions
    }

    /// Notes what the server says under the locks. Returns whether all partitions
    /// are up to date and can be written to; if not, the transaction has ended and is
    /// to be begun again.
    ///
    /// What is far behind is caught up without the locks, since others wait for them;
    /// with `again`, that is once others have been faster than that, under the locks.
    pub async fn note(
        &mut self,
        session: &Session,
        names: &BTreeSet<&NamespaceName>,
        state: &State,
        refused: &mut Refused,
        again: bool,
    ) -> Result<bool, Failed> {
        let mut current = true;
        let mut behind = Vec::new();
        for name in names {
            let Some(partition) = self.partitions.get_mut(*name) else { continue };
            let told = state.partitions.get(&partition.id);
            let told = told.filter(|told| told.name.as_deref() == Some(name.as_str()));
            // One that is not there was deleted, and perhaps created again.
            let noted = told.map_or(Err(Behind::GoneBack), |told| told.tell(partition));
            if matches!(noted, Ok(true)) {
                behind.push(*name);
            }
            let noted = noted.map(|_may_go_on| ());
            current &= self.keep_or_drop(name, noted, refused)?;
        }
        if current && behind.is_empty() {
            return Ok(true);
        }
        let holds = again && current;
        if !holds {
            session.batch_execute("ROLLBACK").await?;
        }
        for name in behind {
            if let Some(partition) = self.partitions.get_mut(name) {
                let caught_up = partition.catch_up(session).await;
                current &= self.keep_or_drop(name, caught_up, refused)?;
            }
        }
        if holds && !current {
            session.batch_execute("ROLLBACK").await?;
        }
        Ok(holds && current)
    }

    /// Returns whether the partition need not be looked at again.
    fn keep_or_drop(
        &mut self,
        name: &NamespaceName,
        noted: Result<(), Behind>,
        refused: &mut Refused,
    ) -> Result<bool, Failed> {
        match noted {
            Ok(()) => return Ok(true),
            Err(Behind::Unanswered(error)) => return Err(error.into()),
            Err(Behind::GoneBack) => {}
            Err(Behind::Unusable(error)) => {
                refused.insert(name.clone(), Refusal::because(error));
            }
        }
        self.partitions.remove(name);
        Ok(refused.contains_key(name))
    }

    /// Decides, writes and commits.
    pub async fn write(
        &mut self,
        session: Session,
        call: &Call<'_>,
        refused: &Refused,
        state: State,
        doubt: &mut Option<Doubt>,
    ) -> Result<Decided, Failed> {
        let (decided, partitions) = self.decide(call, refused, &state);
        if decided.batches.is_empty() {
            session.roll_back().await;
            self.partitions.extend(partitions);
            return Ok(decided);
        }
        // From here on until the answer, whatever happens to this call.
        let doubted = doubt.insert(Doubt { xid: state.xid, decided });
        let mut failures = transaction::commit(&session, &doubted.decided.batches).await;
        if let Some(place) = failures.iter().position(failure::is_refusal) {
            *doubt = None;
            return Err(failures.swap_remove(place).into());
        }
        if let Some(error) = failures.into_iter().next() {
            return Err(Failed { error: error.into(), passing: true });
        }
        self.session = Some(session);
        self.partitions.extend(partitions);
        Ok(doubt.take().expect("set above, and no longer in doubt").decided)
    }

    /// Takes the partitions written to out of what is known, until they are committed.
    fn decide(
        &mut self,
        call: &Call<'_>,
        refused: &Refused,
        state: &State,
    ) -> (Decided, BTreeMap<NamespaceName, Partition>) {
        let mut decided = Decided::default();
        let mut held = BTreeMap::new();
        for group in call.groups {
            if let Some(refusal) = refused.get(&group.namespace) {
                decided.outcomes.push(Err(refusal.of(group)));
                continue;
            }
            if let Some(fence) = &group.fence
                && state.epochs.get(&fence.lease) != Some(&fence.epoch)
            {
                decided.outcomes.push(Err(Error::Fenced { lease: fence.lease.clone() }));
                continue;
            }
            let partition = held.entry(group.namespace.clone()).or_insert_with_key(|name| {
                self.partitions.remove(name).expect("what is not known is refused")
            });
            decided.add(partition, &group.records, call.now, &mut self.builder);
        }
        (decided, held)
    }
}
