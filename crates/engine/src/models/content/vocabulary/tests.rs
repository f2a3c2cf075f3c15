//! The vocabulary against values computed by hand, and its independence of order.

use proptest::prelude::*;

use crate::models::content::vocabulary::*;

fn document<'a>(title: &'a str, content: &'a str, topics: &'a [Box<str>]) -> Document<'a> {
    Document { title, content, topics, language: None }
}

fn add(vocabulary: &mut Vocabulary, content: &str) -> TermCounts {
    let counts = vocabulary.count_document(&document("", content, &[]));
    vocabulary.add(&counts);
    counts
}

fn frequency(vocabulary: &Vocabulary, term: &str) -> u32 {
    vocabulary.find(term).map_or(0, |id| vocabulary.document_frequency(id))
}

fn is_active(vocabulary: &Vocabulary, term: &str) -> bool {
    !vocabulary.weigh_text(&document("", term, &[])).is_empty()
}

/// Term texts with their weights, for comparison with a hand-made table.
fn by_name(vocabulary: &Vocabulary, vector: &SparseVector) -> Vec<(String, f32)> {
    let name = |id| vocabulary.term(id).map(|term| term.to_string()).unwrap();
    vector.terms().iter().map(|&(id, weight)| (name(id), weight)).collect()
}

#[test]
fn three_tiny_documents_have_the_weights_computed_by_hand() {
    let fruit = [Box::from("Fruit")];
    let mut vocabulary = Vocabulary::new(100);
    let counts = [
        document("Red apple", "An apple pie", &[]),
        document("Green apples", "", &fruit),
        document("Pie", "red pies", &[]),
    ]
    .map(|document| {
        let counts = vocabulary.count_document(&document);
        assert!(vocabulary.add(&counts).is_some());
        counts
    });
    // idf: ln(4/3) + 1 = 1.287682 for red, apple, pie; ln(4/2) + 1 = 1.693147 else.
    // tf: 1 + ln 2 = 1.693147, 1 + ln 3 = 2.098612.
    // First:  red 2, apple 3, pie 1: the idf is common and cancels;
    //         1.693147, 2.098612, 1 over the root of 8.270920, 2.875920.
    // Second: apple 2, topic, word and green 2: the tf cancels;
    //         1.287682 and 3 x 1.693147 over the root of 10.258367, 3.202868.
    // Third:  red 1, pie 3: 1, 2.098612 over the root of 5.404174, 2.324688.
    let expected: [&[(&str, f32)]; 3] = [
        &[("red", 0.588732), ("apple", 0.729718), ("pie", 0.347715)],
        &[("apple", 0.402040), ("topic:fruit", 0.528635), ("fruit", 0.528635), ("green", 0.528635)],
        &[("red", 0.430165), ("pie", 0.902750)],
    ];
    for (counts, expected) in counts.iter().zip(expected) {
        let weights = by_name(&vocabulary, &vocabulary.weigh(counts));
        assert_eq!(weights.len(), expected.len());
        for ((term, weight), (expected_term, expected_weight)) in weights.iter().zip(expected) {
            assert_eq!(term, expected_term);
            assert!((weight - expected_weight).abs() < 1e-6, "{term}: {weight}");
        }
    }
    let cosine = vocabulary.weigh(&counts[0]).cosine(&vocabulary.weigh(&counts[2]));
    assert!((cosine - 0.567152).abs() < 1e-6, "{cosine}");
}

#[test]
fn ids_are_given_in_order_of_first_occurrence_and_stay_while_a_document_has_the_term() {
    let mut vocabulary = Vocabulary::new(100);
    add(&mut vocabulary, "zebra apple");
    let counts = add(&mut vocabulary, "mango zebra");
    vocabulary.remove(&counts);
    for _ in 0..200 {
        add(&mut vocabulary, "later words");
    }
    let ids = ["zebra", "apple", "mango", "later", "word"].map(|term| vocabulary.find(term));
    assert_eq!(ids, [Some(0), Some(1), None, Some(3), Some(4)]);
}

#[test]
fn refits_are_due_at_each_early_upsert_and_then_at_doublings() {
    let mut vocabulary = Vocabulary::new(100);
    let counts = vocabulary.count_document(&document("", "word", &[]));
    let due: Vec<u64> = (1..=1030)
        .filter(|_| {
            // Removals in between do not move the instants.
            let due = vocabulary.add(&counts).is_some();
            vocabulary.remove(&counts);
            due
        })
        .collect();
    let expected: Vec<u64> = (1..=64).chain([128, 256, 512, 1024]).collect();
    assert_eq!(due, expected);
}

#[test]
fn removing_and_replacing_restore_frequencies_exactly() {
    let mut vocabulary = Vocabulary::new(100);
    let first = add(&mut vocabulary, "red apple red");
    let second = add(&mut vocabulary, "red pear");
    let replacement = vocabulary.count_document(&document("", "green pear", &[]));
    vocabulary.remove(&second);
    vocabulary.add(&replacement);
    let terms = ["red", "apple", "pear", "green"];
    assert_eq!(terms.map(|term| frequency(&vocabulary, term)), [1, 1, 1, 1]);
    vocabulary.remove(&first);
    vocabulary.remove(&replacement);
    assert_eq!(terms.map(|term| frequency(&vocabulary, term)), [0, 0, 0, 0]);
    assert_eq!(vocabulary.documents(), 0);
}

#[test]
fn refits_keep_the_most_frequent_terms_and_of_equals_the_oldest() {
    let mut vocabulary = Vocabulary::new(3);
    for content in ["alpha beta gamma delta", "delta beta", "delta beta gamma", "omega"] {
        add(&mut vocabulary, content);
    }
    let active = ["alpha", "beta", "gamma", "delta", "omega"].map(|t| is_active(&vocabulary, t));
    assert_eq!(active, [false, true, true, true, false]);
    assert_eq!(vocabulary.active(), 3);

    let mut vocabulary = Vocabulary::new(2);
    add(&mut vocabulary, "one two three");
    let active = ["three", "two", "one"].map(|t| is_active(&vocabulary, t));
    assert_eq!(active, [false, true, true]);
}

#[test]
fn rare_and_common_terms_are_not_chosen_once_there_are_enough_documents() {
    let mut vocabulary = Vocabulary::new(1000);
    for number in 0..128 {
        let half = if number % 2 == 0 { "half" } else { "" };
        let major = if number % 3 != 0 { "major" } else { "" };
        add(&mut vocabulary, &format!("{half} {major} twin{} only{number}", number / 2));
        if number == 19 {
            assert!(is_active(&vocabulary, "major") && is_active(&vocabulary, "only3"));
        }
        if number == 63 {
            assert!(!is_active(&vocabulary, "major") && is_active(&vocabulary, "only3"));
        }
    }
    let active = ["half", "major", "twin5", "only3"].map(|term| is_active(&vocabulary, term));
    assert_eq!(active, [true, false, true, false]);
}

#[test]
fn new_words_are_active_at_once_while_the_budget_allows_and_topics_always() {
    let mut vocabulary = Vocabulary::new(2);
    for _ in 0..70 {
        add(&mut vocabulary, "stock");
        let early = vocabulary.count_document(&document("", "", &[]));
        vocabulary.add(&early);
    }
    assert_eq!(vocabulary.active(), 1);
    add(&mut vocabulary, "second");
    add(&mut vocabulary, "third");
    assert!(is_active(&vocabulary, "second") && !is_active(&vocabulary, "third"));
    let topics = [Box::from("Politics")];
    let counts = vocabulary.count_document(&document("", "", &topics));
    assert!(vocabulary.add(&counts).is_none());
    let vector = vocabulary.weigh(&counts);
    assert_eq!(by_name(&vocabulary, &vector), [("topic:politics".to_owned(), 1.0)]);
}

#[test]
fn a_vocabulary_full_of_words_that_occur_once_takes_in_words_that_occur_often_later() {
    let mut vocabulary = Vocabulary::new(10);
    let learn = |vocabulary: &mut Vocabulary, text: &str| {
        let counts = vocabulary.count_document(&document("", text, &[]));
        for term in vocabulary.add(&counts).into_iter().flatten() {
            vocabulary.terms.release(term);
        }
    };
    (0..1_000).for_each(|number| learn(&mut vocabulary, &format!("word{number} often")));
    assert!(vocabulary.len() <= 40, "{}", vocabulary.len());
    (0..600).for_each(|number| learn(&mut vocabulary, &format!("novel x{number} often")));
    vocabulary.refit();
    assert!(is_active(&vocabulary, "novel"));
    assert!(vocabulary.find("word3").is_none() && vocabulary.len() <= 40);
    let topics: Vec<Box<str>> = (0..32).map(|number| format!("t{number}").into()).collect();
    vocabulary.count_document(&document("unseen", "", &topics));
    assert!(vocabulary.find("topic:t9").is_some(), "topics have a part of the budget");
}

#[test]
fn a_text_weighs_the_same_inline_as_stored_and_is_not_interned() {
    let topics = [Box::from("Space Opera")];
    let stored = document("Stars", "Ships between the stars of space", &topics);
    let mut vocabulary = Vocabulary::new(100);
    add(&mut vocabulary, "ship star planet");
    let counts = vocabulary.count_document(&stored);
    vocabulary.add(&counts);
    let digest = vocabulary.digest();
    assert_eq!(vocabulary.weigh_text(&stored), vocabulary.weigh(&counts));
    let unknown = document("Wholly unheard", "things", &[]);
    assert!(vocabulary.weigh_text(&unknown).is_empty());
    assert_eq!(vocabulary.digest(), digest);
}

#[test]
fn vectors_depend_on_counts_and_vocabulary_not_on_when_they_are_weighed() {
    let mut vocabulary = Vocabulary::new(100);
    let counts: Vec<TermCounts> =
        (0..70).map(|n| add(&mut vocabulary, &format!("common{} own{n}", n % 7))).collect();
    let early: Vec<SparseVector> = counts.iter().map(|c| vocabulary.weigh(c)).collect();
    for number in 0..40 {
        add(&mut vocabulary, &format!("common1 later{number}"));
    }
    vocabulary.remove(&counts[3]);
    let late: Vec<SparseVector> = counts.iter().map(|c| vocabulary.weigh(c)).collect();
    assert_eq!(early, late);
    vocabulary.refit();
    assert_ne!(vocabulary.weigh(&counts[1]), late[1]);
}

#[test]
fn a_view_keeps_its_weights_while_the_vocabulary_goes_on() {
    let mut vocabulary = Vocabulary::new(100);
    let counts = add(&mut vocabulary, "red apple");
    let view = vocabulary.clone();
    let (digest, vector) = (view.digest(), view.weigh(&counts));
    for number in 0..100 {
        add(&mut vocabulary, &format!("red fruit{number}"));
    }
    assert_eq!((view.digest(), view.weigh(&counts)), (digest, vector));
    assert_eq!((view.len(), view.documents()), (2, 1));
}

#[test]
fn max_features_stay_within_their_limits() {
    let mut vocabulary = Vocabulary::new(0);
    add(&mut vocabulary, "one two");
    assert_eq!(vocabulary.active(), 1);
    vocabulary.set_max_features(usize::MAX);
    vocabulary.refit();
    assert_eq!(vocabulary.active(), 2);
}

/// What a proptest does to a vocabulary: upsert or delete one of a few items.
fn operations() -> impl Strategy<Value = Vec<(usize, Option<String>)>> {
    let text = prop::option::weighted(0.8, "[a-e]{2}( [a-e]{2}){0,6}");
    prop::collection::vec((0..8_usize, text), 0..200)
}

fn apply(
    vocabulary: &mut Vocabulary,
    items: &mut [Option<TermCounts>; 8],
    operations: &[(usize, Option<String>)],
) {
    for (item, text) in operations {
        let counts = text
            .as_ref()
            .map(|text| vocabulary.count_document(&document("", text, &[Box::from("Any")])));
        if let Some(old) = items[*item].take() {
            vocabulary.remove(&old);
        }
        items[*item] = counts;
        let evicted = items[*item].as_ref().and_then(|counts| vocabulary.add(counts));
        for term in evicted.iter().flatten() {
            vocabulary.terms.release(*term);
        }
        let evicted = evicted.unwrap_or_default();
        for counts in items.iter_mut().flatten() {
            *counts = counts.without(&evicted).unwrap_or_else(|| counts.clone());
        }
    }
}

proptest! {
    #[test]
    fn a_snapshot_in_the_middle_leads_to_the_same_state(
        operations in operations(),
        cut in 0..200_usize,
        features in 1..40_usize,
    ) {
        let cut = cut.min(operations.len());
        let mut whole = Vocabulary::new(features);
        let mut items = Default::default();
        apply(&mut whole, &mut items, &operations);

        let mut first = Vocabulary::new(features);
        let mut restored_items = Default::default();
        apply(&mut first, &mut restored_items, &operations[..cut]);
        let mut restored = first.restored();
        prop_assert_eq!(restored.digest(), first.digest());
        apply(&mut restored, &mut restored_items, &operations[cut..]);
        prop_assert_eq!(restored.digest(), whole.digest());
        for (left, right) in items.iter().flatten().zip(restored_items.iter().flatten()) {
            prop_assert_eq!(whole.weigh(left), restored.weigh(right));
        }
    }

    #[test]
    fn frequencies_are_those_of_the_documents_left(operations in operations()) {
        let mut vocabulary = Vocabulary::new(1000);
        let mut items = Default::default();
        apply(&mut vocabulary, &mut items, &operations);
        let mut expected = vec![0; vocabulary.len()];
        for (term, _) in items.iter().flatten().flat_map(TermCounts::iter) {
            expected[term as usize] += 1;
        }
        let found: Vec<u32> =
            (0..expected.len() as u32).map(|id| vocabulary.document_frequency(id)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(vocabulary.documents() as usize, items.iter().flatten().count());
    }

    #[test]
    fn weights_after_a_refit_do_not_depend_on_the_order_of_documents(
        mut texts in prop::collection::vec("[a-e]{2}( [a-e]{2}){0,6}", 1..60),
    ) {
        // Ids do, so vectors are compared by the terms' names; all terms fit.
        let mut forward = Vocabulary::new(1000);
        texts.iter().for_each(|text| { add(&mut forward, text); });
        let first = texts[0].clone();
        texts.reverse();
        let mut backward = Vocabulary::new(1000);
        texts.iter().for_each(|text| { add(&mut backward, text); });
        let mut vectors = [forward, backward].map(|vocabulary| {
            let vector = vocabulary.weigh_text(&document("", &first, &[]));
            by_name(&vocabulary, &vector)
        });
        vectors.iter_mut().for_each(|vector| vector.sort_by(|a, b| a.0.cmp(&b.0)));
        prop_assert_eq!(vectors[0].len(), vectors[1].len());
        for (left, right) in vectors[0].iter().zip(&vectors[1]) {
            prop_assert_eq!(&left.0, &right.0);
            prop_assert!((left.1 - right.1).abs() < 1e-6);
        }
    }
}
