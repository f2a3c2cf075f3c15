//! Taking an observation back from least squares in square-root form, and solving with the transposed factor.
//!
//! Storage is that of [`crate::numeric::square_root`].
//! Invariants
//! - The factor stays positive: what is taken back leaves at least the prior, `ridge` on each axis.
//! - Sums are in a fixed order: the same bits on every CPU.
//!
//! Source: Bojanczyk, Brent, Van Dooren, de Hoog 1987, "A note on downdating the Cholesky factorization" (mixed form).
//! Cost: `withdraw` about 3 d^2 multiplications, `back_substitute` d^2 / 2.

use crate::numeric::gram::packed_len;

/// Sums of products that do not wait for each other.
const LANES: usize = 4;

/// `A -= x x'`, `b` unchanged. `x` is overwritten.
///
/// Panics when the lengths do not match.
pub fn withdraw(
    l: &mut [f64],
    inverse_diagonal: &mut [f64],
    z: &mut [f64],
    x: &mut [f64],
    ridge: f64,
) {
    let d = x.len();
    assert!(l.len() == packed_len(d) && inverse_diagonal.len() == d && z.len() == d, "shapes");
    let mut b = right_hand_side(l, z);
    let mut open = &mut *x;
    let mut columns = &mut *l;
    for inverse in inverse_diagonal.iter_mut() {
        let (column, later_columns) = columns.split_at_mut(open.len());
        let (first, later) = open.split_first_mut().expect("a column for each element");
        if *first != 0.0 {
            let (diagonal, column) = column.split_first_mut().expect("a diagonal");
            // Of A without x each pivot is at least the ridge; rounding may say less.
            let length = (*diagonal * *diagonal - *first * *first).max(ridge).sqrt();
            let (cosine, sine) = (length / *diagonal, *first / *diagonal);
            *diagonal = length;
            *inverse = 1.0 / length;
            for (l, x) in column.iter_mut().zip(later.iter_mut()) {
                *l = (*l - sine * *x) / cosine;
                *x = cosine * *x - sine * *l;
            }
        }
        (open, columns) = (later, later_columns);
    }
    // L z = b with the new factor.
    let mut columns = &*l;
    for row in 0..d {
        let (column, later) = columns.split_at(d - row);
        z[row] = b[row] * inverse_diagonal[row];
        for (b, l) in b[row + 1..].iter_mut().zip(&column[1..]) {
            *b -= z[row] * l;
        }
        columns = later;
    }
}

/// `b = L z`.
fn right_hand_side(l: &[f64], z: &[f64]) -> Vec<f64> {
    let d = z.len();
    let mut b = vec![0.0; d];
    let mut columns = l;
    for (row, z) in z.iter().enumerate() {
        let (column, later) = columns.split_at(d - row);
        for (b, l) in b[row..].iter_mut().zip(column) {
            *b += z * l;
        }
        columns = later;
    }
    b
}

/// Solves `L' x = y` in place of `y`.
///
/// Panics when the lengths do not match.
pub fn back_substitute(l: &[f64], inverse_diagonal: &[f64], y: &mut [f64]) {
    let d = y.len();
    assert!(l.len() == packed_len(d) && inverse_diagonal.len() == d, "shapes");
    let mut end = l.len();
    for row in (0..d).rev() {
        let column = &l[end + row - d..end];
        end -= column.len();
        let rest = product(&column[1..], &y[row + 1..]);
        y[row] = (y[row] - rest) * inverse_diagonal[row];
    }
}

fn product(left: &[f64], right: &[f64]) -> f64 {
    let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let tail: f64 = lefts.remainder().iter().zip(rights.remainder()).map(|(l, r)| l * r).sum();
    let mut sums = [0.0; LANES];
    for (left, right) in lefts.zip(rights) {
        for ((sum, l), r) in sums.iter_mut().zip(left).zip(right) {
            *sum += l * r;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::lanes::tests_support::noise;
    use crate::numeric::square_root::Projection;
    use crate::numeric::square_root::observe;
    use crate::numeric::square_root::project;

    const RIDGE: f64 = 2.0;

    struct Square {
        l: Vec<f64>,
        inverse: Vec<f64>,
        z: Vec<f64>,
    }

    impl Square {
        fn new(d: usize) -> Self {
            let mut l = vec![0.0; packed_len(d)];
            let mut diagonal = 0;
            for column in 0..d {
                l[diagonal] = RIDGE.sqrt();
                diagonal += d - column;
            }
            Self { l, inverse: vec![RIDGE.sqrt().recip(); d], z: vec![0.0; d] }
        }

        fn change(&mut self, x: &[f64], reward: f64) {
            let mut y = x.to_vec();
            project(&mut [Projection::new(&self.l, &self.inverse, &self.z, &mut y)]);
            self.z.iter_mut().zip(y).for_each(|(z, y)| *z += reward * y);
        }
    }

    fn near(found: &[f64], expected: &[f64]) -> bool {
        found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-9 * (1.0 + e.abs()))
    }

    #[test]
    fn an_observation_taken_back_leaves_what_the_others_lead_to() {
        for d in [1, 2, 7, 33] {
            let values = noise(d * 40, 5);
            let rows: Vec<Vec<f64>> =
                values.chunks(d).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
            let (mut all, mut others) = (Square::new(d), Square::new(d));
            for (n, x) in rows.iter().enumerate() {
                let reward = (n % 3) as f64;
                let kept = [Some(&mut all), (n % 4 > 0).then_some(&mut others)];
                for square in kept.into_iter().flatten() {
                    observe(&mut square.l, &mut square.inverse, &mut square.z, &mut x.clone());
                    square.change(x, reward);
                }
            }
            for (n, x) in rows.iter().enumerate().filter(|(n, _)| n % 4 == 0) {
                all.change(x, -((n % 3) as f64));
                let Square { l, inverse, z } = &mut all;
                withdraw(l, inverse, z, &mut x.clone(), RIDGE);
            }
            assert!(near(&all.l, &others.l) && near(&all.z, &others.z), "d={d}");
            assert!(near(&all.inverse, &others.inverse), "d={d}");
        }
    }

    #[test]
    fn both_halves_of_the_factor_solve_the_normal_equations() {
        for d in [1, 6, 13] {
            let mut square = Square::new(d);
            for row in noise(d * 20, 3).chunks(d) {
                let mut x: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
                observe(&mut square.l, &mut square.inverse, &mut square.z, &mut x);
            }
            let b: Vec<f64> = (0..d).map(|row| row as f64 - 2.0).collect();
            let mut x = b.clone();
            project(&mut [Projection::new(&square.l, &square.inverse, &square.z, &mut x)]);
            back_substitute(&square.l, &square.inverse, &mut x);
            // A x = L (L' x).
            let mut upper = vec![0.0; d];
            let mut columns = &square.l[..];
            for row in 0..d {
                let (column, later) = columns.split_at(d - row);
                upper[row] = product(column, &x[row..]);
                columns = later;
            }
            assert!(near(&right_hand_side(&square.l, &upper), &b), "d={d}");
        }
    }
}
