//! Numeric kernels on slices: dot products, Gram matrices, Cholesky solves, top-k selection, elementary functions.
//!
//! Invariants
//! - Knows no domain type, does no I/O, holds no state but the cached CPU level.
//! - Every function gives the same bits on every CPU: sums run in a fixed order (16 lanes and one reduction tree, or
//!   strictly sequential), multiplication and addition are separate (never fused), and `exp`, `ln` and friends come
//!   from the `libm` crate. So state built with these functions may enter a replayed digest. The one exception is
//!   `conjugate_gradient`, which is for training.

mod aligned;
pub mod cholesky;
pub mod cholesky_f64;
pub mod conjugate_gradient;
mod dispatch;
pub mod downdate;
mod empirical_bernstein;
mod gram;
mod kernels;
mod lanes;
pub mod lbfgs;
pub mod math;
pub mod normal;
pub mod packing;
pub mod rounding;
pub mod square_root;
mod top_k;
pub mod triangular;
mod weighted_difference;

pub use aligned::Aligned;
pub use empirical_bernstein::{Guess, LowerBound};
pub use gram::{add_gram, add_outer, add_outer_packed, packed_len};
pub use kernels::{add_vector_matrix, axpy, dot, dot_rows, fixed_sum, scale_into, sum_squares};
pub use top_k::TopK;
pub use weighted_difference::WeightedDifference;
