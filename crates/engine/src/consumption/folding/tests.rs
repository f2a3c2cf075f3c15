//! Consumptions after sequences of events.

use proptest::prelude::*;

use super::*;

const HOUR: u32 = 3_600;
const GAP: u32 = 4 * HOUR;
const START: i64 = 1_700_000_000;

use InteractionType::{Click, Dislike, Dwell, Hide, Like, Purchase, Rating, Skip};

/// An event so many seconds after the start, with the confidence of the default table.
fn event(kind: InteractionType, confidence: f32, seconds: i64) -> Evidence {
    Evidence { kind, confidence, at: Timestamp::from_seconds(START + seconds) }
}

/// The consumption after all events, and what the last changed.
fn folded(events: &[Evidence]) -> (Consumption, Change) {
    let (mut consumption, mut change) = Consumption::begun(ItemIndex::new(7), &events[0], GAP);
    for event in &events[1..] {
        (consumption, change) = consumption.folded(event, GAP);
    }
    (consumption, change)
}

/// Positives and the sum of all rises.
fn learnt(events: &[Evidence]) -> (usize, f32) {
    let changes = (1..=events.len()).map(|length| folded(&events[..length]).1);
    changes.fold((0, 0.0), |(positives, rise), change| {
        (positives + usize::from(change.is_positive()), rise + change.rise)
    })
}

#[test]
fn an_entry_takes_36_bytes() {
    assert_eq!(size_of::<Consumption>(), 36);
}

#[test]
fn a_like_two_seconds_after_the_click_adds_the_difference_and_no_positive() {
    let (consumption, change) = folded(&[event(Click, 1.0, 0), event(Like, 2.0, 2)]);
    assert!(!change.is_positive() && !change.opened);
    assert_eq!((change.rise, consumption.sessions(), consumption.net()), (1.0, 1, 2.0));
    assert_eq!(learnt(&[event(Click, 1.0, 0), event(Like, 2.0, 2)]), (1, 2.0));
}

#[test]
fn three_heartbeats_are_one_consumption_with_the_evidence_of_the_strongest() {
    let beats = [event(Dwell, 0.5, 0), event(Dwell, 1.0, 61), event(Dwell, 1.0, 122)];
    let (consumption, change) = folded(&beats);
    assert_eq!((consumption.sessions(), consumption.net()), (1, 1.0));
    assert_eq!((change.rise, change.is_positive(), change.opened), (0.0, false, false));
    assert_eq!(learnt(&beats), (1, 1.0));
}

#[test]
fn a_new_session_after_the_gap_is_a_repetition_and_adds_evidence_again() {
    let events = [event(Click, 1.0, 0), event(Click, 1.0, i64::from(GAP) + 1)];
    let (consumption, change) = folded(&events);
    assert!(change.repeated && change.opened && !change.started);
    assert_eq!((change.rise, consumption.sessions(), consumption.net()), (1.0, 2, 1.0));
    assert_eq!(change.since_last, Some(GAP + 1));
    let within = folded(&[event(Click, 1.0, 0), event(Click, 1.0, i64::from(GAP))]);
    assert_eq!((within.1.is_positive(), within.0.sessions()), (false, 1));
}

#[test]
fn a_skip_does_not_erase_a_purchase_nor_move_it() {
    let purchase = event(Purchase, 2.0, 0);
    let (consumption, change) = folded(&[purchase, event(Skip, -0.25, 100 * i64::from(HOUR))]);
    assert_eq!(consumption.net(), 1.75);
    assert_eq!((consumption.at(), consumption.kind()), (purchase.at, Purchase));
    assert_eq!((change.is_current, change.rise, change.against), (false, 0.0, 0.25));
    assert!(consumption.has(Skip) && consumption.sessions() == 1);
    let (strict, _) = folded(&[purchase, event(Skip, -50.0, 1)]);
    assert_eq!(strict.net(), 1.0, "half of strong evidence stays whatever a skip counts");
}

#[test]
fn a_skip_outweighs_a_glance() {
    let (consumption, _) = folded(&[event(Dwell, 0.0625, 0), event(Skip, -0.25, 2)]);
    assert_eq!(consumption.net(), -0.1875);
}

#[test]
fn an_explicit_negative_outweighs_earlier_evidence_and_a_later_positive_replaces_it() {
    let mut events = vec![event(Purchase, 2.0, 0), event(Dislike, -1.0, 60)];
    let (consumption, change) = folded(&events);
    assert_eq!((consumption.net(), consumption.in_favour()), (-1.0, 2.0));
    assert_eq!((change.against, change.taste()), (1.0, -1.0));
    events.push(event(Click, 1.0, 120));
    assert_eq!(folded(&events).0.net(), -1.0, "a click is no explicit positive");
    events.push(event(Like, 2.0, 180));
    let (consumption, change) = folded(&events);
    assert_eq!((consumption.net(), change.against), (2.0, -1.0));
    let low = event(Rating, -0.5, 240);
    events.push(low);
    assert_eq!(folded(&events).0.net(), -0.5);
}

#[test]
fn the_latest_explicit_statement_is_by_time_and_not_by_order_of_arrival() {
    let (consumption, _) = folded(&[event(Like, 2.0, 100), event(Dislike, -1.0, 50)]);
    assert_eq!(consumption.net(), 2.0);
    let (consumption, _) = folded(&[event(Dislike, -1.0, 100), event(Like, 2.0, 50)]);
    assert_eq!(consumption.net(), -1.0);
}

#[test]
fn a_hidden_item_stays_hidden_until_an_explicit_positive() {
    let mut events = vec![event(Click, 1.0, 0), event(Hide, -1.0, 10)];
    assert!(folded(&events).0.is_hidden());
    events.push(event(Click, 1.0, 100_000));
    events.push(event(Dwell, 1.0, 100_010));
    events.push(event(Like, 2.0, 5));
    assert!(folded(&events).0.is_hidden(), "neither clicks nor a like from before");
    events.push(event(Purchase, 2.0, 100_020));
    let (consumption, _) = folded(&events);
    assert!(!consumption.is_hidden() && consumption.net() == 2.0);
    assert!(folded(&[event(Hide, 0.0, 0)]).0.is_hidden(), "for any confidence");
    let late = [event(Dislike, -1.0, 100), event(Hide, -1.0, 50)];
    assert!(folded(&late).0.is_hidden(), "a dislike after it takes nothing back");
    let late = [event(Like, 2.0, 100), event(Hide, -1.0, 50)];
    assert!(!folded(&late).0.is_hidden(), "a like after it does");
}

#[test]
fn an_item_that_was_only_skipped_was_never_consumed() {
    let (skipped, change) = folded(&[event(Skip, -0.25, 0)]);
    assert_eq!((skipped.sessions(), skipped.net()), (0, -0.25));
    assert!(change.opened && change.is_current && !change.is_positive());
    let (clicked, change) = folded(&[event(Skip, -0.25, 0), event(Click, 1.0, 5)]);
    assert!(change.started && !change.opened);
    assert_eq!(clicked.sessions(), 1);
}

#[test]
fn an_event_of_an_earlier_session_changes_no_times_and_counts_once() {
    let day = 24 * i64::from(HOUR);
    let newest = event(Click, 1.0, 10 * day);
    let old = event(Like, 2.0, day);
    let (consumption, change) = folded(&[newest, old]);
    assert_eq!((consumption.at(), consumption.kind()), (newest.at, Click));
    assert_eq!((consumption.sessions(), consumption.net(), change.rise), (1, 2.0, 1.0));
    let again = consumption.folded(&old, GAP);
    assert_eq!((again.0, again.1.rise, again.1.is_positive()), (consumption, 0.0, false));
}

#[test]
fn times_outside_of_32_bits_are_at_the_nearest_end() {
    for (at, expected) in
        [(-5, 1), (0, 1), (4_294_967_295, 4_294_967_295), (i64::MAX, 4_294_967_295)]
    {
        let at = Timestamp::from_seconds(at);
        let event = Evidence { kind: Like, confidence: 2.0, at };
        let (consumption, _) = Consumption::begun(ItemIndex::new(1), &event, GAP);
        assert_eq!(consumption.at(), Timestamp::from_seconds(expected));
    }
}

fn any_event() -> impl Strategy<Value = Evidence> {
    let at = prop_oneof![
        START..START + 200_000,
        Just(0_i64),
        Just(i64::MAX / 1_000),
        Just(-1_000_000),
        any::<u32>().prop_map(i64::from),
    ];
    let confidence = prop_oneof![
        Just(0.0_f32),
        Just(1.0),
        Just(2.0),
        Just(-0.25),
        Just(-1.0),
        -100.0_f32..100.0,
        Just(f32::NAN),
        Just(f32::INFINITY),
    ];
    (1..11_usize, confidence, at).prop_map(|(kind, confidence, at)| Evidence {
        kind: InteractionType::ALL[kind],
        confidence,
        at: Timestamp::from_seconds(at),
    })
}

proptest! {
    #[test]
    fn any_events_in_any_order_keep_numbers_finite_and_times_in_order(
        events in prop::collection::vec(any_event(), 1..60),
        gap in HOUR..48 * HOUR,
    ) {
        let (mut consumption, _) = Consumption::begun(ItemIndex::new(3), &events[0], gap);
        for event in &events {
            let before = consumption;
            let change;
            (consumption, change) = consumption.folded(event, gap);
            let numbers = [consumption.net(), change.rise, change.against, consumption.against()];
            prop_assert!(numbers.iter().all(|number| number.is_finite()), "{:?}", numbers);
            prop_assert!(consumption.is_sound() && consumption.end >= before.end);
            prop_assert!(change.rise >= 0.0 && (!change.is_positive() || change.rise > 0.0));
            prop_assert!(consumption.sessions >= before.sessions);
            let bytes = postcard::to_stdvec(&consumption).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Consumption>(&bytes).unwrap(), consumption);
        }
    }

    #[test]
    fn a_stream_of_heartbeats_that_is_sent_again_changes_nothing(
        beats in prop::collection::vec((0..400_000_i64, 0..60_u32), 1..40),
        order in any::<u64>(),
    ) {
        let mut beats: Vec<Evidence> = beats
            .into_iter()
            .map(|(at, dwell)| event(Dwell, dwell as f32 / 60.0, at))
            .collect();
        beats.sort_by_key(|beat| beat.at);
        let (once, _) = folded(&beats);
        // Again, from anywhere on.
        let from = (order % beats.len() as u64) as usize;
        let mut again = once;
        for beat in beats[from..].iter().chain(&beats) {
            let (next, change) = again.folded(beat, GAP);
            prop_assert!(!change.is_positive() && !change.opened);
            prop_assert_eq!(change.rise, 0.0);
            again = next;
        }
        prop_assert_eq!(again, once);
    }
}
