//! The root of a function of one variable within a bracket.
//!
//! Invariants: never leaves the bracket, ends after at most 200 calls, takes infinite values at the
//! ends. The same bits on every platform, given a function that has them.
//! Source: Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a
//! nonlinear function", Advances in Engineering Software 28 (1997).

/// Where `f` changes its sign between `low` and `high`; the end that is nearer to 0 if it does not.
pub fn between(low: f64, high: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    let (mut a, mut b) = (high, low);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa * fb > 0.0 {
        return if fa.abs() < fb.abs() { a } else { b };
    }
    let mut share = 0.5;
    for _ in 0..200 {
        let x = a + share * (b - a);
        let fx = f(x);
        let same_side = (fx > 0.0) == (fa > 0.0);
        let (c, fc) = if same_side { (a, fa) } else { (b, fb) };
        if !same_side {
            (b, fb) = (a, fa);
        }
        (a, fa) = (x, fx);
        let (best, least) = if fa.abs() < fb.abs() { (a, fa) } else { (b, fb) };
        let tolerance = 2.0 * f64::EPSILON * best.abs() + f64::MIN_POSITIVE;
        let room = tolerance / (b - c).abs();
        if room > 0.5 || least == 0.0 {
            return best;
        }
        share = step(a, b, c, fa, fb, fc).clamp(room, 1.0 - room);
    }
    a
}

/// Where between a and b to look next: by inverse quadratic interpolation where that is safe.
fn step(a: f64, b: f64, c: f64, fa: f64, fb: f64, fc: f64) -> f64 {
    let xi = (a - b) / (c - b);
    let phi = (fa - fb) / (fc - fb);
    // False with infinite values, too.
    if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi {
        let first = fa / (fb - fa) * (fc / (fb - fc));
        let second = (c - a) / (b - a) * (fa / (fc - fa)) * (fb / (fc - fb));
        first + second
    } else {
        0.5
    }
}
