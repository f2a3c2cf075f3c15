//! Does a fit see what it is to predict, and does it find what was planted?

use super::choices::ChoiceSet;
use super::curves::Bent;
use super::logit::Prior;
use super::logit::Scaled;
use super::sets::ndcg;
use super::ways::STEPS_MAX;
use super::*;
use crate::columns::index::ItemIndex;
use crate::domain::FeatureLayout;
use crate::models::collaborative::RECENT;
use crate::models::hybrid::Curve;
use crate::models::hybrid::Curves;
use crate::models::hybrid::FeatureMatrix;
use crate::models::hybrid::Hybrid;
use crate::models::hybrid::ScaleOf;
use crate::seed;
use crate::state::View;
use crate::training::columns::Columns;
use crate::training::tests::Planted;
use crate::training::tests::item_id;

const ITEMS: usize = 120;

fn assert_near(own: f32, expected: f32, what: &str) {
    let least = 0.05 * own.abs().max(expected.abs()) + 2e-3;
    assert!((own - expected).abs() <= least, "{what}: {own}, expected {expected}");
}

/// Counts of common consumption leak most: of rare pairs the one that is held out is the only one.
#[test]
fn what_is_held_out_is_taken_back_as_if_it_had_not_happened() {
    let mut planted = Planted::new(11, ITEMS);
    (0..1_500).for_each(|_| planted.like());
    let view = planted.engine.state();
    let columns = Columns::of(view);
    let holdout = Holdout::new(view, &columns).unwrap();
    let taken = withheld::taken_back(&holdout);
    let is_held_out = |user: usize, item: usize| {
        let index = view.user_index(&format!("u{user}")).unwrap();
        let item = view.item_index(item_id(item).as_str()).unwrap();
        let test = holdout.tests().iter().find(|test| test.user == index);
        test.is_some_and(|test| test.before.find(item).is_none())
    };
    let mut other = Planted::new(11, ITEMS);
    for &(seconds, user, item) in planted.likes.iter().filter(|like| !is_held_out(like.1, like.2)) {
        other.seconds = seconds;
        other.like_of(user, &item_id(item));
    }
    let without = other.engine.state();
    for test in holdout.tests().iter().step_by(7) {
        let state = &taken.users.states[test.user];
        let id = view.users.states.indices().find(|&index| index == test.user).unwrap();
        assert_eq!(state.history.entries().len(), test.before.entries().len(), "{id:?}");
        let recent: Vec<ItemIndex> =
            state.history.positives().take(RECENT).map(|entry| entry.item).collect();
        let scores = |view: &View, item: ItemIndex| {
            [
                view.cooccurrence_scorer(&recent).score(item),
                view.succession_scorer(&recent).score(item),
                view.popularity(item),
            ]
        };
        for item in view.item_indices() {
            let pairs = scores(&taken, item).into_iter().zip(scores(without, item));
            for ((own, expected), what) in pairs.zip(["co-occurrence", "succession", "popularity"])
            {
                assert_near(own, expected, what);
            }
        }
    }
}

fn set(rows: &[[f32; 3]], chosen: usize) -> Scaled {
    let counts = vec![1.0; rows.len()];
    Scaled {
        rows: FeatureMatrix::from_rows(rows.iter().map(|row| &row[..])),
        chosen,
        counts,
        fold: None,
    }
}

/// Sets in which the first feature speaks for an item, the second against it, and the third says nothing.
fn planted() -> Vec<Scaled> {
    let mut rng = seed::stream(1, seed::Purpose::Choose, b"fit");
    let mut sets = Vec::new();
    for _ in 0..200 {
        let mut value = || seed::unit(&mut rng) as f32;
        let mut rows: Vec<[f32; 3]> = (0..8).map(|_| [value(), value(), value()]).collect();
        let worth = |row: &[f32; 3]| row[0] - row[1];
        rows.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        sets.push(set(&rows, 1));
    }
    sets
}

#[test]
fn a_fit_finds_the_feature_that_decides_and_its_sign() {
    let sets = planted();
    let all: Vec<&Scaled> = sets.iter().collect();
    let fitted = logit::fit(&all, &Prior::even(&[0.0; 3], 1.0), &[0.0; 3]).unwrap();
    let [first, second, third] = [0, 1, 2].map(|at| fitted[at]);
    assert!(first > 3.0 && second < -3.0 && third.abs() < 1.0, "{fitted:?}");
    assert!(all.iter().all(|set| ndcg(set, &set.scores(&fitted)) > 0.6));
}

/// Popularity has nearly faded in choices of long ago; requests of now have all of it.
#[test]
fn what_is_larger_in_requests_than_in_choices_is_not_cut() {
    let wide = |value: f32| {
        let mut row = vec![0.0; FEATURES.len()];
        row[0] = value;
        FeatureMatrix::from_rows([&row[..], &row[..]])
    };
    let set = ChoiceSet {
        features: wide(0.01),
        chosen: 1,
        counts: vec![1.0; 2],
        person: 0,
        is_list: false,
    };
    let units = sets::units(std::iter::once(&set), &wide(4.0));
    assert_eq!(units[0], Some(0.5), "4 is the largest value of the scale");
    let scaled = Scaled { rows: wide(0.02), chosen: 1, counts: vec![1.0; 2], fold: None };
    let mut curves = vec![None; FEATURES.len()];
    curves[0] = Some(Curve { slope: 3.0, ..Curve::default() });
    let (curves, weights) = curves::weighed(&[&scaled], &wide(8.0), curves);
    let values = [2.0, 8.0].map(|x| curves[0].as_ref().unwrap().at(x, 0.0) * weights[0] as f32);
    assert!((values[0] - 6.0).abs() < 1e-4 && (values[1] - 24.0).abs() < 1e-4, "{values:?}");
}

#[test]
fn a_row_that_stands_for_many_items_counts_as_many() {
    let mut one = set(&[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]], 1);
    let score = |set: &Scaled| ndcg(set, &set.scores(&[1.0, 0.0, 0.0]));
    assert!((score(&one) - 1.0 / 3.0_f64.log2()).abs() < 1e-12);
    one.counts[1] = 30.0;
    assert_eq!(score(&one), 0.0, "thirty are better");
}

/// However sure the prior was that the fit was made with: it is chosen to rank well now, and must not keep
/// the weights where they are.
#[test]
fn what_users_choose_after_a_fit_moves_it() {
    let sets = planted();
    let all: Vec<&Scaled> = sets.iter().collect();
    let weights = logit::fit(&all, &Prior::even(&[2.0, 0.0, 0.0], 1e9), &[0.0; 3]).unwrap();
    assert!((weights[0] - 2.0).abs() < 1e-3, "the prior is sure: {weights:?}");
    let layout = FeatureLayout::new(2..5);
    let mut hybrid = Hybrid::new(&crate::models::hybrid::Prior {
        layout: layout.clone(),
        scales: vec![ScaleOf::Fitted; 3],
        weights: vec![0.0; 3],
    });
    let information = logit::information(&all, &weights);
    hybrid.adopt(&HybridFit {
        layout,
        units: vec![Some(1.0); 3],
        curves: Curves::default(),
        weights,
        information,
        mean: 0.0,
        variance: 1.0,
    });
    assert!((hybrid.weights()[0] - 2.0).abs() < 1e-3, "it goes on from the fit");
    for set in &sets {
        hybrid.learn_choice(&set.rows, &vec![0.0; set.rows.len()], 1.0);
    }
    assert!(hybrid.weights()[1] < -1.0, "users choose against the second: {:?}", hybrid.weights());
}

/// Sets of people with long and with short histories. All take what is near 1.5 by the first feature, neither less nor
/// more; the second decides for those with long histories only.
fn bent() -> Vec<Scaled> {
    let mut rng = seed::stream(2, seed::Purpose::Choose, b"bent");
    let mut sets = Vec::new();
    for at in 0..400 {
        let positives = if at % 2 == 0 { 0 } else { 400 };
        let mut value = || seed::unit(&mut rng) as f32;
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for _ in 0..20 {
            let mut row = vec![0.0; FEATURES.len()];
            (row[0], row[1]) = (3.0 * value() + 0.01, value() + 0.01);
            rows.push(row);
        }
        let is_long = f32::from(u8::from(positives > 0));
        let worth = |row: &Vec<f32>| -(row[0] - 1.5).abs() + is_long * row[1];
        rows.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        let rows = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..])).of_history(positives);
        sets.push(Scaled { counts: vec![1.0; rows.len()], rows, chosen: 1, fold: None });
    }
    sets
}

#[test]
fn curves_find_a_preference_that_rises_and_falls_and_one_of_long_histories_only() {
    let (sets, others) = (bent(), bent());
    let all: Vec<&Scaled> = sets.iter().collect();
    let prior = Prior::even(&vec![0.0; FEATURES.len()], 1.0);
    let lines = logit::fit(&all, &prior, &prior.mean).unwrap();
    let bent = Bent::new(&all);
    let shapes = &bent.shapes;
    let parameters = bent.fit(None, &prior, shapes.straight(&lines), STEPS_MAX);
    let (curves, weights) =
        curves::weighed(&all, &FeatureMatrix::default(), shapes.curves(&parameters));
    let curves = Curves::new(curves, (-1.0, 1.0));
    let figure = |score: &dyn Fn(&Scaled) -> Vec<f64>| {
        let figures: Vec<f64> = others.iter().map(|set| ndcg(set, &score(set))).collect();
        mean(&figures)
    };
    let straight = figure(&|set| set.scores(&lines));
    let curved = figure(&|set| shapes.scores(&parameters, set));
    assert!(straight < 0.55 && curved > 0.7, "{straight} {curved}");
    // What is published scores as what was fitted, but for rounding.
    let published = figure(&|set| set.shaped(&curves).scores(&weights));
    assert!((published - curved).abs() < 0.01, "{published} {curved}");
    assert!(curves.is_sound(FEATURES.len()));
}
