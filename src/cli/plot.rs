//! Plots in the terminal: time runs down, a line for each point, and values go to the right.

/// Characters from the lowest to the highest value.
pub const WIDTH: usize = 60;
/// Lines at most; of more points those in between are left out.
pub const LINES: usize = 16;

/// The points that are drawn: so many at most, evenly, with the newest.
pub fn thinned<T>(points: &[T]) -> Vec<&T> {
    let every = points.len().div_ceil(LINES).max(1);
    let is_drawn = |at: &usize| (points.len() - 1 - at).is_multiple_of(every);
    (0..points.len()).filter(is_drawn).map(|at| &points[at]).collect()
}

/// The character at which a value stands; what is out of the range is at its end.
pub fn place(value: f64, low: f64, high: f64) -> usize {
    let share = (value.clamp(low, high) - low) / (high - low);
    (share * WIDTH as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_point_is_always_drawn_and_values_stay_on_the_line() {
        let points: Vec<usize> = (0..40).collect();
        let drawn = thinned(&points);
        assert!(drawn.len() <= LINES && drawn.last() == Some(&&39), "{drawn:?}");
        assert!(thinned::<usize>(&[]).is_empty());
        assert_eq!([-5.0, 0.0, 0.5, 9.0].map(|value| place(value, 0.0, 1.0)), [0, 0, 30, 60]);
    }
}
