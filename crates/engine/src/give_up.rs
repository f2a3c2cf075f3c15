//! Whether whoever asked still waits: checkpoints by which long work ends early.
//!
//! The engine has no clock, so the caller brings the question; it is asked once for a few
//! hundred items, and never again after it was answered with yes. Work that is never given
//! up comes out the same, whether it was asked about or not.

use std::cell::Cell;
use std::fmt;

/// Items that are worked on between two questions.
const ASK_EVERY: u32 = 256;

/// The caller does not wait any more; what was worked out is incomplete and thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller does not wait for it any more")]
pub struct Cancelled;

/// Asks the caller of one piece of work.
pub struct GiveUp<'a> {
    question: &'a dyn Fn() -> bool,
    items: Cell<u32>,
    given_up: Cell<bool>,
}

impl<'a> GiveUp<'a> {
    /// `question`: whether to give up. It should cost less than a microsecond.
    pub fn when(question: &'a dyn Fn() -> bool) -> Self {
        Self { question, items: Cell::new(0), given_up: Cell::new(false) }
    }

    /// For callers who wait however long it takes.
    pub fn never() -> Self {
        Self::when(&|| false)
    }

    /// A checkpoint between two pieces of work.
    ///
    /// # Errors
    /// [`Cancelled`], from then on always.
    pub fn check(&self) -> Result<(), Cancelled> {
        if !self.given_up.get() && (self.question)() {
            self.given_up.set(true);
        }
        if self.given_up.get() { Err(Cancelled) } else { Ok(()) }
    }

    /// Whether it was found out that nobody waits. Asks nobody.
    pub fn is_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// A checkpoint in front of one item of many.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn step(&self) -> Result<(), Cancelled> {
        let items = self.items.get() + 1;
        if items < ASK_EVERY && !self.given_up.get() {
            self.items.set(items);
            return Ok(());
        }
        self.items.set(0);
        self.check()
    }
}

impl fmt::Debug for GiveUp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GiveUp").field("given_up", &self.given_up.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_hundred_items_ask_once_and_who_gave_up_is_not_asked_again() {
        let asked = Cell::new(0);
        let question = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let give_up = GiveUp::when(&question);
        let done = (0..10_000).take_while(|_| give_up.step().is_ok()).count();
        assert_eq!((done, asked.get()), (3 * ASK_EVERY as usize - 1, 3));
        assert_eq!((give_up.step(), give_up.check()), (Err(Cancelled), Err(Cancelled)));
        assert_eq!(asked.get(), 3);
    }
}
