//! A queue with a bound in items and in bytes, for what may be dropped.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

pub struct Sender<T> {
    items: mpsc::Sender<Queued<T>>,
    bytes: Arc<Semaphore>,
}

pub struct Receiver<T> {
    items: mpsc::Receiver<Queued<T>>,
}

/// Takes its share of the queue until it is dropped: what is under way counts.
pub struct Queued<T> {
    pub item: T,
    _permit: OwnedSemaphorePermit,
}

pub fn bounded<T>(items_max: usize, bytes_max: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(items_max);
    let bytes = Arc::new(Semaphore::new(bytes_max));
    (Sender { items: sender, bytes }, Receiver { items: receiver })
}

impl<T> Sender<T> {
    /// Returns whether it fits; only then the item is made. Never waits.
    pub fn push(&self, bytes: usize, item: impl FnOnce() -> T) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match self.bytes.clone().try_acquire_many_owned(bytes) {
            Ok(permit) => self.items.try_send(Queued { item: item(), _permit: permit }).is_ok(),
            Err(_full) => false,
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for items and takes up to `limit` of them; empty when the sender is gone.
    pub async fn take(&mut self, limit: usize) -> Vec<Queued<T>> {
        let mut taken = Vec::new();
        self.items.recv_many(&mut taken, limit).await;
        taken
    }
}
