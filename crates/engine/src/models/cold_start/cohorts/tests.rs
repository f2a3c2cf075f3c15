//! Cohorts in their hierarchy.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::AttributeValue;
use crate::models::cold_start::cohorts::*;

const NOW: DecayTime = DecayTime::from_half_lives(20_000.0);
const OVERALL: f32 = 0.01;

fn attributes(values: &[(&str, &str)]) -> Attributes {
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    let values: BTreeMap<_, _> =
        values.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    Attributes::new(values).unwrap()
}

fn names(cohorts: &Cohorts, of: &[u32]) -> Vec<String> {
    of.iter().map(|&cohort| cohorts.name(cohort).unwrap().to_owned()).collect()
}

fn preference(cohorts: &Cohorts, of: &[u32], item: u32) -> f32 {
    cohorts.scorer(of, NOW).preference(ItemIndex::new(item), OVERALL)
}

fn want(cohorts: &mut Cohorts, of: &[u32], item: u32, times: usize) {
    for _ in 0..times {
        cohorts.add(of, ItemIndex::new(item), 1.0, NOW);
    }
}

#[test]
fn a_user_is_in_the_cohorts_of_each_value_of_each_pair_and_of_all() {
    let mut cohorts = Cohorts::default();
    let one = cohorts.of(&attributes(&[("country", "DE")]));
    assert_eq!(names(&cohorts, &one), ["country=DE"]);
    let three = cohorts.of(&attributes(&[("age", "young"), ("country", "DE"), ("sex", "f")]));
    let expected = [
        "age=young",
        "country=DE",
        "sex=f",
        "age=young & country=DE",
        "age=young & sex=f",
        "country=DE & sex=f",
        "age=young & country=DE & sex=f",
    ];
    assert_eq!(names(&cohorts, &three), expected);
    let specific = cohorts.most_specific(&three);
    assert_eq!(names(&cohorts, &specific), [expected[6]]);
    assert!(cohorts.of(&Attributes::default()).is_empty());
}

#[test]
fn the_most_specific_cohort_decides_where_it_has_seen_enough() {
    let mut cohorts = Cohorts::default();
    let young = cohorts.of(&attributes(&[("age", "young"), ("country", "DE")]));
    let old = cohorts.of(&attributes(&[("age", "old"), ("country", "DE")]));
    let new_user = cohorts.of(&attributes(&[("age", "middle"), ("country", "DE")]));
    // Young Germans consume item 1, old Germans item 2.
    want(&mut cohorts, &young, 1, 200);
    want(&mut cohorts, &old, 2, 200);
    assert!(preference(&cohorts, &young, 1) > preference(&cohorts, &young, 2) + 1.0);
    assert!(preference(&cohorts, &old, 2) > preference(&cohorts, &old, 1) + 1.0);
    // Of the middle-aged only the country is known.
    let (one, two) = (preference(&cohorts, &new_user, 1), preference(&cohorts, &new_user, 2));
    assert!((one - two).abs() < 1e-4 && one > 1.0, "{one} {two}");
}

#[test]
fn a_cohort_without_observations_and_a_user_without_cohorts_are_neutral() {
    let mut cohorts = Cohorts::default();
    let empty = cohorts.of(&attributes(&[("age", "old")]));
    assert!(preference(&cohorts, &empty, 3).abs() < 1e-6);
    assert_eq!(preference(&cohorts, &[], 3), 0.0);
}

#[test]
fn an_attribute_that_is_an_id_does_not_evict_a_group() {
    let mut cohorts = Cohorts::default();
    for number in 0..3 * COHORTS_MAX {
        let id = number.to_string();
        cohorts.of(&attributes(&[("country", "DE"), ("id", &id)]));
        cohorts.evict().into_iter().for_each(|cohort| cohorts.names.names.release(cohort));
    }
    assert!(cohorts.rows.len() <= COHORTS_MAX + 8, "{}", cohorts.rows.len());
    assert!(cohorts.names.find("country=DE").is_some());
}

#[test]
fn strengths_are_estimated_at_fixed_numbers_and_follow_how_much_cohorts_differ() {
    let estimated = |differ: bool| {
        let mut cohorts = Cohorts::default();
        let mut due = Vec::new();
        for event in 0..1_024_u32 {
            let country = event % 8;
            let of = cohorts.of(&attributes(&[("country", &country.to_string())]));
            let item = if differ { country } else { event / 8 % 8 };
            if cohorts.add(&of, ItemIndex::new(item), 1.0, NOW) {
                due.push(event + 1);
            }
        }
        assert_eq!(due, [256, 512, 1_024]);
        cohorts.estimate(|_| 0.125, NOW);
        cohorts.estimates.strengths
    };
    assert!(estimated(true)[0] <= 2.0, "{:?}", estimated(true));
    assert!(estimated(false)[0] > 500.0, "{:?}", estimated(false));
    assert_eq!(estimated(false)[2], STRENGTH_DEFAULT, "no user has three attributes");
}

#[test]
fn weights_and_age_do_not_count_as_observations() {
    let count = |weight: f32, days: i64| {
        let mut cohorts = Cohorts::default();
        let of = cohorts.of(&attributes(&[("country", "DE")]));
        for _ in 0..40 {
            cohorts.add(&of, ItemIndex::new(1), weight, NOW);
        }
        let now = DecayTime::from_half_lives(20_000.0 + days as f64);
        cohorts.scorer(&of, now).members[0].observations
    };
    assert!((count(1.0, 0) - 40.0).abs() < 1e-3);
    assert!((count(3.0, 0) - 40.0).abs() < 1e-3, "{}", count(3.0, 0));
}

proptest! {
    #[test]
    fn a_childs_share_lies_between_its_parents_and_its_own_and_moves_with_evidence(
        own in 1..60_usize, others in 0..60_usize, more in 1..60_usize,
    ) {
        let mut cohorts = Cohorts::default();
        let child = cohorts.of(&attributes(&[("age", "young"), ("country", "DE")]));
        let sibling = cohorts.of(&attributes(&[("age", "old"), ("country", "DE")]));
        want(&mut cohorts, &sibling, 2, others);
        want(&mut cohorts, &child, 1, own);
        let share = |cohorts: &Cohorts, of: &[u32]| {
            cohorts.scorer(of, NOW).share(ItemIndex::new(1), OVERALL)
        };
        let (parents, before) = (share(&cohorts, &child[..2]), share(&cohorts, &child));
        // The child itself consumed nothing else: its own share is 1.
        prop_assert!(before >= parents - 1e-5 && before <= 1.0, "{parents} {before}");
        want(&mut cohorts, &child, 1, more);
        prop_assert!(share(&cohorts, &child) >= before - 1e-5);
    }
}
