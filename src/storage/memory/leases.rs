//! Leases where there is one process only: a name is held or it is not.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::storage::error::Error;
use crate::storage::leases::Fence;
use crate::storage::leases::Lease;
use crate::storage::leases::Leases;

#[derive(Debug, Default)]
pub struct MemoryLeases {
    duties: Arc<Mutex<Duties>>,
}

/// Names are few: those of duties, some of them per namespace.
#[derive(Debug, Default)]
struct Duties(HashMap<String, Duty>);

#[derive(Debug, Default)]
struct Duty {
    held: bool,
    epoch: u64,
}

impl Leases for MemoryLeases {
    fn acquire(&self, name: &str) -> Result<Option<Box<dyn Lease>>, Error> {
        let mut duties = lock(&self.duties);
        let duty = duties.0.entry(name.to_owned()).or_default();
        if duty.held {
            return Ok(None);
        }
        duty.held = true;
        duty.epoch += 1;
        let fence = Fence { lease: name.to_owned(), epoch: duty.epoch };
        Ok(Some(Box::new(Held { duties: self.duties.clone(), fence })))
    }
}

#[derive(Debug)]
struct Held {
    duties: Arc<Mutex<Duties>>,
    fence: Fence,
}

impl Lease for Held {
    fn fence(&self) -> &Fence {
        &self.fence
    }

    fn is_held(&self) -> Result<bool, Error> {
        Ok(true)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(duty) = lock(&self.duties).0.get_mut(&self.fence.lease) {
            duty.held = false;
        }
    }
}

fn lock(duties: &Mutex<Duties>) -> MutexGuard<'_, Duties> {
    duties.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_holder_at_a_time_and_each_holding_a_higher_epoch() {
        let leases = MemoryLeases::default();
        let acquire = |name| leases.acquire(name).unwrap();
        let first = acquire("snapshots").unwrap();
        assert!(first.is_held().unwrap());
        assert!(acquire("snapshots").is_none());
        assert!(acquire("training").is_some(), "another name is free");
        let epoch = first.fence().epoch;
        drop(first);
        let second = acquire("snapshots").unwrap();
        assert_eq!(second.fence().lease, "snapshots");
        assert!(second.fence().epoch > epoch);
    }
}
