//! The interval of an effect over time, in the terminal: a line for each time, the newest last.

use std::fmt::Write;

use crate::cli::plot::WIDTH;
use crate::cli::plot::place;
use crate::cli::plot::thinned;
use crate::proto::EffectEstimate;
use statistics::words::grouped;
use statistics::words::signed_percent;

/// Effects beyond this are cut: early intervals are very wide.
const MOST: f64 = 1.0;

/// A time at which an effect was known: users, effect.
pub type Point = (u64, EffectEstimate);

/// Draws the points; nothing without any.
pub fn draw(text: &mut String, points: &[Point]) {
    let drawn = thinned(points);
    let reach = drawn.iter().flat_map(|(_, effect)| [effect.low.abs(), effect.high.abs()]);
    let reach = reach.fold(0.0, f64::max).min(MOST);
    if drawn.is_empty() || reach <= 0.0 {
        return;
    }
    let axis = format!("{:<30}0{:>30}", signed_percent(-reach), signed_percent(reach));
    writeln!(text, "\n{:>10}  {axis}", "users").expect("a string");
    for (users, effect) in drawn {
        let line = line(effect, reach);
        writeln!(text, "{:>10}  {}", grouped(*users as f64), line.trim_end()).expect("a string");
    }
}

fn line(effect: &EffectEstimate, reach: f64) -> String {
    let place = |value: f64| place(value, -reach, reach);
    let mut line = vec![' '; WIDTH + 1];
    line[WIDTH / 2] = '|';
    let (low, high) = (place(effect.low), place(effect.high));
    line[low..=high].iter_mut().for_each(|at| *at = '-');
    line[place(0.0)] = '|';
    line[place(effect.value)] = 'o';
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plot::LINES;

    #[test]
    fn the_newest_point_is_drawn_and_intervals_are_where_they_are() {
        let effect =
            |value: f64, half: f64| EffectEstimate { value, low: value - half, high: value + half };
        let points: Vec<Point> =
            (1..=40_u64).map(|n| (1_000 * n, effect(0.2, 2.0 / n as f64))).collect();
        let mut text = String::new();
        draw(&mut text, &points);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert!((10..=LINES).contains(&lines.len()), "{text}");
        let last = lines.last().unwrap();
        assert!(last.starts_with("    40,000"), "{text}");
        let at = |symbol| last.find(symbol).unwrap();
        assert!(at('|') < at('-') && at('-') < at('o'), "above 0: {text}");
        draw(&mut text, &[]);
    }
}
