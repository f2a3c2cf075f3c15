//! Which items a model is of, and where its rows go.

use super::*;
use crate::columns::index::ItemIndex;

/// Trained on a catalogue of which some items are gone, among ids that were never described.
fn with_gone_items() -> Planted {
    let mut planted = Planted::new(6, 20 * TASTES);
    for _ in 0..1_200 {
        planted.like();
    }
    for number in 0..5 * TASTES {
        planted.push(Record::ItemDeleted(item_id(number)));
    }
    for number in 0..300 {
        planted.like_of(number % USERS, &ItemId::parse(format!("unknown-{number}")).unwrap());
    }
    let model = planted.train(Effort::WhenDue).1.unwrap();
    planted.publish(model);
    planted
}

#[test]
fn regularization_counts_items_and_users_with_evidence_only() {
    let planted = with_gone_items();
    let view = planted.engine.state();
    assert!(view.items_len() > 400, "ids without evidence have indices");
    let mut positives = vec![0; view.items_len()];
    for user in view.users.states.iter() {
        user.history.positives().for_each(|entry| positives[entry.item.as_usize()] += 1);
    }
    let takes_part = |index: &ItemIndex| {
        let gone = view.entry(*index).item.is_none();
        positives[index.as_usize()] >= if gone { 2 } else { 1 }
    };
    let expected = view.item_indices().filter(takes_part).count();
    assert!(expected <= 20 * TASTES, "ids that one user consumed take no part");
    let model = view.model().unwrap();
    assert_eq!(model.regularization.n_items, expected);
    assert_eq!(model.regularization.n_users, USERS);
}

#[test]
fn items_outside_the_catalogue_tell_of_tastes_and_are_never_named_by_item_item_weights() {
    let planted = with_gone_items();
    let view = planted.engine.state();
    let gone = |index: ItemIndex| view.entry(index).item.is_none();
    assert!(view.item_indices().any(|index| gone(index) && view.items.factors.is_trained(index)));
    for index in view.item_indices() {
        let scores = view.associations.together.scores([index].into_iter(), [1.0])[0].clone();
        assert!(scores.entries().iter().all(|entry| !gone(entry.0)));
    }
}

#[test]
fn rows_go_to_the_items_of_their_ids_whatever_the_index() {
    let mut first = Planted::new(7, 20 * TASTES);
    for _ in 0..800 {
        first.like();
    }
    let model = first.train(Effort::WhenDue).1.unwrap();
    // The same log in which other items came first, and some of the items are not known.
    let mut second = Planted::new(8, 0);
    for name in ["a", "b", "c"] {
        second.like_of(0, &ItemId::parse(name).unwrap());
    }
    for number in (10..20 * TASTES).rev() {
        second.like_of(number % USERS, &item_id(number));
    }
    for number in 0..800 {
        second.like_of(number % USERS, &ItemId::parse(format!("extra-{number}")).unwrap());
    }
    while second.engine.state().watermark() < model.trained_at {
        second.push(Record::ItemDeleted(item_id(9_999)));
    }
    second.engine.view.clock = first.engine.view.clock;
    first.publish(model.clone());
    second.publish(model);
    let (left, right) = (first.engine.state(), second.engine.state());
    let mut compared = 0;
    for number in 10..20 * TASTES {
        let id = item_id(number);
        let (a, b) =
            (left.item_index(id.as_str()).unwrap(), right.item_index(id.as_str()).unwrap());
        assert_eq!(left.items.factors.row(a), right.items.factors.row(b));
        assert_eq!(left.items.factors.is_trained(a), right.items.factors.is_trained(b));
        let name = |view: &crate::View, index: ItemIndex| view.item_id(index).unwrap().to_owned();
        let by_name = |view: &crate::View, index: ItemIndex| {
            let scores = view.associations.together.scores([index].into_iter(), [1.0])[0].clone();
            let mut named: Vec<(String, f32)> =
                scores.entries().iter().map(|entry| (name(view, entry.0), entry.1)).collect();
            named.sort_by(|a, b| a.0.cmp(&b.0));
            named
        };
        let known = |named: Vec<(String, f32)>| {
            named
                .into_iter()
                .filter(|entry| right.item_index(&entry.0).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(known(by_name(left, a)), by_name(right, b));
        compared += 1;
    }
    assert!(compared > 100);
    assert!(!right.items.factors.is_trained(right.item_index("a").unwrap()));
}

#[test]
fn a_forgotten_item_has_nothing_of_the_model_and_the_rest_serves_on() {
    let mut planted = with_gone_items();
    let index = planted.engine.state().item_index("i100").unwrap();
    assert!(planted.engine.state().items.factors.is_trained(index));
    planted.engine.forget_factors(index);
    let view = planted.engine.state();
    assert!(!view.items.factors.is_trained(index) && view.items.factors.row(index).is_none());
    let mut all = view.item_indices();
    assert!(all.all(|item| {
        view.associations.together.scores([item].into_iter(), [1.0])[0].clone().of(index) == 0.0
    }));
    let restored = Engine::restore(view.sections()).unwrap();
    assert_eq!(restored.state().digest(), view.digest());
    // Evidence of its own counts from here on.
    planted.like_of(1, &item_id(100));
    for _ in 0..16 {
        planted.push(Record::ItemDeleted(item_id(9_999)));
    }
    assert!(planted.engine.state().items.factors.row(index).is_some());
}
