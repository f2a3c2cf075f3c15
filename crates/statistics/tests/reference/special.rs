//! Special functions to 1e-12 of themselves, in the tails too; what a continued fraction of hundreds
//! of steps gives, to 3e-12.

use statistics::special::{beta, gamma, normal, root, student};

use crate::{fixture, list, number};

#[track_caller]
fn digits(found: f64, expected: f64, what: &str) {
    near(found, expected, 1e-12, what);
}

#[track_caller]
fn near(found: f64, expected: f64, precision: f64, what: &str) {
    let apart = (found - expected).abs();
    let allowed = precision * expected.abs();
    assert!(apart <= allowed, "{what}: {found:e} is not {expected:e}: {:e}", apart / expected);
}

/// Rows of numbers; the last is the expected one.
fn rows(name: &str) -> Vec<Vec<f64>> {
    let all = fixture("special");
    list(&all[name]).iter().map(|row| list(row).iter().map(number).collect()).collect()
}

#[test]
fn the_normal_distribution_has_its_digits_in_both_tails() {
    for row in rows("normal_cdf") {
        digits(normal::cdf(row[0]), row[1], &format!("cdf of {}", row[0]));
        digits(normal::upper_tail(-row[0]), row[1], &format!("tail of {}", -row[0]));
    }
    for row in rows("normal_quantile") {
        digits(normal::quantile(row[0]), row[1], &format!("quantile of {}", row[0]));
    }
    assert_eq!(normal::quantile(0.5), 0.0);
    assert_eq!(normal::quantile(0.0), f64::NEG_INFINITY);
    assert_eq!(normal::upper_quantile(0.0), f64::INFINITY);
}

#[test]
fn beta_and_gamma_functions_have_their_digits() {
    for row in rows("ln_beta") {
        digits(beta::ln_beta(row[0], row[1]), row[2], &format!("ln B({}, {})", row[0], row[1]));
    }
    for row in rows("beta_cdf") {
        let found = beta::cdf(row[0], row[1], row[2]);
        near(found, row[3], 3e-12, &format!("beta {} {} {}", row[0], row[1], row[2]));
    }
    for row in rows("gamma") {
        digits(gamma::lower(row[0], row[1]), row[2], &format!("P({}, {})", row[0], row[1]));
        digits(gamma::upper(row[0], row[1]), row[3], &format!("Q({}, {})", row[0], row[1]));
    }
}

#[test]
fn student_has_its_digits() {
    for row in rows("student_two_sided") {
        near(
            student::two_sided(row[0], row[1]),
            row[2],
            3e-12,
            &format!("t {} {}", row[0], row[1]),
        );
    }
    for row in rows("student_quantile") {
        let found = student::upper_quantile(row[0], row[1]);
        digits(found, row[2], &format!("t quantile {} {}", row[0], row[1]));
        // Closer to 1, the complement has too few digits.
        if row[0] > 1e-3 {
            digits(student::upper_quantile(1.0 - row[0], row[1]), -found, "the other side");
        }
    }
}

#[test]
fn quantiles_invert_their_distributions() {
    for (a, b) in [(0.5, 0.5), (3.0, 100.0), (1e6, 2e6), (0.5, 1e5), (1.0, 1.0)] {
        for p in [1e-10, 0.001, 0.3, 0.5, 0.99] {
            let x = beta::quantile(a, b, p);
            let found = beta::cdf(a, b, x);
            assert!((found - p).abs() < 1e-10 * p, "{a} {b} {p}: {found}");
        }
    }
}

#[test]
fn roots_are_found_within_steep_and_flat_brackets() {
    let found = root::between(0.0, 1.0, |x| x * x * x - 1e-9);
    assert!((found - 1e-3).abs() < 1e-12, "{found}");
    let found =
        root::between(0.0, 1e13, |x| if x == 0.0 { f64::NEG_INFINITY } else { 1.0 - 5.0 / x });
    assert!((found - 5.0).abs() < 1e-9, "{found}");
    assert_eq!(root::between(1.0, 2.0, |x| x), 1.0);
}
