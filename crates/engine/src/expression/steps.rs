//! The steps of an evaluation: nodes looked at and values compared. Tests count them, since
//! [`crate::expression::cost`] bounds them.

pub fn step() {
    steps(1);
}

#[cfg(not(test))]
pub fn steps(_count: usize) {}

#[cfg(test)]
pub use counting::steps;

#[cfg(test)]
pub mod counting {
    use std::cell::Cell;

    thread_local! {
        static TAKEN: Cell<usize> = const { Cell::new(0) };
    }

    pub fn steps(count: usize) {
        TAKEN.set(TAKEN.get() + count);
    }

    /// Steps that the work takes.
    pub fn taken<T>(work: impl FnOnce() -> T) -> (T, usize) {
        TAKEN.set(0);
        let done = work();
        (done, TAKEN.get())
    }
}
