//! Checkpoints that end long work early when the caller no longer waits.
//!
//! The engine has no clock, so the caller supplies the question. It is asked once per few
//! hundred items, and never again after the answer was yes. Work that is not given up has the
//! same result with and without checkpoints.

use std::cell::Cell;
use std::fmt;

/// Items between two questions.
const ASK_EVERY: u32 = 256;

/// The caller does not wait any more. The incomplete result is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller does not wait for it any more")]
pub struct Cancelled;

/// The checkpoints of one piece of work.
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

    /// For callers that wait without a limit.
    pub fn never() -> Self {
        Self::when(&|| false)
    }

    /// A checkpoint between two pieces of work.
    ///
    /// # Errors
    /// [`Cancelled`] once the answer is yes, and always after that.
    pub fn check(&self) -> Result<(), Cancelled> {
        if !self.given_up.get() && (self.question)() {
            self.given_up.set(true);
        }
        if self.given_up.get() { Err(Cancelled) } else { Ok(()) }
    }

    /// Whether a checkpoint found that the caller no longer waits. Does not ask.
    pub fn is_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// A checkpoint before one item of many.
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
    fn a_few_hundred_items_ask_once_and_no_question_follows_a_yes() {
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
