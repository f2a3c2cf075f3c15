//! Sixteen f32 lanes and their one reduction tree, the unit of order for every sum in this module.
//!
//! Invariants: lane `l` of a sum over `x` holds `x[l] + x[l + 16] + x[l + 32] + ...` in that order, a short tail going to
//! the first lanes; lanes are then added as `l + (l + 8)`, `+ 4`, `+ 2`, `+ 1`. `dispatch::Vector` holds such lanes in
//! registers.

pub(super) const LANES: usize = 16;
pub(super) type Lanes = [f32; LANES];

/// The sixteen values that start at `at`. Panics when they are not all there.
#[inline(always)]
pub(super) fn lanes_at(x: &[f32], at: usize) -> &Lanes {
    match x[at..].first_chunk() {
        Some(chunk) => chunk,
        None => panic!("sixteen lanes needed at {at} of {}", x.len()),
    }
}

/// Mutable form of `lanes_at`.
#[inline(always)]
pub(super) fn lanes_at_mut(x: &mut [f32], at: usize) -> &mut Lanes {
    match x[at..].first_chunk_mut() {
        Some(chunk) => chunk,
        None => panic!("sixteen lanes needed at {at}"),
    }
}

/// The sum of the lanes by the fixed tree.
#[inline(always)]
pub(super) fn reduce(sum: &Lanes) -> f32 {
    let mut eight = [0.0_f32; 8];
    for lane in 0..8 {
        eight[lane] = sum[lane] + sum[lane + 8];
    }
    let mut four = [0.0_f32; 4];
    for lane in 0..4 {
        four[lane] = eight[lane] + eight[lane + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_adds_every_lane_once() {
        let mut x = [0.0; LANES];
        for (i, v) in x.iter_mut().enumerate() {
            *v = (1 << i) as f32;
        }
        assert_eq!(reduce(&x), 65_535.0);
    }
}

/// Data for the tests of the kernels.
#[cfg(test)]
pub(super) mod tests_support {
    /// `n` reproducible values in [-1, 1).
    pub(in super::super) fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32) / 8_388_608.0 - 1.0
            })
            .collect()
    }
}
