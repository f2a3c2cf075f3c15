//! Trainings one after the other on a stream, and searches.

use super::*;
use crate::columns::column::encode;
use crate::models::published::Publication;
use crate::training::trial;

/// Ten trainings of a stream; each must come out. Returns what each told.
fn ten_trainings(planted: &mut Planted, between: impl Fn(&mut Planted)) -> Vec<TrainingReport> {
    let mut told = Vec::new();
    for number in 0..10 {
        for _ in 0..600 {
            planted.like();
        }
        let (report, trained) = planted.train(Effort::WhenDue);
        told.push(report);
        match trained {
            Ok(model) => planted.publish(model),
            Err(error) => panic!("training {number}: {error}\n{told:#?}"),
        }
        between(planted);
    }
    told
}

#[test]
fn on_a_growing_stream_the_newer_model_is_never_refused() {
    let mut planted = Planted::new(1, 20 * TASTES);
    let told = ten_trainings(&mut planted, |planted| {
        (0..4 * TASTES).for_each(|_| planted.item());
    });
    let judged = told.iter().filter(|report| report.judgement.is_some()).count();
    assert!(judged >= 7, "the gate has something to judge by: {told:#?}");
    assert_eq!(planted.engine.state().model_version(), 10);
}

#[test]
fn when_items_change_their_audience_the_newer_model_is_never_refused() {
    let mut planted = Planted::new(2, 40 * TASTES);
    ten_trainings(&mut planted, |planted| {
        for _ in 0..planted.items / 10 {
            let (one, other) = (planted.below(planted.items), planted.below(planted.items));
            planted.slots.swap(one, other);
        }
    });
}

#[test]
fn a_model_of_bad_settings_is_refused_by_the_gate() {
    let mut planted = Planted::new(3, 40 * TASTES);
    for _ in 0..3_000 {
        planted.like();
    }
    let model = planted.train(Effort::Search).1.unwrap();
    planted.publish(model);
    for _ in 0..2_000 {
        planted.like();
    }
    planted.settings(|settings| Settings {
        collaborative_regularization: 0.5,
        search_trials: 1,
        ..settings
    });
    let (report, trained) = planted.train(Effort::WhenDue);
    assert!(matches!(trained, Err(TrainingError::NotBetter { .. })), "{trained:?}\n{report}");
    // With the settings of before, the newer model passes.
    planted.settings(|settings| settings);
    let (report, trained) = planted.train(Effort::WhenDue);
    assert!(trained.is_ok(), "{report}");
}

/// A world in which every search has enough data.
fn searched() -> Planted {
    let mut planted = Planted::new(4, 40 * TASTES);
    for _ in 0..4_000 {
        planted.like();
    }
    planted
}

#[test]
fn five_seeds_find_configurations_that_rank_alike() {
    let mut planted = searched();
    let mut figures = Vec::new();
    let mut told = String::new();
    for seed in 0..5 {
        planted.settings(|settings| Settings { seed, ..settings });
        let (report, trained) = planted.train(Effort::Search);
        assert!(trained.is_ok() && report.searched);
        figures.push(report.ndcg_of(&report.chosen.unwrap()).unwrap());
        told += &format!("{report}\n");
    }
    let (least, most) =
        (figures.iter().copied().fold(1.0, f64::min), figures.iter().copied().fold(0.0, f64::max));
    assert!(least > 0.9 * most, "{figures:?}\n{told}");
}

#[test]
fn a_search_recovers_from_a_badly_configured_serving_model() {
    let mut planted = searched();
    let (before, trained) = planted.train(Effort::Search);
    let mut model = trained.unwrap();
    let mut publication = Publication::decode(&model.encoded).unwrap();
    publication.origin.configuration.hyperparameters.regularization *= 27.0;
    model.encoded = encode(&publication).into();
    planted.publish(model);
    let (after, trained) = planted.train(Effort::Search);
    let found = |report: &TrainingReport| report.ndcg_of(&report.chosen.unwrap()).unwrap();
    assert!(found(&after) > 0.95 * found(&before), "{before}\n{after}");
    planted.publish(trained.unwrap());
    let origin = planted.engine.state().model().unwrap().origin;
    let best = origin.best.unwrap();
    assert!(best.ndcg >= found(&before), "the best of all searches is kept: {best:?}");
}

#[test]
fn little_data_are_not_searched() {
    let mut planted = Planted::new(5, 10 * TASTES);
    for _ in 0..1_500 {
        planted.like();
    }
    let (report, trained) = planted.train(Effort::Search);
    assert!(trained.is_ok() && !report.searched, "{report}");
    assert_eq!(report.tried.len(), 1, "{report}");
}

#[test]
fn a_collapsed_training_is_no_model() {
    let mut planted = searched();
    planted.settings(|settings| Settings {
        collaborative_regularization: 10.0,
        search_trials: 1,
        ..settings
    });
    let (report, trained) = planted.train(Effort::Search);
    assert_eq!(trained, Err(TrainingError::Diverged), "{report}");
    assert!(report.tried.iter().all(|tried| tried.ndcg.is_none()), "{report}");
    assert!(!trial::is_alive(&[1e-5; 32], 16) && trial::is_alive(&[0.1; 32], 16));
    assert!(!trial::is_alive(&[f32::NAN; 32], 16));
}
