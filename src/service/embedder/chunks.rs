//! Long texts in windows that a model can take, and their vectors as one.
//!
//! Windows overlap, so that a sentence cut by one is whole in the next. The vector of a
//! text is the mean of its windows' pooled vectors, weighted by their tokens, of unit
//! length: for a text of one window just what the model says.

/// Tokens that a window shares with the one before.
const OVERLAP: usize = 32;
/// Windows of a text at most; what is behind them is not read.
pub const WINDOWS_MAX: usize = 32;

/// Windows of at most `size` tokens, at least one.
pub fn windows(tokens: &[u32], size: usize) -> Vec<&[u32]> {
    let overlap = OVERLAP.min(size / 4);
    let mut windows = Vec::new();
    let mut start = 0;
    loop {
        let end = (start + size).min(tokens.len());
        windows.push(&tokens[start..end]);
        if end == tokens.len() || windows.len() == WINDOWS_MAX {
            return windows;
        }
        start = end - overlap;
    }
}

/// The weighted mean of vectors, of unit length; zeros stay zeros.
pub fn pooled(vectors: &[(Vec<f32>, usize)]) -> Vec<f32> {
    let length = vectors.first().map_or(0, |(vector, _)| vector.len());
    let mut sum = vec![0.0_f32; length];
    for (vector, tokens) in vectors {
        for (total, value) in sum.iter_mut().zip(vector) {
            *total += *tokens as f32 * value;
        }
    }
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm > 0.0 {
        sum.iter_mut().for_each(|value| *value /= norm);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_and_reach_the_end() {
        let tokens: Vec<u32> = (0..500).collect();
        let windows = windows(&tokens, 254);
        assert_eq!(windows.len(), 3);
        assert_eq!(windows[1][0], 254 - 32);
        assert_eq!(windows.last().unwrap().last(), Some(&499));
    }

    #[test]
    fn a_short_or_empty_text_is_one_window_and_an_endless_one_is_cut() {
        assert_eq!(windows(&[1, 2], 254), [&[1, 2][..]]);
        assert_eq!(windows(&[], 254).len(), 1);
        assert_eq!(windows(&vec![0; 100_000], 254).len(), WINDOWS_MAX);
    }

    #[test]
    fn the_vector_of_a_text_is_the_weighted_mean_of_unit_length() {
        let mean = pooled(&[(vec![1.0, 0.0], 30), (vec![0.0, 1.0], 40)]);
        assert!((mean[0] - 0.6).abs() < 1e-6 && (mean[1] - 0.8).abs() < 1e-6);
        assert_eq!(pooled(&[(vec![0.0, 0.0], 3)]), [0.0, 0.0]);
    }
}
