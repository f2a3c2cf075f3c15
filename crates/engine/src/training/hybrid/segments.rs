//! The values of a choice set, by feature and by the bends between which they lie.
//!
//! Between two bends a curve is a line, so scores and sums over the values are short loops over neighbours in
//! memory. Values that are 0 add nothing and are left out.

use crate::models::hybrid::BENDS_MAX;
use crate::models::hybrid::Curve;
use crate::training::hybrid::logit::Scaled;

pub const SEGMENTS: usize = BENDS_MAX + 1;

/// Sums over the values between two bends: of `w`, `w x` and `w x^2`, with a weight `w` for each row.
pub type Moments = [f64; 3];

/// Where the curve of a feature bends, ascending.
pub struct Bends<'a> {
    pub feature: usize,
    pub at: &'a [f32],
}

/// See the header.
pub struct Segmented<'a> {
    pub set: &'a Scaled,
    /// Row and value, by feature, then by segment, then by row.
    values: Vec<(u32, f32)>,
    /// By feature, the ends of its segments in `values`.
    ends: Vec<[usize; SEGMENTS]>,
}

impl<'a> Segmented<'a> {
    pub fn new<'b>(set: &'a Scaled, features: impl Iterator<Item = Bends<'b>>) -> Self {
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        let mut parts: [Vec<(u32, f32)>; SEGMENTS] = Default::default();
        for Bends { feature, at } in features {
            for (row, x) in (0..).zip(set.rows.rows().map(|row| row[feature])) {
                if x != 0.0 {
                    parts[at.iter().filter(|&&bend| x > bend).count()].push((row, x));
                }
            }
            ends.push(parts.each_mut().map(|part| {
                values.append(part);
                values.len()
            }));
        }
        values.shrink_to_fit();
        Self { set, values, ends }
    }

    /// The values of each segment of each feature.
    fn segments(&self) -> impl Iterator<Item = [&[(u32, f32)]; SEGMENTS]> {
        let mut from = 0;
        self.ends
            .iter()
            .map(move |ends| ends.map(|end| &self.values[std::mem::replace(&mut from, end)..end]))
    }

    /// Sums of the curves of all features, by row.
    pub fn scores(&self, curves: &[Curve]) -> Vec<f64> {
        let mut scores = vec![0.0; self.set.rows.len()];
        let length = self.set.rows.length();
        for (segments, curve) in self.segments().zip(curves) {
            for (values, (constant, slope)) in segments.into_iter().zip(curve.lines(length)) {
                for &(row, x) in values {
                    scores[row as usize] += constant + slope * f64::from(x);
                }
            }
        }
        scores
    }

    /// The moments of each segment of each feature, with these weights of the rows.
    pub fn moments(&self, weights: &[f64]) -> impl Iterator<Item = [Moments; SEGMENTS]> {
        self.segments().map(|segments| {
            segments.map(|values| {
                let mut sums = [0.0; 3];
                for &(row, x) in values {
                    let (weight, x) = (weights[row as usize], f64::from(x));
                    let weighted = weight * x;
                    sums[0] += weight;
                    sums[1] += weighted;
                    sums[2] += weighted * x;
                }
                sums
            })
        })
    }
}
