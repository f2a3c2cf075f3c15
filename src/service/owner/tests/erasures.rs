//! Erasures of the processes of tests: nobody is erased.

use super::store::Process;
use crate::storage::Erasures;
use crate::storage::Error;
use crate::storage::Instead;
use crate::storage::Partition;
use crate::storage::Replaced;
use crate::storage::StoredErasure;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;

impl Erasures for Process {
    fn begin(
        &self,
        _partition: &Partition,
        _erasure: &StoredErasure,
        _now: Timestamp,
        _until: Timestamp,
    ) -> Result<StoredErasure, Error> {
        unreachable!("nobody is erased")
    }

    fn add_ids(
        &self,
        _partition: &Partition,
        _id: &str,
        _user_ids: &[UserId],
        _until: Timestamp,
    ) -> Result<Option<StoredErasure>, Error> {
        unreachable!("nobody is erased")
    }

    fn erasure(&self, _partition: &Partition, _id: &str) -> Result<Option<StoredErasure>, Error> {
        Ok(None)
    }

    fn in_log(&self, _partition: &Partition, _count: usize) -> Result<Vec<StoredErasure>, Error> {
        Ok(Vec::new())
    }

    fn out_of_log(
        &self,
        _partition: &Partition,
        _count: usize,
    ) -> Result<Vec<StoredErasure>, Error> {
        Ok(Vec::new())
    }

    fn namespaces_with_unfinished(&self) -> Result<Vec<NamespaceName>, Error> {
        Ok(Vec::new())
    }

    fn report(
        &self,
        _partition: &Partition,
        _before: &StoredErasure,
        _after: &StoredErasure,
    ) -> Result<bool, Error> {
        unreachable!("nobody is erased")
    }

    fn readmit(&self, _partition: &Partition, _user_id: &UserId) -> Result<bool, Error> {
        Ok(false)
    }

    fn replace(
        &self,
        _partition: &Partition,
        _after: Sequence,
        _instead: Instead<'_>,
    ) -> Result<Replaced, Error> {
        unreachable!("nobody is erased")
    }

    fn is_rewritten(&self, _partition: &Partition) -> Result<bool, Error> {
        unreachable!("nobody is erased")
    }

    fn raise_revision(&self, _partition: &Partition) -> Result<bool, Error> {
        unreachable!("nobody is erased")
    }

    fn scrub(&self) -> Result<(), Error> {
        unreachable!("nobody is erased")
    }
}
