//! Features of many candidates for one user, one row each.

use crate::numeric::math;

pub const MODERATORS: usize = 2;

/// What the slopes of curves depend on, of the user at the time of the request: the length of the history, -1 without
/// positives, 0 with 19, 1 with 402; and the absence, -1 right after a positive and without any, 0 after
/// 19 hours, 1 after 17 days.
pub type Moderators = [f32; MODERATORS];

/// Of a user with so many positives, so many hours after the newest of them.
pub fn moderators(positives: u32, hours_since: f64) -> Moderators {
    [positives as f32, hours_since.max(0.0) as f32].map(|of| math::log1p_f32(of) / 3.0 - 1.0)
}

/// Rows of equal width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureMatrix {
    width: usize,
    values: Vec<f32>,
    moderators: Moderators,
}

impl FeatureMatrix {
    /// Rows of zeros.
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width], moderators: moderators(0, 0.0) }
    }

    /// # Panics
    /// When rows are not equally long.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let mut matrix = Self::zeros(0, 0);
        for row in rows {
            assert!(matrix.values.is_empty() || row.len() == matrix.width, "rows are as wide");
            matrix.width = row.len();
            matrix.values.extend_from_slice(row);
        }
        matrix
    }

    /// The same for another user.
    #[must_use]
    pub fn moderated(self, moderators: Moderators) -> Self {
        Self { moderators, ..self }
    }

    pub fn moderators(&self) -> &Moderators {
        &self.moderators
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    pub fn rows_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.width.max(1))
    }

    /// Of one candidate.
    pub fn row(&self, candidate: usize) -> &[f32] {
        &self.values[candidate * self.width..][..self.width]
    }

    /// All values, row by row.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The mean of all rows; zeros without any.
    pub fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.width];
        for row in self.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let n = self.len().max(1) as f64;
        sums.into_iter().map(|sum| (sum / n) as f32).collect()
    }
}
