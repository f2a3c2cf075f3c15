//! Arbitrary decisions with what is recorded of them.

use proptest::prelude::*;

use super::*;

fn detail() -> impl Strategy<Value = DecisionDetail> {
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u32>(), 0.0..9.0);
    let source = prop::sample::select(
        &[CandidateSource::Given, CandidateSource::Catalogue, CandidateSource::Remembered][..],
    );
    let occasion = (any::<i32>(), prop::option::of(label()), prop::option::of(label())).prop_map(
        |(utc_offset_minutes, device_type, location)| RecordedOccasion {
            utc_offset_minutes,
            device_type,
            location,
        },
    );
    let rules = (
        prop::collection::vec((id(ItemId::parse), any::<u32>()), 0..3).prop_map(|pins| {
            pins.into_iter().map(|(item_id, place)| RecordedPin { item_id, place }).collect()
        }),
        prop::collection::vec(boost(), 0..3),
        prop::collection::vec(label(), 0..3),
    );
    let items = prop::collection::vec(catalogue_item().prop_map(Arc::new), 0..3);
    let scored = prop::collection::vec((".{0,20}", number(), number()), 0..20);
    let scored = (scored, any::<bool>()).prop_map(|(scored, with_deviations)| {
        let mut candidates = CandidateScores::default();
        scored.iter().for_each(|(id, score, _)| candidates.push(id, *score));
        let deviations = scored.iter().map(|(_, _, deviation)| *deviation).collect();
        if with_deviations { candidates.with_deviations(deviations).unwrap() } else { candidates }
    });
    let options = (prop::option::of(label()), occasion);
    (numbers, source, options, recorded_choice(), recorded_filter(), rules, items, scored).prop_map(
        |(numbers, source, options, choice, filter, rules, items, candidates)| DecisionDetail {
            engine_revision: numbers.0,
            seed: numbers.1,
            context_watermark: numbers.2,
            unlearnt_cost: numbers.4,
            described: numbers.3,
            source,
            variant: options.0,
            occasion: options.1,
            choice,
            filter,
            pins: rules.0,
            boosts: rules.1,
            shown_lately: rules.2,
            items,
            candidates,
        },
    )
}

fn boost() -> impl Strategy<Value = RecordedBoost> {
    let subject = prop::sample::select(
        &[BoostSubject::Item, BoostSubject::Topic, BoostSubject::Source, BoostSubject::Matching][..],
    );
    (subject, label(), any::<bool>(), -1e3..1e3_f64).prop_map(
        |(subject, name, multiplies, amount)| RecordedBoost { subject, name, multiplies, amount },
    )
}

fn recorded_choice() -> impl Strategy<Value = RecordedChoice> {
    let method = prop::sample::select(
        &[
            DiversityMethod::None,
            DiversityMethod::Mmr,
            DiversityMethod::Dpp,
            DiversityMethod::Calibrated,
        ][..],
    );
    (method, prop::array::uniform9(0.0..1.0_f64), prop::array::uniform3(any::<u32>())).prop_map(
        |(method, weights, counts)| RecordedChoice {
            epsilon: weights[0],
            exploration_scale: weights[6],
            square_cb_gamma: weights[7],
            propensity_floor: weights[8],
            method,
            diversity_weight: weights[1],
            serendipity_weight: weights[2],
            novelty_weight: weights[3],
            topic_threshold: weights[4],
            source_threshold: weights[5],
            max_per_topic: counts[0],
            max_per_source: counts[1],
            places: counts[2],
        },
    )
}

fn recorded_filter() -> impl Strategy<Value = RecordedFilter> {
    let labels = || prop::collection::vec(label(), 0..3);
    let options = (prop::option::of(time()), prop::option::of(label()), any::<bool>());
    let numbers = (number(), any::<u32>(), any::<u32>());
    let some = (labels(), labels(), labels(), attributes(), options, numbers).prop_map(
        |(topics, sources, exclude, attributes, options, numbers)| RecordedFilter {
            topics,
            sources,
            exclude,
            attributes,
            published_after: options.0,
            expression: options.1,
            include_seen: options.2,
            seen_cooldown_hours: numbers.0,
            seen_after_interactions: numbers.1,
            frequency_cap_per_day: numbers.2,
        },
    );
    prop_oneof![Just(RecordedFilter::default()), some]
}

fn trial() -> impl Strategy<Value = TakeoverTrial> {
    let origin = prop::sample::select(&ListOrigin::ALL[..]);
    let chances = prop::array::uniform3(0.0..1.0);
    let baseline = prop_oneof![
        prop::collection::vec(id(ItemId::parse), 0..4).prop_map(BaselineOrder::Items),
        Just(BaselineOrder::Popular),
    ];
    let counts = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>());
    let difference = prop::collection::vec(number(), 0..6);
    (origin, chances, baseline, counts, number(), difference).prop_map(
        |(origin, chances, baseline, counts, expected_gain, difference)| TakeoverTrial {
            round: counts.0,
            origin,
            chances,
            baseline,
            places: counts.1,
            same_place: counts.2,
            in_both: counts.3,
            same_first: counts.4,
            expected_gain,
            difference,
        },
    )
}

pub fn takeover_change() -> impl Strategy<Value = Record> {
    let some = |range: std::ops::Range<f64>| prop::option::of(range);
    let values = (some(0.0..1.0), some(0.0..1.0), some(0.0..1.0));
    (values, prop::option::of(any::<u32>()), any::<bool>()).prop_map(
        |((share, popular_share, alpha), reward_window_seconds, restart)| {
            Record::TakeoverChanged(TakeoverChange {
                share,
                popular_share,
                alpha,
                reward_window_seconds,
                restart,
            })
        },
    )
}

pub fn decision() -> impl Strategy<Value = Record> {
    let features = prop::collection::vec(number(), 0..20);
    let shown = (id(ItemId::parse), number(), number(), features).prop_map(
        |(item_id, score, propensity, features)| ShownItem { item_id, score, propensity, features },
    );
    let choice = prop::sample::select(&Choice::ALL[..]);
    let ids = (id(DecisionId::parse), id(UserId::parse), time());
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>());
    let shown = prop::collection::vec(shown, 0..5);
    let parts = (prop::option::of(trial()), number(), prop::option::of(detail()));
    (ids, choice, number(), numbers, shown, parts).prop_map(
        |(ids, strategy, epsilon, numbers, shown, (trial, exploration_cost, detail))| {
            Record::Decision(Decision {
                decision_id: ids.0,
                user_id: ids.1,
                decided_at: ids.2,
                strategy,
                epsilon,
                model_version: numbers.0,
                watermark: numbers.1,
                candidates: numbers.2,
                segment: numbers.2 as u8,
                shown,
                exploration_cost,
                trial: trial.map(Box::new),
                detail: detail.map(Box::new),
            })
        },
    )
}

fn with_deviations(deviations: Vec<f32>) -> DecisionDetail {
    let mut candidates = CandidateScores::default();
    ["a", "b"].iter().for_each(|id| candidates.push(id, 0.5));
    DecisionDetail {
        engine_revision: 3,
        seed: 1,
        variant: None,
        occasion: RecordedOccasion::default(),
        context_watermark: 1,
        source: CandidateSource::Given,
        choice: RecordedChoice {
            epsilon: 0.1,
            exploration_scale: 0.3,
            square_cb_gamma: 10.0,
            propensity_floor: 0.01,
            method: DiversityMethod::None,
            diversity_weight: 0.0,
            serendipity_weight: 0.0,
            novelty_weight: 0.0,
            topic_threshold: 0.0,
            source_threshold: 0.0,
            max_per_topic: 0,
            max_per_source: 0,
            places: 2,
        },
        filter: RecordedFilter::default(),
        pins: Vec::new(),
        boosts: Vec::new(),
        shown_lately: Vec::new(),
        unlearnt_cost: 0.0,
        described: 0,
        items: Vec::new(),
        candidates: match deviations.len() {
            0 => candidates,
            _ => candidates.with_deviations(deviations).unwrap(),
        },
    }
}

fn bytes(detail: &DecisionDetail) -> Vec<u8> {
    let mut bytes = Vec::new();
    decision_detail::put(&mut bytes, detail, Timestamp::default());
    bytes
}

#[test]
fn a_record_that_ends_behind_the_scores_has_no_deviations() {
    let detail = with_deviations(Vec::new());
    let mut bytes = bytes(&detail);
    let last = bytes.split_off(bytes.len() - 1 - size_of::<f64>());
    assert_eq!(last, [0; 9], "no deviations, and nothing spent ahead");
    let read = decision_detail::read(&mut Reader::new(&bytes), Timestamp::default()).unwrap();
    assert_eq!(read, detail);
    assert_eq!(read.candidates.deviations(), None);
}

#[test]
fn deviations_of_some_candidates_only_are_damage() {
    let mut bytes = bytes(&with_deviations(vec![0.25, 0.5]));
    let count = bytes.len() - size_of::<f64>() - 2 * size_of::<f32>() - 1;
    assert_eq!(bytes[count], 2);
    bytes[count] = 1;
    let read = decision_detail::read(&mut Reader::new(&bytes), Timestamp::default());
    assert!(matches!(read, Err(Fault::Damaged(_))), "{read:?}");
}
