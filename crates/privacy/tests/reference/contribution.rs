//! Weights of rows against the reference, and the choice of keys.

use privacy::Bounds;
use privacy::contribution::integer_row_weight;
use privacy::contribution::row_weight;

use crate::close;
use crate::count;
use crate::fixture;
use crate::list;
use crate::number;
use crate::seeded;

#[test]
fn rows_are_weighted_as_in_the_reference() {
    for case in list(&fixture("privacy_mechanisms")["clipping"]) {
        let (items, budget) = (count(&case["items"]), count(&case["budget"]));
        let expected = number(&case["weight"]);
        close(row_weight(items, budget), expected, 1e-15);
        let whole = integer_row_weight(items, budget, 1_000) as f64;
        assert!(whole <= 1_000.0 * expected && whole > 1_000.0 * expected - 1.0, "{case}");
    }
}

#[test]
fn every_key_of_a_user_is_kept_equally_often() {
    let bounds = Bounds::new(2, 3).unwrap();
    let mut rng = seeded(1);
    let mut kept = [0_u32; 5];
    for _ in 0..50_000 {
        for (key, amount) in bounds.clip((0..5).map(|key| (key, 10)), &mut rng) {
            assert_eq!(amount, 3);
            kept[key] += 1;
        }
    }
    // Each 20,000 times, with a standard error of 110.
    assert!(kept.iter().all(|kept| kept.abs_diff(20_000) < 550), "{kept:?}");
}

#[test]
fn amounts_of_a_key_are_summed_before_they_are_cut() {
    let bounds = Bounds::new(1, 5).unwrap();
    let clipped = bounds.clip([("a", 9), ("a", -7), ("a", i64::MAX)], &mut seeded(1));
    assert_eq!(clipped, [("a", 5)]);
    let clipped = bounds.clip([("a", 9), ("a", -7)], &mut seeded(1));
    assert_eq!(clipped, [("a", 2)]);
    assert!(Bounds::new(0, 1).is_err() && Bounds::new(1, 0).is_err());
}
