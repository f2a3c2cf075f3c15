//! Experiments, exposures and assignments of any kind.

use proptest::prelude::*;

use super::id;
use super::number;
use super::time;
use engine::domain::Assignment;
use engine::domain::BUCKETS;
use engine::domain::BackfillChunk;
use engine::domain::Cap;
use engine::domain::Division;
use engine::domain::Experiment;
use engine::domain::ExperimentChange;
use engine::domain::ExperimentState;
use engine::domain::Exposure;
use engine::domain::Good;
use engine::domain::Key;
use engine::domain::Measure;
use engine::domain::Metric;
use engine::domain::MetricKind;
use engine::domain::MetricTest;
use engine::domain::Plan;
use engine::domain::Record;
use engine::domain::Role;
use engine::domain::Split;
use engine::domain::Tester;
use engine::domain::UserId;
use engine::domain::Variant;

fn key() -> impl Strategy<Value = Key> {
    "[a-z0-9][a-z0-9_.-]{0,20}".prop_map(|text| Key::parse(text).unwrap())
}

fn measure() -> impl Strategy<Value = Measure> {
    (any::<u16>(), any::<bool>(), 0..6_u8).prop_map(|(types, after_list, which)| match which {
        0 => Measure::Events { types, after_list },
        1 => Measure::Values { types, after_list },
        2 => Measure::Lists,
        3 => Measure::Positions,
        4 => Measure::NewItems,
        _ => Measure::Topics,
    })
}

fn metric() -> impl Strategy<Value = Metric> {
    let choices = (0..4_u8, 0..3_u8, 0..3_u8, 0..3_u8, any::<bool>());
    let numbers = (0.0..0.9, 0.1..1e9, 0.01..0.99, any::<(u32, u32)>());
    (key(), measure(), measure(), choices, numbers).prop_map(
        |(name, measure, per, which, numbers)| {
            let (margin, cap, expected_rate, window) = numbers;
            Metric {
                name,
                kind: [
                    MetricKind::Rate,
                    MetricKind::Mean,
                    MetricKind::Ratio(per),
                    MetricKind::Preference,
                ][which.0 as usize],
                measure,
                window,
                good: if which.4 { Good::Higher } else { Good::Lower },
                role: [Role::Primary, Role::Secondary, Role::Guardrail { margin, stops: which.4 }]
                    [which.1 as usize],
                cap: [Cap::None, Cap::At(cap), Cap::Learnt][which.2 as usize],
                test: [MetricTest::Conversions, MetricTest::Sequential, MetricTest::FixedHorizon]
                    [which.3 as usize],
                expected_rate,
            }
        },
    )
}

fn split() -> impl Strategy<Value = Split> {
    let slices = any::<(u32, u32)>().prop_map(|(slice_seconds, washout_seconds)| {
        Split::TimeSlices { slice_seconds, washout_seconds }
    });
    let learnt = (0.01..0.5).prop_map(|floor| Split::Learnt { floor });
    prop_oneof![Just(Split::Users), slices, Just(Split::Interleaved), learnt]
}

fn experiment() -> impl Strategy<Value = Experiment> {
    let variant = (key(), 0.0..1.0, prop::collection::vec(any::<u8>(), 0..50), any::<bool>());
    let variant = variant.prop_map(|(name, weight, overrides, own_ranker)| Variant {
        name,
        weight,
        overrides,
        own_ranker,
    });
    let states = [
        ExperimentState::Draft,
        ExperimentState::Running,
        ExperimentState::Paused,
        ExperimentState::Stopped,
        ExperimentState::Archived,
    ];
    let tester = (id(UserId::parse), any::<u8>());
    let tester = tester.prop_map(|(user_id, variant)| Tester { user_id, variant });
    let lists = (
        prop::collection::vec(variant, 0..4),
        prop::collection::vec(metric(), 0..4),
        prop::collection::vec(tester, 0..3),
        prop::collection::vec(any::<(u32, u32)>(), 0..4),
    );
    let times = (prop::option::of(time()), prop::option::of(time()), any::<u32>());
    let texts = (key(), key(), key(), ".{0,40}", ".{0,40}");
    let rest = (
        prop::sample::select(states.to_vec()),
        split(),
        0..=BUCKETS,
        any::<bool>(),
        prop::option::of(any::<u8>()),
        (1e-6..0.25, any::<u64>()),
    );
    (texts, lists, times, rest).prop_map(|(texts, lists, times, rest)| Experiment {
        key: texts.0,
        state: rest.0,
        hypothesis: texts.3.into(),
        layer: texts.1,
        salt: texts.2,
        split: rest.1,
        allocation: rest.2,
        buckets: lists.3,
        variants: lists.0,
        eligibility: texts.4.into(),
        metrics: lists.1,
        plan: Plan { alpha: rest.5.0, units: rest.5.1 },
        late_events_seconds: times.2,
        starts_at: times.0,
        ends_at: times.1,
        testers: lists.2,
        holdback: rest.3,
        shipped: rest.4,
    })
}

pub fn experiment_change() -> impl Strategy<Value = Record> {
    (experiment(), any::<u64>(), ".{0,20}", ".{0,20}").prop_map(
        |(experiment, replaces, by, what)| {
            let (by, what) = (by.into(), what.into());
            Record::ExperimentChanged(Box::new(ExperimentChange { experiment, replaces, by, what }))
        },
    )
}

pub fn assignments() -> impl Strategy<Value = Vec<Assignment>> {
    let assignment = (any::<u32>(), any::<u8>(), any::<bool>(), any::<bool>());
    let assignment = assignment.prop_map(|(experiment, variant, is_tester, own_ranker)| {
        Assignment { experiment, variant, is_tester, own_ranker }
    });
    prop::collection::vec(assignment, 0..4)
}

pub fn division() -> impl Strategy<Value = Division> {
    // The last code stands for none.
    let by = prop::option::of(0..u8::MAX);
    let in_turns = (any::<u32>(), prop::collection::vec(by, 0..6))
        .prop_map(|(experiment, chosen_by)| Division::InTurns { experiment, chosen_by });
    let drawn = (any::<u32>(), any::<u8>(), prop::collection::vec(number(), 0..4)).prop_map(
        |(experiment, variant, chances)| Division::Drawn { experiment, variant, chances },
    );
    prop_oneof![in_turns, drawn]
}

pub fn backfill_chunk() -> impl Strategy<Value = Record> {
    let place = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>());
    (place, prop::collection::vec(number(), 0..40)).prop_map(|(place, values)| {
        let (experiment, since, column, first_row) = place;
        Record::Backfilled(BackfillChunk { experiment, since, column, first_row, values })
    })
}

pub fn exposure() -> impl Strategy<Value = Record> {
    (id(UserId::parse), time(), any::<u8>(), assignments()).prop_map(
        |(user_id, exposed_at, segment, assignments)| {
            Record::UserExposed(Exposure { user_id, exposed_at, segment, assignments })
        },
    )
}
