//! Weights of items that come together.

use super::*;

fn fit(set: &TrainingSet, l2: f64) -> Option<ItemItem> {
    ConsumedTogether::of(set, |_| true)?.fit(l2)
}

fn set() -> TrainingSet {
    // Items 0 and 1 go together, and so do 2 and 3; item 4 has one user only.
    let mut rows = vec![vec![(0, 1.0), (1, 1.0)]; 20];
    rows.extend(vec![vec![(2, 1.0), (3, 1.0)]; 20]);
    rows.push(vec![(0, 1.0), (2, 1.0), (4, 1.0)]);
    TrainingSet::from_rows(6, &rows).unwrap()
}

/// The closed form of two items that always come together, by hand: with c users,
/// `X'X + l I = [[c+l, c], [c, c+l]]`, so `B = c / (c + l)` off the diagonal.
#[test]
fn the_weight_of_two_items_is_the_closed_form() {
    let rows = vec![vec![(0, 1.0), (1, 1.0)]; 30];
    let fitted = fit(&TrainingSet::from_rows(2, &rows).unwrap(), 10.0).unwrap();
    let score = fitted.scores([0].into_iter()).of(1);
    assert!((score - 30.0 / 40.0).abs() < 1e-5, "{score}");
}

/// More lines than a tile has, and not a multiple of it.
#[test]
fn the_inverse_times_the_matrix_is_the_identity() {
    let n = 150;
    let value = |i: usize, j: usize| {
        let (i, j) = (i.max(j), i.min(j));
        if i == j { 4.0 } else { ((i * 31 + j * 17) % 13) as f32 / 60.0 - 0.1 }
    };
    let lower = Mat::from_fn(n, n, |i, j| if i < j { f32::NAN } else { value(i, j) });
    let inverse = inverse(lower).unwrap();
    for i in 0..n {
        for j in 0..n {
            let product: f32 = (0..n).map(|k| value(i, k) * inverse[(k, j)]).sum();
            let expected = f32::from(u8::from(i == j));
            assert!((product - expected).abs() < 1e-4, "({i}, {j}): {product}");
        }
    }
    assert!(super::inverse(Mat::from_fn(3, 3, |_, _| 1.0)).is_none(), "it is singular");
}

#[test]
fn the_same_counts_fit_every_l2_weight() {
    let counts = ConsumedTogether::of(&set(), |_| true).unwrap();
    for l2 in [1.0, 30.0, 1.0] {
        let fitted = counts.fit(l2).unwrap();
        assert_eq!(fitted.rows, fit(&set(), l2).unwrap().rows);
    }
}

#[test]
fn items_consumed_together_predict_each_other_and_older_ones_less() {
    let fitted = fit(&set(), 5.0).unwrap();
    let scores = fitted.scores([0, 2].into_iter());
    assert!(scores.of(1) > scores.of(3) && scores.of(3) > 0.0);
    assert_eq!(scores.of(5), 0.0);
    assert_eq!(fitted.cause([2, 0].into_iter(), 1), Some(0));
    assert_eq!(fitted.cause([2, 0].into_iter(), 5), None);
}

#[test]
fn an_item_of_one_user_takes_no_part_and_too_few_items_give_no_fit() {
    let fitted = fit(&set(), 5.0).unwrap();
    assert_eq!(fitted.len(), 4);
    assert!(fitted.is_sound(6) && !fitted.is_sound(3));
    let one = TrainingSet::from_rows(1, &[vec![(0, 1.0)], vec![(0, 1.0)]]).unwrap();
    assert!(fit(&one, 5.0).is_none());
}

#[test]
fn items_that_cannot_be_recommended_take_no_part() {
    let fitted = ConsumedTogether::of(&set(), |item| item != 1).unwrap().fit(5.0).unwrap();
    assert_eq!(fitted.scores([1].into_iter()).entries(), []);
    assert_eq!(fitted.scores([0].into_iter()).of(1), 0.0);
    assert!(fitted.scores([2].into_iter()).of(3) > 0.0);
}

#[test]
fn a_forgotten_item_has_no_row_and_is_in_none() {
    let names: Vec<_> = (0..6).map(|item| Some(ItemIndex::new(item))).collect();
    let mut fitted = Arc::new(fit(&set(), 5.0).unwrap().renamed(&names));
    let before = (fitted.clone(), fitted.digest());
    let [zero, one, five] = [0, 1, 5].map(ItemIndex::new);
    ItemItem::forget(&mut fitted, one);
    ItemItem::forget(&mut fitted, five);
    assert!(fitted.scores([zero, one].into_iter()).of(one) == 0.0 && fitted.is_sound(6));
    assert!(fitted.digest() != before.1 && before.0.digest() == before.1);
    assert!(before.0.scores([zero].into_iter()).of(one) > 0.0);
}

#[test]
fn renamed_weights_are_those_of_the_new_names_and_items_without_a_name_are_left_out() {
    let fitted = fit(&set(), 5.0).unwrap();
    let [zero, two, nine] = [0, 2, 9].map(ItemIndex::new);
    let renamed = fitted.renamed(&[Some(nine), Some(two), None, Some(zero), None, None]);
    let weight = renamed.scores([nine].into_iter()).of(two);
    assert_eq!(weight, fitted.scores([0].into_iter()).of(1));
    assert!(renamed.is_sound(10));
    assert!(renamed.rows.iter().all(|(item, _)| [nine, two, zero].contains(item)));
}
