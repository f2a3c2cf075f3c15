//! The minimum of a convex function of many numbers by its gradient: limited-memory BFGS.
//!
//! Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5, with the curvature of the start as the first
//! diagonal and a search that halves steps until the function falls enough.

use std::collections::VecDeque;

/// Steps that the curvature is estimated from.
const MEMORY: usize = 12;
/// The share of what the gradient promises that a step has to keep.
const KEPT: f64 = 1e-4;
const HALVINGS_MAX: usize = 12;
/// It has arrived when a step makes this share of the value or less.
const ARRIVED: f64 = 1e-6;

/// A value and its gradient.
#[derive(Debug, Clone)]
pub struct Objective {
    pub value: f64,
    pub gradient: Vec<f64>,
}

/// A step, the change of the gradient over it, and one by their product.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    inverse: f64,
}

/// The point of the least value found from `start` in so many steps. `curvature`: the diagonal at the
/// start, about; above 0.
pub fn minimum(
    start: Vec<f64>,
    curvature: Vec<f64>,
    steps: usize,
    objective: impl Fn(&[f64]) -> Objective,
) -> Vec<f64> {
    let mut at = start;
    let mut now = objective(&at);
    let mut memory: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    for _ in 0..steps {
        let direction = direction(&now.gradient, &curvature, &memory);
        let promised = dot(&direction, &now.gradient);
        if promised >= 0.0 || !promised.is_finite() {
            break;
        }
        let Some((next_at, next)) = fallen(&at, &now, &direction, promised, &objective) else {
            break;
        };
        let moved = difference(&next_at, &at);
        let turned = difference(&next.gradient, &now.gradient);
        let product = dot(&moved, &turned);
        if product > 0.0 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Step { moved, turned, inverse: 1.0 / product });
        }
        let gained = now.value - next.value;
        (at, now) = (next_at, next);
        if gained <= ARRIVED * now.value.abs() {
            break;
        }
    }
    at
}

/// A point in the direction where the value is lower, with the value. `None` where there is none.
fn fallen(
    at: &[f64],
    now: &Objective,
    direction: &[f64],
    promised: f64,
    objective: &impl Fn(&[f64]) -> Objective,
) -> Option<(Vec<f64>, Objective)> {
    let mut length = 1.0;
    for _ in 0..HALVINGS_MAX {
        let next_at: Vec<f64> =
            at.iter().zip(direction).map(|(own, direction)| own + length * direction).collect();
        let next = objective(&next_at);
        if next.value <= now.value + KEPT * length * promised {
            return Some((next_at, next));
        }
        length *= 0.5;
    }
    None
}

/// Where to go: the gradient by the inverse of the curvature that the steps tell, negative.
fn direction(gradient: &[f64], curvature: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|value| -value).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let share = step.inverse * dot(&step.moved, &direction);
        add(&mut direction, -share, &step.turned);
        shares.push(share);
    }
    direction.iter_mut().zip(curvature).for_each(|(own, curvature)| *own /= curvature);
    for (step, share) in memory.iter().zip(shares.iter().rev()) {
        let back = step.inverse * dot(&step.turned, &direction);
        add(&mut direction, share - back, &step.moved);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add(to: &mut [f64], times: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(own, what)| *own += times * what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_bottom_of_a_narrow_valley_that_lies_askew() {
        let objective = |at: &[f64]| {
            let (across, along) = (at[0] - at[1] - 1.0, at[0] + at[1]);
            let rest = at[2] - 3.0;
            let value =
                1_000.0 * across * across + along * along + rest * rest * (1.0 + rest * rest);
            let slope = 2.0 * rest + 4.0 * rest * rest * rest;
            let gradient =
                vec![2_000.0 * across + 2.0 * along, -2_000.0 * across + 2.0 * along, slope];
            Objective { value, gradient }
        };
        let found = minimum(vec![5.0, -7.0, 0.0], vec![2_000.0, 2_000.0, 1.0], 60, objective);
        let off = found.iter().zip([0.5, -0.5, 3.0]).map(|(own, right)| (own - right).abs());
        assert!(off.fold(0.0, f64::max) < 0.01, "{found:?}");
    }

    #[test]
    fn where_nothing_is_lower_it_stays() {
        let flat = |at: &[f64]| Objective { value: 1.0, gradient: vec![0.0; at.len()] };
        assert_eq!(minimum(vec![2.0, 3.0], vec![1.0; 2], 10, flat), [2.0, 3.0]);
        let wild = |at: &[f64]| Objective { value: f64::NAN, gradient: vec![1.0; at.len()] };
        assert_eq!(minimum(vec![2.0], vec![1.0], 10, wild), [2.0]);
    }
}
