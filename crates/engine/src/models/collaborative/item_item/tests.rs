//! Weights of items: by hand, and golden values of a toy log.

use super::*;
use crate::models::collaborative::TrainingSet;
use crate::models::collaborative::item_item::solve::inverse;
use faer::Mat;

/// What one user's items say, all alike.
fn scores<K: Index>(weights: &ItemItem<K>, path: &[K]) -> ItemItemScores<K> {
    let [scores] = weights.scores(path.iter().copied(), [1.0]);
    scores
}

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
    let score = scores(&fitted, &[0]).of(1);
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
    let inverted = inverse(lower).unwrap();
    for i in 0..n {
        for j in 0..n {
            let product: f32 = (0..n).map(|k| value(i, k) * inverted[(k, j)]).sum();
            let expected = f32::from(u8::from(i == j));
            assert!((product - expected).abs() < 1e-4, "({i}, {j}): {product}");
        }
    }
    assert!(inverse(Mat::from_fn(3, 3, |_, _| 1.0)).is_none(), "it is singular");
}

#[test]
fn the_same_counts_fit_every_l2_weight() {
    let counts = ConsumedTogether::of(&set(), |_| true).unwrap();
    for l2 in [1.0, 30.0, 1.0] {
        let fitted = counts.fit(l2).unwrap();
        assert!(fitted.weights().eq(fit(&set(), l2).unwrap().weights()));
    }
}

#[test]
fn items_consumed_together_predict_each_other_and_older_ones_less() {
    let fitted = fit(&set(), 5.0).unwrap();
    let [newest_first, alike] = fitted.scores([0, 2].into_iter(), [0.9, 1.0]);
    assert!(newest_first.of(1) > newest_first.of(3) && newest_first.of(3) > 0.0);
    assert!((alike.of(1) - alike.of(3)).abs() < 1e-6);
    assert_eq!(alike.of(5), 0.0);
    assert_eq!(fitted.cause([2, 0].into_iter(), 0.9, 1), Some(0));
    assert_eq!(fitted.cause([2, 0].into_iter(), 0.9, 5), None);
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
    assert_eq!(scores(&fitted, &[1]).entries(), []);
    assert_eq!(scores(&fitted, &[0]).of(1), 0.0);
    assert!(scores(&fitted, &[2]).of(3) > 0.0);
}

#[test]
fn a_forgotten_item_has_no_row_and_is_in_none() {
    let names: Vec<_> = (0..6).map(|item| Some(ItemIndex::new(item))).collect();
    let mut fitted = Arc::new(fit(&set(), 5.0).unwrap().renamed(&names));
    let before = (fitted.clone(), fitted.digest());
    let [zero, one, five] = [0, 1, 5].map(ItemIndex::new);
    ItemItem::forget(&mut fitted, one);
    ItemItem::forget(&mut fitted, five);
    assert!(scores(&fitted, &[zero, one]).of(one) == 0.0 && fitted.is_sound(6));
    assert!(fitted.digest() != before.1 && before.0.digest() == before.1);
    assert!(scores(&before.0, &[zero]).of(one) > 0.0);
}

#[test]
fn renamed_weights_are_those_of_the_new_names_and_items_without_a_name_are_left_out() {
    let fitted = fit(&set(), 5.0).unwrap();
    let [zero, two, nine] = [0, 2, 9].map(ItemIndex::new);
    let renamed = fitted.renamed(&[Some(nine), Some(two), None, Some(zero), None, None]);
    let weight = scores(&renamed, &[nine]).of(two);
    assert_eq!(weight, scores(&fitted, &[0]).of(1));
    assert!(renamed.is_sound(10));
    let known = [nine, two, zero];
    assert!(
        known.iter().all(|item| scores(&renamed, &[*item])
            .entries()
            .iter()
            .all(|one| known.contains(&one.0)))
    );
}

/// Histories of the toy log, the oldest item first.
const HISTORIES: [&[u32]; 6] =
    [&[0, 1, 2, 3], &[1, 2, 4], &[0, 2, 3, 5, 1], &[4, 2, 3], &[5, 0, 1], &[2, 3, 4, 5, 0, 1]];

fn toy() -> TrainingSet {
    let row = |history: &&[u32]| history.iter().rev().map(|&item| (item, 1.0)).collect();
    TrainingSet::from_rows(6, &HISTORIES.iter().map(row).collect::<Vec<_>>()).unwrap()
}

/// Asserts that every weight is that of a reference, which was computed by numpy.
fn assert_weights(weights: &ItemItem, expected: &[[f64; 6]; 6], with_itself: bool) {
    for (from, row) in (0..).zip(expected) {
        let scores = scores(weights, &[from]);
        for (to, value) in (0..).zip(row).filter(|(to, _)| with_itself || *to != from) {
            assert!((f64::from(scores.of(to)) - value).abs() < 1e-5, "{from} {to}: {value}");
        }
    }
}

#[test]
fn sequential_weights_are_those_of_the_reference() {
    let window = sequence::Window { length: 3, tau: 2.0, l2: 1.5 };
    let weights = sequence::fit(&toy(), |_| true, &window).unwrap();
    let expected = [
        [-0.0757513389, 0.413817181, 0.213080798, 0.062288788, -0.0471151095, 0.0429108541],
        [0.0204066937, -0.0726371391, 0.470654686, -0.0330626049, 0.102650361, -0.0178510345],
        [-0.0194465982, -0.0293921617, -0.140441836, 0.572845992, 0.173790096, 0.0329836778],
        [-0.00335974253, 0.0458482335, 0.00473680566, -0.228172117, 0.18476819, 0.341654151],
        [0.076185971, -0.0140403659, 0.25663427, 0.0530401515, -0.0650296657, 0.172548662],
        [0.3894584, 0.322563027, -0.0810483085, -0.0206217484, -0.0253769729, -0.103185736],
    ];
    assert_weights(&weights, &expected, true);
}

#[test]
fn normalised_co_occurrence_is_that_of_the_reference() {
    let weights = overlap::fit(&toy(), |_| true).unwrap();
    let expected = [
        [0.365034059, 0.342924555, 0.247492569, 0.26344925, 0.110708815, 0.319339479],
        [0.342924555, 0.402074838, 0.322154187, 0.247492569, 0.239754759, 0.299997619],
        [0.247492569, 0.322154187, 0.402074838, 0.342924555, 0.347133267, 0.183163905],
        [0.26344925, 0.247492569, 0.342924555, 0.365034059, 0.255212558, 0.1949731],
        [0.110708815, 0.239754759, 0.347133267, 0.255212558, 0.400510481, 0.119995524],
        [0.319339479, 0.299997619, 0.183163905, 0.1949731, 0.119995524, 0.346126984],
    ];
    assert_weights(&weights, &expected, false);
}

#[test]
fn weights_of_what_is_consumed_together_are_those_of_the_reference() {
    let weights = fit(&toy(), 1.5).unwrap();
    let expected = [
        [0.0, 0.428291359, 0.0678388481, 0.278827555, -0.209034839, 0.370632464],
        [0.365555413, 0.0, 0.30347501, -0.0490998363, 0.109351559, 0.229102167],
        [0.0630711803, 0.330568542, 0.0, 0.456479691, 0.413068845, -0.0725342769],
        [0.241215086, -0.0497662494, 0.424754257, 0.0, 0.0946824471, 0.0689960195],
        [-0.161410735, 0.0989292716, 0.343070746, 0.0845112334, 0.0, 0.0557275542],
        [0.32359377, 0.234353793, -0.0681157414, 0.0696324952, 0.0630105018, 0.0],
    ];
    assert_weights(&weights, &expected, true);
}
