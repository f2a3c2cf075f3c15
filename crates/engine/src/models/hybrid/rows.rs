//! Features of many candidates for one user, one row each.

use crate::numeric::math;

/// Rows of equal width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureMatrix {
    width: usize,
    values: Vec<f32>,
    /// Of the user's history.
    length: f32,
}

fn length(positives: u32) -> f32 {
    math::log1p_f32(positives as f32) / 3.0 - 1.0
}

impl FeatureMatrix {
    /// Rows of zeros.
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width], length: length(0) }
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

    /// The same for a user with so many positives.
    #[must_use]
    pub fn of_history(self, positives: u32) -> Self {
        Self { length: length(positives), ..self }
    }

    /// The length of the user's history: -1 without positives, 0 with 19, 1 with 402.
    pub fn length(&self) -> f32 {
        self.length
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
