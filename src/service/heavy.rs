//! Long work of one call, on a thread of its own, which ends with the call.
//!
//! A call that is dropped (its caller went away, its deadline passed) cannot take its
//! thread along; its work ends at the next checkpoint instead.

use tokio_util::sync::CancellationToken;

use super::error::Error;
use engine::Cancelled;
use engine::GiveUp;

/// # Errors
/// `GivenUp`; `ShuttingDown` when the work was cut off.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce(&GiveUp<'_>) -> Result<T, Cancelled> + Send + 'static,
) -> Result<T, Error> {
    let dropped = CancellationToken::new();
    let _at_the_end_of_the_call = dropped.clone().drop_guard();
    let work = move || work(&GiveUp::when(&|| dropped.is_cancelled()));
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|Cancelled| Error::GivenUp),
        Err(_panicked) => Err(Error::ShuttingDown),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_ends_when_its_call_is_dropped() {
        let (ended, is_ended) = mpsc::channel();
        let call = run(move |give_up| {
            while give_up.check().is_ok() {
                std::thread::yield_now();
            }
            ended.send(()).expect("the test waits for it");
            give_up.check()
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
        is_ended.recv_timeout(Duration::from_secs(10)).expect("the work ended");
    }
}
