//! Memory that starts on a cache line, so that no load of sixteen lanes crosses one.
//!
//! Invariant: the same values whether or not the allocator's memory could be aligned; only speed differs.

use crate::numeric::lanes::LANES;

/// A fixed number of f32 that start at a multiple of 64 bytes.
#[derive(Debug)]
pub struct Aligned {
    /// With up to a cache line of slack before and after.
    memory: Vec<f32>,
    from: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let memory = vec![0.0_f32; len + LANES];
        // At most fifteen values in practice; an answer of "cannot" is allowed and means no alignment.
        let from = memory.as_ptr().align_offset(LANES * size_of::<f32>());
        Self { memory, from: if from < LANES { from } else { 0 }, len }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.memory[self.from..self.from + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.memory[self.from..self.from + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_there_and_the_first_is_on_a_cache_line() {
        for len in [0, 1, 16, 1000] {
            let mut values = Aligned::zeroed(len);
            assert_eq!(values.as_slice(), vec![0.0; len]);
            values.as_mut_slice().fill(2.0);
            assert_eq!(values.as_slice(), vec![2.0; len]);
            assert_eq!(values.as_slice().as_ptr() as usize % 64, 0);
        }
    }
}
