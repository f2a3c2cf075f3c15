//! An experiment of a message: whole, or the fields that a mask names.
//!
//! A field is read by itself; what fields must be together is the experiment's own check.

use prost::Message;

use super::durations::seconds;
use super::experiment_metric::metric;
use super::mask::named_by;
use super::overrides::check_overrides;
use super::overrides::has_own_ranker;
use super::overrides::overridden;
use super::scalars::each_message;
use super::scalars::merge;
use super::scalars::prose;
use super::scalars::timestamp;
use crate::proto;
use engine::domain::BUCKETS;
use engine::domain::Experiment;
use engine::domain::ExperimentState;
use engine::domain::Key;
use engine::domain::Metric;
use engine::domain::Plan;
use engine::domain::Role;
use engine::domain::Settings;
use engine::domain::Split;
use engine::domain::Tester;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::Variant;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;
use engine::parse_expression;
use prost_types::FieldMask;

/// The layer of experiments that name none.
const LAYER_DEFAULT: &str = "default";
/// How long events are waited for where nothing is said.
const LATE_SECONDS_DEFAULT: u32 = 3_600;

/// A field that a caller sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Hypothesis,
    Layer,
    Salt,
    Allocation,
    Variants,
    Eligibility,
    Metrics,
    Plan,
    StartsAt,
    EndsAt,
    Testers,
    Holdback,
    Split,
    LateEvents,
}

const FIELDS: [(&str, Field); 16] = [
    ("hypothesis", Field::Hypothesis),
    ("layer", Field::Layer),
    ("salt", Field::Salt),
    ("allocation", Field::Allocation),
    ("variants", Field::Variants),
    ("eligibility", Field::Eligibility),
    ("metrics", Field::Metrics),
    ("plan", Field::Plan),
    ("starts_at", Field::StartsAt),
    ("ends_at", Field::EndsAt),
    ("testers", Field::Testers),
    ("holdback", Field::Holdback),
    ("time_slices", Field::Split),
    ("interleaving", Field::Split),
    ("learning_allocation", Field::Split),
    ("late_events", Field::LateEvents),
];

/// New values of some fields of an experiment.
#[derive(Debug)]
pub struct ExperimentEdit {
    message: proto::Experiment,
    fields: Vec<Field>,
}

/// The key of an experiment.
///
/// # Errors
/// A violation of `field`.
pub fn experiment_key(field: &str, text: &str) -> Result<Key, Vec<Violation>> {
    Key::parse(text).map_err(|reason| vec![Violation::new(field, reason)])
}

impl ExperimentEdit {
    /// All of a new experiment.
    pub fn whole(message: proto::Experiment) -> Self {
        Self { message, fields: FIELDS.map(|(_, field)| field).to_vec() }
    }

    /// What a mask names.
    ///
    /// # Errors
    /// Each path that names no field that a caller sets.
    pub fn masked(
        message: proto::Experiment,
        mask: Option<FieldMask>,
    ) -> Result<Self, Vec<Violation>> {
        let named = |path: &str| FIELDS.iter().find(|(name, _)| *name == path).map(|it| it.1);
        let masked = named_by(mask, "field that can be set", named)?;
        // Testers name variants, so variants come first, whatever the order of the mask.
        let fields = FIELDS.iter().map(|(_, field)| *field);
        let fields = fields.filter(|field| masked.contains(field)).collect();
        Ok(Self { message, fields })
    }

    /// Names of the fields, in words.
    pub fn names(&self) -> Vec<&'static str> {
        let names = FIELDS.iter().filter(|(_, field)| self.fields.contains(field));
        names.map(|(name, _)| *name).collect()
    }

    /// The experiment after the change; a draft, if there is none yet. `settings` are those in
    /// force, which overrides are checked with.
    ///
    /// # Errors
    /// Every field that breaks the contract, by its path in the experiment.
    pub fn of(
        &self,
        before: Option<&Experiment>,
        settings: &Settings,
    ) -> Result<Experiment, Vec<Violation>> {
        let mut violations = Violations::default();
        let key = violations.take("key", Key::parse(self.message.key.clone()));
        let key = key.unwrap_or_else(|| Key::parse(LAYER_DEFAULT).expect("it is a key"));
        let mut experiment = before.cloned().unwrap_or_else(|| draft(key));
        for field in &self.fields {
            self.set(*field, &mut experiment, settings, &mut violations);
        }
        let is_sliced = |it: &Experiment| matches!(it.split, Split::TimeSlices { .. });
        let had_slices = before.is_some_and(is_sliced);
        if had_slices && experiment.split == Split::Users && !self.fields.contains(&Field::Metrics)
        {
            violations.add("metrics", "must be set, too: their windows were those of slices");
        }
        if let Some(before) = before.filter(|_| !self.fields.contains(&Field::Testers)) {
            keep_testers(before, &mut experiment, &mut violations);
        }
        if experiment.holdback && !experiment.variants.is_empty() {
            let control = &experiment.variants[0];
            if !control.overrides.is_empty() {
                violations.add(
                    "variants[0].overrides",
                    "must not be set: a holdback's control gets \
                    what is popular",
                );
            }
        }
        if let Split::TimeSlices { slice_seconds, washout_seconds } = experiment.split {
            let window = (washout_seconds, slice_seconds);
            experiment.metrics.iter_mut().for_each(|metric| metric.window = window);
        }
        if experiment.split == Split::Interleaved {
            share_the_ranker(&mut experiment, &mut violations);
        }
        violations.finish(experiment)
    }

    fn set(
        &self,
        field: Field,
        experiment: &mut Experiment,
        settings: &Settings,
        violations: &mut Violations,
    ) {
        let message = &self.message;
        match field {
            Field::Hypothesis => {
                let text = prose(message.hypothesis.clone(), limits::HYPOTHESIS_BYTES);
                let text = violations.take("hypothesis", text).unwrap_or_default();
                experiment.hypothesis = text.into();
            }
            Field::Layer => {
                let layer = if message.layer.is_empty() { LAYER_DEFAULT } else { &message.layer };
                set(violations.take("layer", Key::parse(layer)), &mut experiment.layer);
            }
            Field::Salt => {
                let own = experiment.key.as_str();
                let salt = if message.salt.is_empty() { own } else { &message.salt };
                set(violations.take("salt", Key::parse(salt)), &mut experiment.salt);
            }
            Field::Allocation => {
                let is_unset = message.allocation == 0.0;
                if is_unset && experiment.state.is_live() {
                    violations.add("allocation", "must be set");
                    return;
                }
                let share = if is_unset { 1.0 } else { message.allocation };
                if (0.0..=1.0).contains(&share) {
                    experiment.allocation = (share * f64::from(BUCKETS)).round() as u32;
                } else {
                    let reason = format!("must be above 0 to 1, is {share}");
                    violations.add("allocation", reason);
                }
            }
            Field::Variants => {
                let read = each_message("variants", message.variants.clone(), |message| {
                    variant(message, settings)
                });
                set(merge(violations, read), &mut experiment.variants);
            }
            Field::Eligibility => {
                let text = violations.take("eligibility", condition(&message.eligibility));
                set(text, &mut experiment.eligibility);
            }
            Field::Metrics => set(metrics(&message.metrics, violations), &mut experiment.metrics),
            Field::Plan => set(plan(message, violations), &mut experiment.plan),
            Field::StartsAt => {
                set(time("starts_at", message.starts_at, violations), &mut experiment.starts_at);
            }
            Field::EndsAt => {
                set(time("ends_at", message.ends_at, violations), &mut experiment.ends_at);
            }
            Field::Testers => {
                let read = each_message("testers", message.testers.clone(), |message| {
                    tester(message, &experiment.variants)
                });
                set(merge(violations, read), &mut experiment.testers);
            }
            Field::Holdback => experiment.holdback = message.holdback,
            Field::Split => set(split(message.split.as_ref(), violations), &mut experiment.split),
            Field::LateEvents => {
                let late = message.late_events.map_or(Ok(LATE_SECONDS_DEFAULT), seconds);
                set(violations.take("late_events", late), &mut experiment.late_events_seconds);
            }
        }
    }
}

/// Testers keep the variants of their names when variants change their places.
fn keep_testers(before: &Experiment, experiment: &mut Experiment, violations: &mut Violations) {
    let variants = &experiment.variants;
    for (number, tester) in experiment.testers.iter_mut().enumerate() {
        let name = &before.variants[usize::from(tester.variant)].name;
        match variants.iter().position(|variant| variant.name == *name) {
            Some(at) => tester.variant = u8::try_from(at).expect("there are ten variants at most"),
            None => violations.add(format!("testers[{number}].variant"), "must name a variant"),
        }
    }
}

/// Both variants of an interleaved list choose among the same items, and teach one ranker.
fn share_the_ranker(experiment: &mut Experiment, violations: &mut Violations) {
    for (number, variant) in experiment.variants.iter_mut().enumerate() {
        variant.own_ranker = false;
        for field in overridden(variant) {
            if ["expression", "frequency_cap_per_day"].contains(&field) {
                let path = format!("variants[{number}].overrides.{field}");
                violations.add(
                    path,
                    "must not be set with interleaving: both choose among the same items",
                );
            }
        }
    }
}

/// Sets what could be read.
fn set<T>(read: Option<T>, into: &mut T) {
    if let Some(read) = read {
        *into = read;
    }
}

fn draft(key: Key) -> Experiment {
    Experiment {
        state: ExperimentState::Draft,
        hypothesis: Box::default(),
        layer: Key::parse(LAYER_DEFAULT).expect("it is a key"),
        salt: key.clone(),
        key,
        split: Split::Users,
        allocation: BUCKETS,
        buckets: Vec::new(),
        variants: Vec::new(),
        eligibility: Box::default(),
        metrics: Vec::new(),
        plan: Plan::default(),
        late_events_seconds: LATE_SECONDS_DEFAULT,
        starts_at: None,
        ends_at: None,
        testers: Vec::new(),
        holdback: false,
        shipped: None,
    }
}

fn variant(
    message: proto::ExperimentVariant,
    settings: &Settings,
) -> Result<Variant, Vec<Violation>> {
    let mut violations = Violations::default();
    let name = violations.take("name", Key::parse(message.name));
    let overrides = message.overrides.unwrap_or_default();
    violations.absorb("overrides", check_overrides(&overrides, settings));
    let own_ranker = has_own_ranker(&overrides);
    let (weight, overrides) = (message.weight, overrides.encode_to_vec());
    match name {
        Some(name) => violations.finish(Variant { name, weight, overrides, own_ranker }),
        None => Err(violations.into_vec()),
    }
}

/// A condition on users, as it is written.
fn condition(text: &str) -> Result<Box<str>, String> {
    if text.is_empty() {
        return Ok(Box::default());
    }
    let parsed = parse_expression(text).map_err(|error| error.to_string())?;
    match parsed.item_field() {
        Some(field) => Err(format!("must be about users, and {field} is of items")),
        None => Ok(text.into()),
    }
}

fn metrics(
    messages: &[proto::ExperimentMetric],
    violations: &mut Violations,
) -> Option<Vec<Metric>> {
    let read = each_message("metrics", messages.to_vec(), metric);
    let mut metrics = merge(violations, read)?;
    let is_primary = |metric: &Metric| metric.role == Role::Primary;
    let says_nothing = |message: &proto::ExperimentMetric| message.role == 0;
    if !metrics.iter().any(is_primary)
        && let (Some(first), true) =
            (metrics.first_mut(), messages.first().is_some_and(says_nothing))
    {
        first.role = Role::Primary;
    }
    Some(metrics)
}

fn plan(message: &proto::Experiment, violations: &mut Violations) -> Option<Plan> {
    let default = Plan::default();
    let Some(written) = &message.plan else {
        return Some(default);
    };
    let alpha = if written.alpha == 0.0 { default.alpha } else { written.alpha };
    if written.detectable_lift == 0.0 || written.users > 0 {
        let units = if written.users == 0 { default.units } else { written.users };
        return Some(Plan { alpha, units });
    }
    let units = needed_users(message, written, alpha);
    let units = violations.take("plan.detectable_lift", units)?;
    Some(Plan { alpha, units })
}

/// How many users it takes to see the lift of a rate.
fn needed_users(
    message: &proto::Experiment,
    plan: &proto::ExperimentPlan,
    alpha: f64,
) -> Result<u64, String> {
    let primary = message.metrics.iter().find(|it| it.role() == proto::MetricRole::Primary);
    let primary = primary.or(message.metrics.first()).filter(|metric| metric.expected_rate > 0.0);
    let rate = primary.ok_or("needs an expected_rate of the primary metric")?.expected_rate;
    let power = if plan.power == 0.0 { 0.8 } else { plan.power };
    let weights: Vec<f64> = message.variants.iter().map(|variant| variant.weight).collect();
    let [control, .., treatment] = weights[..] else {
        return Err("needs variants".to_owned());
    };
    let share = treatment / (control + treatment);
    let lift = plan.detectable_lift;
    let users = engine::users_for_lift(rate, lift, alpha, power, share)?;
    Ok((users / (control + treatment)).ceil() as u64)
}

fn time(
    field: &str,
    message: Option<prost_types::Timestamp>,
    violations: &mut Violations,
) -> Option<Option<Timestamp>> {
    violations.take(field, message.map(timestamp).transpose())
}

fn tester(
    message: proto::ExperimentTester,
    variants: &[Variant],
) -> Result<Tester, Vec<Violation>> {
    let mut violations = Violations::default();
    let user_id = violations.take("user_id", UserId::parse(message.user_id));
    let variant = variants.iter().position(|it| it.name.as_str() == message.variant);
    let variant = variant.and_then(|at| u8::try_from(at).ok()).ok_or("must name a variant");
    let variant = violations.take("variant", variant);
    match (user_id, variant) {
        (Some(user_id), Some(variant)) => Ok(Tester { user_id, variant }),
        _ => Err(violations.into_vec()),
    }
}

fn split(message: Option<&proto::experiment::Split>, violations: &mut Violations) -> Option<Split> {
    let message = match message {
        None => return Some(Split::Users),
        Some(proto::experiment::Split::Interleaving(proto::Interleaving {})) => {
            return Some(Split::Interleaved);
        }
        Some(proto::experiment::Split::LearningAllocation(learning)) => {
            return Some(Split::Learnt { floor: learning.floor });
        }
        Some(proto::experiment::Split::TimeSlices(slices)) => slices,
    };
    let slice = message.slice.ok_or("must be set".to_owned()).and_then(seconds);
    let slice = violations.take("time_slices.slice", slice);
    let washout = message.washout.map_or(Ok(0), seconds);
    let washout = violations.take("time_slices.washout", washout);
    Some(Split::TimeSlices { slice_seconds: slice?, washout_seconds: washout? })
}
