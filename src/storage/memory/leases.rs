//! Leases where there is one process only: it holds what it requests.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::storage::error::Error;
use crate::storage::leases::Fence;
use crate::storage::leases::Leases;
use crate::storage::partition::LeaseName;

#[derive(Debug, Default)]
pub struct MemoryLeases {
    held: Mutex<Held>,
}

/// What is given up is forgotten: epochs rise over all leases.
#[derive(Debug, Default)]
struct Held {
    epochs: HashMap<LeaseName, u64>,
    newest_epoch: u64,
}

impl MemoryLeases {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leases for MemoryLeases {
    fn keep(&self, requested: &[LeaseName], all: bool) -> Result<Vec<Fence>, Error> {
        let mut held = self.held();
        let held = &mut *held;
        if all {
            let requested: HashSet<&LeaseName> = requested.iter().collect();
            held.epochs.retain(|lease, _epoch| requested.contains(lease));
        }
        let fence = |lease: &LeaseName| {
            let epoch = *held.epochs.entry(lease.clone()).or_insert_with(|| {
                held.newest_epoch += 1;
                held.newest_epoch
            });
            Fence { lease: lease.clone(), epoch }
        };
        Ok(requested.iter().map(fence).collect())
    }

    fn release(&self, fences: &[Fence]) -> Result<(), Error> {
        let mut held = self.held();
        for fence in fences {
            if held.epochs.get(&fence.lease) == Some(&fence.epoch) {
                held.epochs.remove(&fence.lease);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::partition::Partition;
    use engine::domain::NamespaceName;

    fn lease(duty: &str) -> LeaseName {
        let partition = Partition { namespace: NamespaceName::default(), incarnation: 1 };
        LeaseName { partition, duty: duty.to_owned() }
    }

    #[test]
    fn a_lease_keeps_its_epoch_until_it_is_given_up_and_is_forgotten_then() {
        let leases = MemoryLeases::default();
        let requested = [lease("lead/1"), lease("train")];
        let first = leases.keep(&requested, false).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(leases.keep(&requested, false).unwrap(), first);
        leases.release(&first).unwrap();
        assert!(leases.held().epochs.is_empty());
        let second = leases.keep(&requested, false).unwrap();
        assert!(second.iter().zip(&first).all(|(second, first)| second.epoch > first.epoch));
        leases.release(&first).unwrap();
        assert_eq!(
            leases.keep(&requested, false).unwrap(),
            second,
            "an old fence gives nothing up"
        );
        assert_eq!(leases.keep(&requested[..1], true).unwrap(), second[..1]);
        assert_eq!(leases.held().epochs.len(), 1, "what is not requested is given up");
    }
}
