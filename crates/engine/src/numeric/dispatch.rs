//! Runs a kernel with the widest vector instructions of this CPU.
//!
//! Invariants
//! - A kernel is one generic `#[inline(always)]` body compiled three times: AVX-512, AVX2, plain arrays. Its vectors have
//!   sixteen lanes in every version and no operation is fused, so the versions give the same bits; the tests of each
//!   kernel check it level by level. The exceptions are `Vector::mul_add` and `sums`, which say so.
//! - This is the only file of the crate with `unsafe`. The vector types are private to it: a kernel meets them only as the
//!   type parameter of `Kernel::run`, called from inside a function that enables their instructions, after detection.
//!
//! Why intrinsics: the compiler does not turn loops over `[f32; 16]` into registers in these kernels (measured: 30 times
//! slower). Cost: one relaxed atomic load and a predictable branch per call.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "vector instructions beyond the baseline; each use is guarded by a detected level"
    )
)]

use std::sync::atomic::{AtomicU8, Ordering};

use crate::numeric::lanes::{LANES, Lanes, reduce};

/// Sixteen f32 lanes.
pub(super) trait Vector: Copy {
    fn load(from: &Lanes) -> Self;
    fn store(self, to: &mut Lanes);
    fn splat(value: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the CPU can and twice where not: not the same bits everywhere, so
    /// only for what does not replay (`conjugate_gradient`).
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The sum of the lanes by the tree of `lanes::reduce`.
    fn sum(self) -> f32;
    /// The sum of the lanes of each vector, in an order of the instruction set's own: as for `mul_add`.
    #[inline(always)]
    fn sums<const N: usize>(vectors: [Self; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = vector.sum();
        }
        sums
    }
}

/// A computation that can be compiled for several instruction sets.
///
/// `ROWS` is the height of the register tile that suits the instruction set (16 vectors fill half of the 32 AVX-512
/// registers). It must change speed only, never the order of operations on one element.
pub(super) trait Kernel {
    type Output;
    fn run<V: Vector, const ROWS: usize>(self) -> Self::Output;
}

/// Instruction sets a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Level {
    Portable = 1,
    Avx2 = 2,
    Avx512 = 3,
}

/// 0 = not yet detected; else a `Level`.
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The best level of this CPU, detected once.
#[inline]
pub(super) fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => detect_and_store(),
    }
}

#[cold]
fn detect_and_store() -> Level {
    let found = detect();
    // Relaxed suffices: every thread that races here computes and stores the same value.
    LEVEL.store(found as u8, Ordering::Relaxed);
    found
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx512 = std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512bw");
    if avx512 {
        Level::Avx512
    } else if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
    {
        Level::Avx2
    } else {
        Level::Portable
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// Runs `kernel` at the best level of this CPU.
#[inline]
pub(super) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    run_detected(level(), kernel)
}

/// Runs `kernel` at `level`, which must not exceed the detected one (checked: it falls to the detected one).
#[cfg(test)]
pub(super) fn dispatch_at<K: Kernel>(requested: Level, kernel: K) -> K::Output {
    let best = level();
    run_detected(if requested as u8 > best as u8 { best } else { requested }, kernel)
}

/// The levels that this CPU can run.
#[cfg(test)]
pub(super) fn levels() -> Vec<Level> {
    [Level::Portable, Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(|l| *l as u8 <= level() as u8)
        .collect()
}

/// Private: callers guarantee that `level` is at most the detected one.
#[cfg(target_arch = "x86_64")]
#[inline]
fn run_detected<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level {
        // SAFETY: the level is at most the detected one (both callers ensure it), and detection saw every feature that
        // `run_avx512` enables.
        Level::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above; a CPU of level Avx2 or Avx512 has AVX2 and FMA.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        Level::Portable => kernel.run::<Plain, 2>(),
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn run_detected<K: Kernel>(_level: Level, kernel: K) -> K::Output {
    kernel.run::<Plain, 4>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<x86::Wide, 16>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<x86::Pair, 4>()
}

/// Plain arrays, for CPUs without the others.
#[derive(Clone, Copy)]
struct Plain(Lanes);

impl Plain {
    #[inline(always)]
    fn map(self, other: Self, op: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = self.0;
        for (value, other) in out.iter_mut().zip(other.0) {
            *value = op(*value, other);
        }
        Self(out)
    }
}

impl Vector for Plain {
    #[inline(always)]
    fn load(from: &Lanes) -> Self {
        Self(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes) {
        *to = self.0;
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(other, |a, b| a * b)
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul(factor).add(addend)
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        reduce(&self.0)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! SAFETY of every block here: `Wide` and `Pair` are private to `dispatch` and used only as type arguments inside
    //! `run_avx512` and `run_avx2`, which run only on a CPU where their features were detected. Loads and stores go
    //! through references to exactly sixteen f32 and need no alignment.
    use std::arch::x86_64::*;

    use super::Vector;
    use crate::numeric::lanes::Lanes;

    /// One 512-bit register (AVX-512 F, DQ).
    #[derive(Clone, Copy)]
    pub(super) struct Wide(__m512);

    /// Two 256-bit registers (AVX2).
    #[derive(Clone, Copy)]
    pub(super) struct Pair(__m256, __m256);

    impl Vector for Wide {
        #[inline(always)]
        fn load(from: &Lanes) -> Self {
            // SAFETY: module comment.
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }
        #[inline(always)]
        fn store(self, to: &mut Lanes) {
            // SAFETY: module comment.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: module comment.
            Self(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: module comment.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: module comment.
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: module comment.
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: module comment.
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
        }
        #[inline(always)]
        fn sums<const N: usize>(vectors: [Self; N]) -> [f32; N] {
            let mut sums = [0.0; N];
            let mut done = 0;
            while done + 4 <= N {
                let [a, b, c, d] = [done, done + 1, done + 2, done + 3];
                let four = [vectors[a].0, vectors[b].0, vectors[c].0, vectors[d].0];
                sums[done..done + 4].copy_from_slice(&sum_four(four));
                done += 4;
            }
            while done < N {
                sums[done] = vectors[done].sum();
                done += 1;
            }
            sums
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: module comment.
            unsafe {
                let (low, high) =
                    (_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
                sum_eight(_mm256_add_ps(low, high))
            }
        }
    }

    impl Vector for Pair {
        #[inline(always)]
        fn load(from: &Lanes) -> Self {
            // SAFETY: module comment; the second address is eight values into the sixteen.
            unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
        }
        #[inline(always)]
        fn store(self, to: &mut Lanes) {
            // SAFETY: as for `load`.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
            }
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: module comment.
            let half = unsafe { _mm256_set1_ps(value) };
            Self(half, half)
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: module comment.
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: module comment.
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: module comment.
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: module comment.
            unsafe {
                Self(
                    _mm256_fmadd_ps(self.0, factor.0, addend.0),
                    _mm256_fmadd_ps(self.1, factor.1, addend.1),
                )
            }
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: module comment.
            unsafe { sum_eight(_mm256_add_ps(self.0, self.1)) }
        }
    }

    /// The sums of four registers at once: every shuffle works for two or four of them.
    #[inline(always)]
    fn sum_four([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // SAFETY: module comment.
        unsafe {
            // A quarter of a register is four lanes. First each register's quarters in pairs, then in fours:
            // the quarters of `all` belong to a, b, c, d.
            let ab = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b),
                _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b),
            );
            let cd = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0b01_00_01_00>(c, d),
                _mm512_shuffle_f32x4::<0b11_10_11_10>(c, d),
            );
            let all = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd),
                _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd),
            );
            let pairs = _mm512_add_ps(all, _mm512_permute_ps::<0b01_00_11_10>(all));
            let sums = _mm512_add_ps(pairs, _mm512_permute_ps::<0b10_11_00_01>(pairs));
            [
                _mm512_cvtss_f32(sums),
                _mm_cvtss_f32(_mm512_extractf32x4_ps::<1>(sums)),
                _mm_cvtss_f32(_mm512_extractf32x4_ps::<2>(sums)),
                _mm_cvtss_f32(_mm512_extractf32x4_ps::<3>(sums)),
            ]
        }
    }

    /// The last three levels of the tree: lanes 4 apart, 2 apart, 1 apart.
    ///
    /// # Safety
    /// The CPU has AVX.
    #[inline(always)]
    unsafe fn sum_eight(eight: __m256) -> f32 {
        // SAFETY: the caller's contract.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_level_is_stable() {
        assert_eq!(level(), level());
        assert!(levels().contains(&Level::Portable));
    }
}
