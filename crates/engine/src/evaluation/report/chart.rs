//! Drawings in SVG: bars with intervals, lines over steps, curves in a plane.
//!
//! Colours and fonts come from the page's style sheet by class (`s0`, `s1`, ... for
//! series), so that drawings follow light and dark. A drawing has a name for those who
//! do not see it; its figures stand in a table of the page.

use std::fmt::Write as _;

use crate::evaluation::report::markup::escape;
use crate::evaluation::report::markup::number;

/// A value with the interval it lies in, where one is known.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    pub point: f64,
    pub interval: Option<(f64, f64)>,
}

impl Value {
    /// The figure, with its interval where there is one.
    pub fn told(&self) -> String {
        match self.interval {
            Some((low, high)) => {
                format!("{} ({} to {})", number(self.point), number(low), number(high))
            }
            None => number(self.point),
        }
    }

    fn extent(&self) -> (f64, f64) {
        let (low, high) = self.interval.unwrap_or((self.point, self.point));
        (low.min(self.point), high.max(self.point))
    }
}

/// A bar: its name, its value, its series.
#[derive(Debug, Clone)]
pub struct Bar {
    pub label: String,
    pub value: Value,
    pub series: usize,
}

const BAR_HEIGHT: f64 = 22.0;

/// Horizontal bars from a common zero, whiskers for intervals, values in words behind.
/// `label_width` is the space for names, of a drawing `width` wide and called `name`.
pub fn bars(bars: &[Bar], name: &str, label_width: f64, width: f64) -> String {
    const VALUE_WIDTH: f64 = 58.0;
    let finite: Vec<(f64, f64)> = bars
        .iter()
        .map(|bar| bar.value.extent())
        .filter(|(low, high)| low.is_finite() && high.is_finite())
        .collect();
    let low = finite.iter().fold(0.0_f64, |low, extent| low.min(extent.0));
    let high = finite.iter().fold(0.0_f64, |high, extent| high.max(extent.1));
    let span = (high - low).max(f64::MIN_POSITIVE);
    let space = width - label_width - VALUE_WIDTH;
    let x = |value: f64| label_width + (value - low) / span * space;
    let height = bars.len() as f64 * BAR_HEIGHT + 4.0;
    let mut svg = open(width, height, name);
    for (position, bar) in bars.iter().enumerate() {
        let top = position as f64 * BAR_HEIGHT + 4.0;
        let middle = top + BAR_HEIGHT / 2.0 - 2.0;
        let _ = write!(svg, "<g><title>{}: {}</title>", escape(&bar.label), bar.value.told());
        text(&mut svg, label_width - 6.0, middle + 4.0, "end", "label", &bar.label);
        if bar.value.point.is_finite() {
            let (from, to) = (x(bar.value.point.min(0.0)), x(bar.value.point.max(0.0)));
            let _ = write!(
                svg,
                "<rect class=\"s{}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>",
                bar.series,
                (to - from).max(0.5),
                BAR_HEIGHT - 6.0,
            );
            if let Some((low, high)) = bar.value.interval {
                whisker(&mut svg, (x(low), middle - 1.0), (x(high), middle - 1.0));
            }
        }
        text(&mut svg, width, middle + 4.0, "end", "value", &number(bar.value.point));
        svg.push_str("</g>\n");
    }
    rule(&mut svg, (x(0.0), 0.0), (x(0.0), height), "axis");
    svg.push_str("</svg>\n");
    svg
}

/// A line: its name, and a value at each step where it has one.
#[derive(Debug, Clone)]
pub struct Line {
    pub label: String,
    pub series: usize,
    pub values: Vec<Option<Value>>,
}

/// Margin around a plot.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
const PLOT_WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 330.0;

/// Lines over named steps, with whiskers; the axis of values begins at zero.
pub fn lines(steps: &[String], x_name: &str, y_name: &str, lines: &[Line]) -> String {
    let all = lines.iter().flat_map(|line| line.values.iter().flatten());
    let high =
        all.map(|value| value.extent().1).filter(|high| high.is_finite()).fold(0.0, f64::max);
    let axis = Axis::over(0.0, high);
    let step = |position: usize| {
        let share = (position as f64 + 0.5) / steps.len().max(1) as f64;
        LEFT + share * (PLOT_WIDTH - LEFT - RIGHT)
    };
    let mut svg = open(PLOT_WIDTH, PLOT_HEIGHT, &format!("{y_name} by {x_name}"));
    axis.draw_y(&mut svg, y_name);
    for (position, name) in steps.iter().enumerate() {
        text(&mut svg, step(position), PLOT_HEIGHT - BOTTOM + 16.0, "middle", "label", name);
    }
    text(&mut svg, PLOT_WIDTH / 2.0, PLOT_HEIGHT - 6.0, "middle", "name", x_name);
    let has_intervals = |line: &Line| line.values.iter().flatten().any(|it| it.interval.is_some());
    // Shifted a little, so that intervals can be told apart.
    let apart = if lines.iter().any(has_intervals) { 7.0 } else { 0.0 };
    for (order, line) in lines.iter().enumerate() {
        let shift = (order as f64 - (lines.len() as f64 - 1.0) / 2.0) * apart;
        let points: Vec<(f64, f64, Value)> = line
            .values
            .iter()
            .enumerate()
            .filter_map(|(position, value)| value.map(|value| (position, value)))
            .filter(|(_, value)| value.point.is_finite())
            .map(|(position, value)| (step(position) + shift, axis.y(value.point), value))
            .collect();
        polyline(&mut svg, line.series, points.iter().map(|point| (point.0, point.1)));
        for (x, y, value) in points {
            if let Some((low, high)) = value.interval {
                whisker(&mut svg, (x, axis.y(low)), (x, axis.y(high)));
            }
            dot(&mut svg, line.series, (x, y), &format!("{}: {}", line.label, value.told()));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A curve in a plane; each point says what it is.
#[derive(Debug, Clone)]
pub struct Curve {
    pub label: String,
    pub series: usize,
    /// x, y, and words.
    pub points: Vec<(f64, f64, String)>,
}

/// Curves on two axes that hold all points.
pub fn curves(x_name: &str, y_name: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    };
    let (x_low, x_high) = bounds(&mut points().map(|point| point.0));
    let (y_low, y_high) = bounds(&mut points().map(|point| point.1));
    let (across, up) = (Axis::over(x_low, x_high), Axis::over(y_low.min(0.8 * y_high), y_high));
    let mut svg = open(PLOT_WIDTH, PLOT_HEIGHT, &format!("{y_name} by {x_name}"));
    up.draw_y(&mut svg, y_name);
    across.draw_x(&mut svg, x_name);
    for curve in curves {
        let position = |point: &(f64, f64, String)| (across.x(point.0), up.y(point.1));
        polyline(&mut svg, curve.series, curve.points.iter().map(position));
        for point in &curve.points {
            dot(&mut svg, curve.series, position(point), &format!("{} {}", curve.label, point.2));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A scale with round ticks around its values.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// Four to nine ticks.
    fn over(low: f64, high: f64) -> Self {
        let (low, high) = if low.is_finite() && high > low { (low, high) } else { (0.0, 1.0) };
        let rough = (high - low) / 5.0;
        let mut power = 1.0;
        while power > rough {
            power /= 10.0;
        }
        while power * 10.0 <= rough {
            power *= 10.0;
        }
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
        Self { low: (low / step).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as u32;
        (0..=count).map(|tick| self.low + f64::from(tick) * self.step)
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.share(value) * (PLOT_WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        PLOT_HEIGHT - BOTTOM - self.share(value) * (PLOT_HEIGHT - TOP - BOTTOM)
    }

    fn told(&self, tick: f64) -> String {
        let positions = if self.step >= 1.0 {
            0
        } else if self.step >= 0.1 {
            1
        } else if self.step >= 0.01 {
            2
        } else {
            3
        };
        format!("{tick:.positions$}")
    }

    fn draw_y(&self, svg: &mut String, name: &str) {
        for tick in self.ticks() {
            let y = self.y(tick);
            rule(svg, (LEFT, y), (PLOT_WIDTH - RIGHT, y), "grid");
            text(svg, LEFT - 8.0, y + 4.0, "end", "label", &self.told(tick));
        }
        let middle = (PLOT_HEIGHT - BOTTOM + TOP) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"name\" text-anchor=\"middle\" transform=\"translate(14 {middle:.1}) rotate(-90)\">{}</text>",
            escape(name),
        );
    }

    fn draw_x(&self, svg: &mut String, name: &str) {
        for tick in self.ticks() {
            let x = self.x(tick);
            rule(svg, (x, TOP), (x, PLOT_HEIGHT - BOTTOM), "grid");
            text(svg, x, PLOT_HEIGHT - BOTTOM + 16.0, "middle", "label", &self.told(tick));
        }
        text(svg, PLOT_WIDTH / 2.0, PLOT_HEIGHT - 6.0, "middle", "name", name);
    }
}

fn open(width: f64, height: f64, name: &str) -> String {
    let name = escape(name);
    format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{name}\">\n")
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(words),
    );
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), class: &str) {
    let _ = write!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1,
    );
}

fn whisker(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    const HALF: f64 = 3.0;
    if ![from.0, from.1, to.0, to.1].iter().all(|position| position.is_finite()) {
        return;
    }
    let is_flat = from.1 == to.1;
    rule(svg, from, to, "whisker");
    for (x, y) in [from, to] {
        let (dx, dy) = if is_flat { (0.0, HALF) } else { (HALF, 0.0) };
        rule(svg, (x - dx, y - dy), (x + dx, y + dy), "whisker");
    }
}

fn polyline(svg: &mut String, series: usize, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(svg, "<polyline class=\"l{series}\" points=\"{}\"/>", points.join(" "));
}

fn dot(svg: &mut String, series: usize, (x, y): (f64, f64), words: &str) {
    let _ = write!(
        svg,
        "<circle class=\"s{series}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{}</title></circle>",
        escape(words),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(point: f64) -> Value {
        Value { point, interval: None }
    }

    #[test]
    fn axes_have_round_ticks_around_their_values() {
        let ticks = |low, high| Axis::over(low, high).ticks().collect::<Vec<_>>();
        assert_eq!(ticks(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(0.3, 4.7), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Axis::over(0.0, 0.055).told(0.02), "0.02");
        assert_eq!(ticks(3.0, 3.0).len(), 6, "a single value gets an axis, too");
    }

    #[test]
    fn bars_are_as_long_as_their_values_and_negative_ones_go_left() {
        let bar =
            |label: &str, point| Bar { label: label.to_owned(), value: plain(point), series: 0 };
        let svg = bars(&[bar("a", 1.0), bar("b", -0.5), bar("c", f64::NAN)], "n", 40.0, 300.0);
        let widths: Vec<f64> = svg
            .split(" width=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(widths.len(), 2, "what is not known has no bar");
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.01);
    }

    #[test]
    fn drawings_of_nothing_are_drawings() {
        for svg in [bars(&[], "n", 10.0, 300.0), lines(&[], "x", "y", &[]), curves("x", "y", &[])] {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        }
    }

    #[test]
    fn names_in_drawings_are_escaped() {
        let line = Line { label: "<i>".to_owned(), series: 1, values: vec![Some(plain(1.0))] };
        let svg = lines(&["<u>".to_owned()], "x", "<b>", &[line]);
        assert!(!svg.contains("<i>") && !svg.contains("<u>") && !svg.contains("<b>"));
        assert!(svg.contains("aria-label=\"&lt;b&gt; by x\""));
    }
}
