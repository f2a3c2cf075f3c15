//! Which items take part in a fit, and the dense algebra of the fits.
//!
//! By faer, whose bits depend on the CPU: what comes out enters the state as data.

use faer::Accum;
use faer::Mat;
use faer::Par;
use faer::dyn_stack::MemBuffer;
use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular;
use faer::linalg::matmul::triangular::BlockStructure;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::linalg::triangular_solve::solve_upper_triangular_in_place;

use crate::models::collaborative::training_set::TrainingSet;

/// Items that take part in a dense fit at most: 4,096^3 operations are a few seconds on one core.
pub const DENSE_MAX: usize = 4_096;
/// Users with a positive for an item before it takes part.
const SUPPORT_MIN: usize = 2;

/// The items that take part, in order, and the place of each among them.
#[derive(Debug)]
pub struct Chosen {
    pub items: Vec<u32>,
    /// By item; `u32::MAX` for one that does not take part.
    places: Vec<u32>,
}

impl Chosen {
    /// Of the items that are `open` the `most` that most users consumed. `None` when fewer than two
    /// take part.
    pub fn of(set: &TrainingSet, open: impl Fn(u32) -> bool, most: usize) -> Option<Self> {
        let items = most_consumed(set, open, most);
        if items.len() < 2 {
            return None;
        }
        let mut places = vec![u32::MAX; set.n_items()];
        for (at, &item) in items.iter().enumerate() {
            places[item as usize] = at as u32;
        }
        Some(Self { items, places })
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Places of the positives of a user that take part, in the order of the row.
    pub fn positives<'a>(&'a self, set: &'a TrainingSet, user: usize) -> impl Iterator<Item = u32> {
        let (items, confidences) = set.row(user);
        let positives = items.iter().zip(confidences).filter(|entry| *entry.1 > 0.0);
        positives.map(|(&item, _)| self.places[item as usize]).filter(|&place| place != u32::MAX)
    }
}

/// The items that take part, by index.
fn most_consumed(set: &TrainingSet, open: impl Fn(u32) -> bool, most: usize) -> Vec<u32> {
    let mut counts = vec![0_usize; set.n_items()];
    for user in 0..set.n_users() {
        let (items, confidences) = set.row(user);
        for (&item, _) in items.iter().zip(confidences).filter(|entry| *entry.1 > 0.0) {
            counts[item as usize] += 1;
        }
    }
    let mut chosen: Vec<u32> = (0..set.n_items() as u32)
        .filter(|&item| counts[item as usize] >= SUPPORT_MIN && open(item))
        .collect();
    if chosen.len() > most {
        chosen.sort_by(|&a, &b| counts[b as usize].cmp(&counts[a as usize]).then(a.cmp(&b)));
        chosen.truncate(most);
        chosen.sort_unstable();
    }
    chosen
}

/// `matrix + l2 I`, of which the lower triangle is given.
pub fn ridge(mut matrix: Mat<f32>, l2: f64) -> Mat<f32> {
    for at in 0..matrix.nrows() {
        matrix[(at, at)] += l2 as f32;
    }
    matrix
}

/// Factors the lower triangle of a symmetric matrix in place; `None` when it is not positive definite.
fn factored(mut matrix: Mat<f32>) -> Option<Mat<f32>> {
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f32>(
        matrix.nrows(),
        Par::Seq,
        Default::default(),
    ));
    llt::factor::cholesky_in_place(
        matrix.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    Some(matrix)
}

/// The solution `X` of `matrix X = right`; `None` as for [`inverse`].
pub fn solved(matrix: Mat<f32>, mut right: Mat<f32>) -> Option<Mat<f32>> {
    let factor = factored(matrix)?;
    solve_lower_triangular_in_place(factor.as_ref(), right.as_mut(), Par::Seq);
    solve_upper_triangular_in_place(factor.transpose(), right.as_mut(), Par::Seq);
    Some(right)
}

/// The inverse of a symmetric matrix given by its lower triangle, by Cholesky; `None` when
/// it is not positive definite. Takes the memory of two matrices: `L^-1` is the second, and
/// the product `L^-T L^-1` overwrites L.
pub fn inverse(matrix: Mat<f32>) -> Option<Mat<f32>> {
    let n = matrix.nrows();
    let mut matrix = factored(matrix)?;
    let mut inverse_factor = Mat::<f32>::zeros(n, n);
    invert_lower_triangular(inverse_factor.as_mut(), matrix.as_ref(), Par::Seq);
    triangular::matmul(
        matrix.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        inverse_factor.transpose(),
        BlockStructure::TriangularUpper,
        inverse_factor.as_ref(),
        BlockStructure::TriangularLower,
        1.0,
        Par::Seq,
    );
    mirror(&mut matrix);
    Some(matrix)
}

/// Fills the upper triangle from the lower one, in tiles that stay in the cache.
fn mirror(matrix: &mut Mat<f32>) {
    const TILE: usize = 64;
    let n = matrix.nrows();
    for columns in (0..n).step_by(TILE) {
        for lines in (columns..n).step_by(TILE) {
            for column in columns..n.min(columns + TILE) {
                for line in lines.max(column + 1)..n.min(lines + TILE) {
                    matrix[(column, line)] = matrix[(line, column)];
                }
            }
        }
    }
}
