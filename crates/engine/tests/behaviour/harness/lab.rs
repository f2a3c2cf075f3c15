//! Experiments in a world: written, started, and lived through by users.

use engine::Advice;
use engine::AskedList;
use engine::Assigned;
use engine::BackfillRun;
use engine::ExperimentEntry;
use engine::ExperimentResults;
use engine::UserFacts;
use engine::assignments;
use engine::domain::Attributes;
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
use engine::domain::LogRecord;
use engine::domain::Measure;
use engine::domain::Metric;
use engine::domain::MetricKind;
use engine::domain::MetricTest;
use engine::domain::Plan;
use engine::domain::Record;
use engine::domain::Role;
use engine::domain::Split;
use engine::domain::Tester;
use engine::domain::Variant;
use engine::grown_buckets;

use super::Answer;
use super::Ask;
use super::Kind;
use super::World;
use super::described::user_id;

pub use engine::Advice as ExperimentAdvice;

const HOUR: u32 = 3_600;

fn key(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

/// An experiment of two variants, half and half, on clicks in the day after the exposure.
pub struct Plans(pub Experiment);

impl Plans {
    pub fn new(name: &str) -> Self {
        let variant = |name, overrides: &[u8]| Variant {
            name: key(name),
            weight: 0.5,
            overrides: overrides.to_vec(),
            own_ranker: false,
        };
        Self(Experiment {
            key: key(name),
            state: ExperimentState::Draft,
            hypothesis: "it is better".into(),
            layer: key("default"),
            salt: key(name),
            split: Split::Users,
            allocation: BUCKETS,
            buckets: Vec::new(),
            variants: vec![variant("control", &[]), variant("treatment", &[1])],
            eligibility: "".into(),
            metrics: vec![clicks(Role::Primary)],
            plan: Plan::default(),
            late_events_seconds: 0,
            starts_at: None,
            ends_at: None,
            testers: Vec::new(),
            holdback: false,
            shipped: None,
        })
    }

    /// In addition to those it has.
    pub fn measuring(mut self, metrics: &[Metric]) -> Self {
        self.0.metrics.extend_from_slice(metrics);
        self
    }

    pub fn layer(mut self, layer: &str) -> Self {
        self.0.layer = key(layer);
        self
    }

    pub fn share(mut self, share: f64) -> Self {
        self.0.allocation = (share * f64::from(BUCKETS)) as u32;
        self
    }

    pub fn eligible(mut self, condition: &str) -> Self {
        self.0.eligibility = condition.into();
        self
    }

    pub fn planned(mut self, units: u64) -> Self {
        self.0.plan.units = units;
        self
    }

    pub fn tester(mut self, user: &str, variant: u8) -> Self {
        self.0.testers.push(Tester { user_id: user_id(user), variant });
        self
    }

    pub fn holdback(mut self) -> Self {
        self.0.holdback = true;
        self
    }

    pub fn own_ranker(mut self) -> Self {
        self.0.variants[1].own_ranker = true;
        self
    }

    pub fn ends_in_hours(mut self, world: &World, hours: f64) -> Self {
        self.0.ends_at = Some(world.in_hours(hours));
        self
    }

    /// Slices of an hour, without their first five minutes, judged by clicks for each list.
    pub fn by_the_hour(mut self) -> Self {
        self.0.split = Split::TimeSlices { slice_seconds: HOUR, washout_seconds: 300 };
        let kind = MetricKind::Ratio(Measure::Lists);
        let test = MetricTest::Sequential;
        self.0.metrics = vec![Metric { kind, test, window: (300, HOUR), ..clicks(Role::Primary) }];
        self
    }

    /// Both variants fill each list in turns; judged by clicks on the items of each.
    pub fn in_turns(mut self) -> Self {
        self.0.split = Split::Interleaved;
        let (kind, test) = (MetricKind::Preference, MetricTest::Sequential);
        self.0.metrics = vec![Metric { kind, test, ..clicks(Role::Primary) }];
        self
    }

    /// Lists go to the variant of which more are clicked on within an hour.
    pub fn learning(mut self, floor: f64) -> Self {
        self.0.split = Split::Learnt { floor };
        let test = MetricTest::Sequential;
        self.0.metrics = vec![Metric { test, window: (0, HOUR), ..clicks(Role::Primary) }];
        self
    }

    /// All windows end so many hours after their begin.
    pub fn within_hours(mut self, hours: u32) -> Self {
        self.0.metrics.iter_mut().for_each(|metric| metric.window = (0, hours * HOUR));
        self
    }

    /// Judged by the sum of what purchases are worth.
    pub fn on_revenue(mut self, cap: Cap) -> Self {
        let types = Measure::types([Kind::Purchase]);
        self.0.metrics = vec![Metric {
            name: key("revenue"),
            kind: MetricKind::Mean,
            measure: Measure::Values { types, after_list: false },
            cap,
            test: MetricTest::Sequential,
            ..clicks(Role::Primary)
        }];
        self
    }

    /// Hides must not rise by more than so much; it stops when they surely do.
    pub fn guarded_by_hides(mut self, margin: f64) -> Self {
        self.0.metrics.push(Metric {
            name: key("hides"),
            measure: Measure::Events { types: Measure::types([Kind::Hide]), after_list: false },
            good: Good::Lower,
            role: Role::Guardrail { margin, stops: true },
            ..clicks(Role::Secondary)
        });
        self
    }
}

/// Further metrics of every kind: a rate, a mean with a cap and what was before, retention, and ratios of
/// lists with what the catalogue says of them.
pub fn further_metrics() -> Vec<Metric> {
    let test = MetricTest::Sequential;
    let events = |kind| Measure::Events { types: Measure::types([kind]), after_list: false };
    let values = |kind| Measure::Values { types: Measure::types([kind]), after_list: false };
    let of = |name: &str, kind, measure| Metric {
        name: key(name),
        kind,
        measure,
        test,
        ..clicks(Role::Secondary)
    };
    let per_list = |name: &str, measure| of(name, MetricKind::Ratio(Measure::Lists), measure);
    let followed = Measure::Events { types: Measure::types([Kind::Click]), after_list: true };
    vec![
        of("likes", MetricKind::Rate, events(Kind::Like)),
        Metric {
            cap: Cap::Learnt,
            window: (0, 72 * HOUR),
            ..of("revenue", MetricKind::Mean, values(Kind::Purchase))
        },
        of("dwell", MetricKind::Mean, values(Kind::Dwell)),
        Metric {
            window: (24 * HOUR, 48 * HOUR),
            ..of("returns", MetricKind::Rate, events(Kind::Click))
        },
        per_list("followed", followed),
        per_list("topics", Measure::Topics),
        per_list("new", Measure::NewItems),
        of("clicks-per-position", MetricKind::Ratio(Measure::Positions), events(Kind::Click)),
    ]
}

/// A metric that does not decide.
pub fn as_secondary(metric: Metric) -> Metric {
    Metric { name: key("again"), role: Role::Secondary, ..metric }
}

/// A metric in the window of a slice of an hour, as [`Plans::by_the_hour`] has it.
pub fn by_the_hour(metric: Metric) -> Metric {
    Metric { window: (300, HOUR), ..metric }
}

fn clicks(role: Role) -> Metric {
    Metric {
        name: key("clicks"),
        kind: MetricKind::Rate,
        measure: Measure::Events { types: Measure::types([Kind::Click]), after_list: false },
        window: (0, 24 * HOUR),
        good: Good::Higher,
        role,
        cap: Cap::None,
        test: MetricTest::Conversions,
        expected_rate: 0.2,
    }
}

impl World {
    /// Records an experiment as it is to be from now on, with the buckets that it needs.
    pub fn put_experiment(&mut self, mut experiment: Experiment) {
        let registry = self.view().experiments();
        if experiment.state.is_live() {
            let taken = registry.taken(&experiment);
            let grown = grown_buckets(&experiment.buckets, experiment.allocation, taken);
            experiment.buckets = grown.expect("the layer has so many");
        } else {
            experiment.buckets.clear();
        }
        let replaces = registry.changed_at();
        let change =
            ExperimentChange { experiment, replaces, by: "ada".into(), what: "changed".into() };
        self.record(Record::ExperimentChanged(Box::new(change)));
    }

    pub fn start(&mut self, plans: &Plans) {
        plans.0.check().expect("an experiment that can be");
        let state = ExperimentState::Running;
        self.put_experiment(Experiment { state, ..plans.0.clone() });
    }

    pub fn experiment(&self, name: &str) -> &ExperimentEntry {
        self.view().experiments().find(name).expect("an experiment of this name")
    }

    pub fn move_to(&mut self, name: &str, state: ExperimentState) {
        let experiment = (*self.experiment(name).experiment).clone();
        self.put_experiment(Experiment { state, ..experiment });
    }

    pub fn stop(&mut self, name: &str) {
        self.move_to(name, ExperimentState::Stopped);
    }

    pub fn pause(&mut self, name: &str) {
        self.move_to(name, ExperimentState::Paused);
    }

    pub fn go_on(&mut self, name: &str) {
        self.move_to(name, ExperimentState::Running);
    }

    /// Another share of the layer.
    pub fn ramp(&mut self, name: &str, share: f64) {
        let experiment = (*self.experiment(name).experiment).clone();
        let allocation = (share * f64::from(BUCKETS)) as u32;
        self.put_experiment(Experiment { allocation, ..experiment });
    }

    /// More metrics for an experiment.
    pub fn add_metrics(&mut self, name: &str, metrics: &[Metric]) {
        let mut experiment = (*self.experiment(name).experiment).clone();
        experiment.metrics.extend_from_slice(metrics);
        self.put_experiment(experiment);
    }

    /// What the first change left to be computed, computed from the log.
    pub fn backfill_chunks(&self) -> Vec<BackfillChunk> {
        let Some(mut run) = BackfillRun::of(self.view()) else {
            return Vec::new();
        };
        let (until, begins_at) = (run.until(), run.begins_at());
        let records = || self.log().iter().take_while(|record| record.sequence <= until);
        if run.needs_merges() {
            records().for_each(|record| run.learn_merge(record));
        }
        let tells = |record: &&LogRecord| begins_at.is_none_or(|at| at <= record.recorded_at);
        records().filter(tells).for_each(|record| run.learn(self.view(), record));
        run.chunks().collect()
    }

    /// All of it, as the leader of a namespace does.
    pub fn backfill(&mut self) {
        while let chunks @ [_, ..] = &*self.backfill_chunks() {
            chunks.iter().for_each(|chunk| self.record_chunk(chunk));
        }
    }

    pub fn record_chunk(&mut self, chunk: &BackfillChunk) {
        self.record(Record::Backfilled(chunk.clone()));
    }

    /// How much of what its metrics lack is computed; none: a metric lacks nothing.
    pub fn backfilled(&self, name: &str) -> Vec<Option<f64>> {
        self.results(name).metrics.iter().map(|metric| metric.backfilled).collect()
    }

    /// Lists that were forgotten too early.
    pub fn cut_short(&self, name: &str) -> u64 {
        self.experiment(name).cut_short
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.experiment(name).experiment.state == ExperimentState::Running
    }

    pub fn results(&self, name: &str) -> ExperimentResults {
        self.experiment(name).results()
    }

    pub fn advice(&self, name: &str) -> (Advice, String) {
        let verdict = self.results(name).verdict;
        (verdict.advice, verdict.text)
    }

    /// Users whose window is over, by variant, and those of them with any of the first metric.
    pub fn counted(&self, name: &str) -> Vec<(u64, u64)> {
        let results = self.results(name);
        let arms = results.metrics.first().map_or(&[][..], |metric| &metric.arms[..]);
        arms.iter().map(|arm| (arm.units, arm.nonzero)).collect()
    }

    fn assigned(&self, user: &str, phone: bool, list: Option<AskedList<'_>>) -> Vec<Assigned> {
        let context = Attributes::default();
        let user = UserFacts {
            user_id: user,
            own: None,
            context: &context,
            device_type: phone.then_some("phone"),
            location: None,
            language: None,
        };
        assignments(self.view(), user, list, self.now())
    }

    /// The variants of a user on a phone or elsewhere, by experiment.
    pub fn variants(&self, user: &str, phone: bool) -> Vec<(String, usize)> {
        let named = |it: Assigned| (it.entry.experiment.key.to_string(), usize::from(it.variant));
        self.assigned(user, phone, None).into_iter().map(named).collect()
    }

    /// The variant of a user in one experiment.
    pub fn variant(&self, user: &str, name: &str) -> Option<usize> {
        self.variants(user, false).into_iter().find(|it| it.0 == name).map(|it| it.1)
    }

    /// An answer that the variants of the user acted on.
    pub fn decide_in_experiments(&mut self, ask: Ask) -> Answer {
        let id = self.next_decision_id();
        let list = AskedList { decision_id: &id, drawn_before: ask.drawn_before() };
        let assigned = self.assigned(ask.user(), false, Some(list));
        let own_ranker = assigned.iter().find_map(Assigned::own_ranker);
        let assignments = assigned.iter().map(|it| it.recorded(own_ranker)).collect();
        let division = assigned.iter().find_map(|it| {
            let (experiment, variant) = (it.entry.number, it.variant);
            let drawn = |chances| Division::Drawn { experiment, variant, chances };
            let in_turns =
                it.is_in_turns().then(|| Division::InTurns { experiment, chosen_by: Vec::new() });
            in_turns.or(it.chances.clone().map(drawn))
        });
        self.decide_with(ask, assignments, division)
    }

    /// The variant that was drawn for an answer.
    pub fn drawn(&self, answer: &Answer) -> usize {
        answer.decision.assignments.first().map_or(0, |it| usize::from(it.variant))
    }

    /// What the ranker of a variant has learnt, as [`World::ranker_weights`].
    pub fn own_weights(&self, name: &str, variant: u8) -> Vec<f64> {
        let own = self.experiment(name).own_ranker(variant).expect("it has one");
        own.ranker().solve().mean
    }

    /// The user asks: who is exposed to what is recorded.
    pub fn visits(&mut self, user: &str) -> Vec<(String, usize)> {
        let assigned = self.assigned(user, false, None);
        let assignments = assigned.iter().map(|it| it.recorded(None)).collect();
        let (user_id, exposed_at) = (user_id(user), self.now());
        let exposure = Exposure { user_id, exposed_at, segment: 0, assignments };
        self.record(Record::UserExposed(exposure));
        self.variants(user, false)
    }
}
