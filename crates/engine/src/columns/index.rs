//! Indices of items and of users: a type for each, so that neither is taken for the other.
//!
//! An index is a slot of its store and is written as a bare number. A row of a model and a
//! candidate of a request are no items: they are counted by other types.

use serde::Deserialize;
use serde::Serialize;

/// What a column is indexed by.
pub trait Index: Copy + Ord {
    /// The index of a slot.
    fn of_slot(slot: usize) -> Self;

    fn slot(self) -> usize;
}

impl Index for usize {
    fn of_slot(slot: usize) -> Self {
        slot
    }

    fn slot(self) -> usize {
        self
    }
}

/// An index of a kind that has no type of its own.
impl Index for u32 {
    fn of_slot(slot: usize) -> Self {
        Self::try_from(slot).expect("fewer than 2^32 slots fit in memory")
    }

    fn slot(self) -> usize {
        self as usize
    }
}

macro_rules! index {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(transparent)]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $name {
            pub const fn new(index: u32) -> Self {
                Self(index)
            }

            pub const fn get(self) -> u32 {
                self.0
            }

            pub const fn as_usize(self) -> usize {
                self.0 as usize
            }
        }

        impl Index for $name {
            fn of_slot(slot: usize) -> Self {
                Self(u32::of_slot(slot))
            }

            fn slot(self) -> usize {
                self.as_usize()
            }
        }
    };
}

index! {
    /// The slot of an item.
    ItemIndex
}

index! {
    /// The slot of a user.
    UserIndex
}
