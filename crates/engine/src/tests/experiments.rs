//! An experiment in the mixed log, with metrics that come later and are computed by half: all that is
//! kept of it is in digests and snapshots.

use crate::BackfillRun;
use crate::Engine;
use crate::domain::Assignment;
use crate::domain::BUCKETS;
use crate::domain::Cap;
use crate::domain::Experiment;
use crate::domain::ExperimentChange;
use crate::domain::ExperimentState;
use crate::domain::Good;
use crate::domain::InteractionType;
use crate::domain::Key;
use crate::domain::LogRecord;
use crate::domain::Measure;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::MetricTest;
use crate::domain::Plan;
use crate::domain::Record;
use crate::domain::Role;
use crate::domain::Split;
use crate::domain::Variant;
use crate::experiments::bucket;

const NAME: &str = "golden";

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// The first experiment, running: rate, mean and ratio in windows of a minute.
pub fn running() -> Record {
    let types = Measure::types([InteractionType::Click, InteractionType::Like]);
    let rate = Metric {
        name: key("clicks"),
        kind: MetricKind::Rate,
        measure: Measure::Events { types, after_list: false },
        window: (0, 60),
        good: Good::Higher,
        role: Role::Primary,
        cap: Cap::None,
        test: MetricTest::Conversions,
        expected_rate: 0.5,
    };
    let test = MetricTest::Sequential;
    let values = Measure::Values { types: u16::MAX, after_list: false };
    let (kind, role) = (MetricKind::Mean, Role::Guardrail { margin: 0.5, stops: true });
    let mean = Metric { name: key("values"), kind, measure: values, role, test, ..rate.clone() };
    let kind = MetricKind::Ratio(Measure::Positions);
    let role = Role::Secondary;
    let measure = Measure::Topics;
    let ratio = Metric { name: key("topics"), kind, measure, role, test, ..rate.clone() };
    let variant = |name, own_ranker| Variant {
        name: key(name),
        weight: 0.5,
        overrides: Vec::new(),
        own_ranker,
    };
    let experiment = Experiment {
        key: key(NAME),
        state: ExperimentState::Running,
        hypothesis: "nothing is forgotten".into(),
        layer: key("default"),
        salt: key(NAME),
        split: Split::Users,
        allocation: BUCKETS,
        buckets: vec![(0, BUCKETS)],
        variants: vec![variant("control", false), variant("treatment", true)],
        eligibility: "".into(),
        metrics: vec![rate, mean, ratio],
        plan: Plan::default(),
        late_events_seconds: 0,
        starts_at: None,
        ends_at: None,
        testers: Vec::new(),
        holdback: false,
        shipped: None,
    };
    let (by, what) = ("ada".into(), "started".into());
    Record::ExperimentChanged(Box::new(ExperimentChange { experiment, replaces: 0, by, what }))
}

/// The variant of a user in it.
pub fn assigned(user_id: &str) -> Vec<Assignment> {
    let variant = u8::from(bucket(NAME, user_id) >= BUCKETS / 2);
    vec![Assignment { experiment: 0, variant, is_tester: false, own_ranker: variant == 1 }]
}

/// More metrics for it: one of events and one of lists.
pub fn measured_further(engine: &Engine) -> Record {
    let registry = engine.state().experiments();
    let mut experiment = (*registry.find(NAME).unwrap().experiment).clone();
    assert_eq!(experiment.state, ExperimentState::Running);
    let skips =
        Measure::Events { types: Measure::types([InteractionType::Skip]), after_list: false };
    for (name, measure) in [("skips", skips), ("lists", Measure::Lists)] {
        let kind = MetricKind::Mean;
        let metric = experiment.metrics[1].clone();
        experiment.metrics.push(Metric {
            name: key(name),
            kind,
            measure,
            role: Role::Secondary,
            ..metric
        });
    }
    let (replaces, by, what) = (registry.changed_at(), "ada".into(), "measured further".into());
    Record::ExperimentChanged(Box::new(ExperimentChange { experiment, replaces, by, what }))
}

/// Some of what its metrics lack.
pub fn backfilled(engine: &Engine, records: &[LogRecord]) -> Record {
    let mut run = BackfillRun::of(engine.state()).unwrap();
    let until = run.until();
    let records = records.iter().take_while(|record| record.sequence <= until);
    if run.needs_merges() {
        records.clone().for_each(|record| run.learn_merge(record));
    }
    records.for_each(|record| run.learn(engine.state(), record));
    let mut chunk = run.chunks().next().unwrap();
    chunk.values.truncate(chunk.values.len() / 2);
    Record::Backfilled(chunk)
}
