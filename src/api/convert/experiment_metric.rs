//! Metrics of experiments, in and out.

use super::durations::seconds;
use super::durations::seconds_message;
use super::interaction::interaction_type;
use super::interaction::interaction_type_message;
use super::scalars::each;
use super::scalars::merge;
use crate::proto;
use engine::domain::Cap;
use engine::domain::Good;
use engine::domain::Key;
use engine::domain::Measure;
use engine::domain::Metric;
use engine::domain::MetricKind;
use engine::domain::MetricTest;
use engine::domain::Role;
use engine::domain::Violation;
use engine::domain::Violations;

const WINDOW_SECONDS_DEFAULT: u32 = 7 * 86_400;
const EXPECTED_RATE_DEFAULT: f64 = 0.05;
/// Below this a rate is judged by its conversions, unless another test is set.
const SMALL_RATE: f64 = 0.01;

/// # Errors
/// Every field that breaks the contract.
pub(super) fn metric(message: proto::ExperimentMetric) -> Result<Metric, Vec<Violation>> {
    let mut violations = Violations::default();
    let name = violations.take("name", Key::parse(message.name.clone()));
    let measure_read = violations.absorb("measure", measure(message.measure.clone()));
    let kind = kind(&message, &mut violations);
    let from = violations.take("window_begins", message.window_begins.map_or(Ok(0), seconds));
    let to = message.window.map_or(Ok(WINDOW_SECONDS_DEFAULT), seconds);
    let to = violations.take("window", to);
    let good = known(message.better, "better", &mut violations, |it: proto::MetricDirection| it);
    let good = match good {
        Some(proto::MetricDirection::Lower) => Good::Lower,
        _ => Good::Higher,
    };
    let role = role(&message, &mut violations);
    let cap = cap(&message, kind, &mut violations);
    let test = test(&message, kind, &mut violations);
    let expected = message.expected_rate;
    let expected_rate = if expected == 0.0 { EXPECTED_RATE_DEFAULT } else { expected };
    let (Some(name), Some(measure), Some(kind), Some(from), Some(to)) =
        (name, measure_read, kind, from, to)
    else {
        return Err(violations.into_vec());
    };
    let window = (from, to);
    let metric = Metric { name, kind, measure, window, good, role, cap, test, expected_rate };
    violations.finish(metric)
}

/// A value of an enumeration that this version knows.
fn known<E: TryFrom<i32>, T>(
    code: i32,
    field: &str,
    violations: &mut Violations,
    read: impl Fn(E) -> T,
) -> Option<T> {
    let read = E::try_from(code).map(read).map_err(|_unknown| format!("is not known: {code}"));
    violations.take(field, read)
}

fn kind(message: &proto::ExperimentMetric, violations: &mut Violations) -> Option<MetricKind> {
    let kind = known(message.kind, "kind", violations, |it: proto::MetricKind| it)?;
    if kind != proto::MetricKind::Ratio && message.per.is_some() {
        violations.add("per", "must not be set but for a ratio");
    }
    match kind {
        proto::MetricKind::Unspecified | proto::MetricKind::Rate => Some(MetricKind::Rate),
        proto::MetricKind::Mean => Some(MetricKind::Mean),
        proto::MetricKind::Preference => Some(MetricKind::Preference),
        proto::MetricKind::Ratio => {
            violations.absorb("per", measure(message.per.clone())).map(MetricKind::Ratio)
        }
    }
}

fn measure(message: Option<proto::ExperimentMeasure>) -> Result<Measure, Vec<Violation>> {
    use proto::experiment_measure::Measure as Message;
    let violation = |field: &str, reason: &str| vec![Violation::new(field, reason)];
    match message.and_then(|message| message.measure) {
        None => Err(violation("events", "must be set, or lists")),
        Some(Message::Events(events)) => {
            let mut violations = Violations::default();
            let kinds =
                merge(&mut violations, each("events.types", events.types, interaction_type));
            let types = Measure::types(kinds.unwrap_or_default());
            let after_list = events.after_list;
            violations.finish(match events.values {
                true => Measure::Values { types, after_list },
                false => Measure::Events { types, after_list },
            })
        }
        Some(Message::Lists(code)) => match proto::ListMeasure::try_from(code) {
            Ok(proto::ListMeasure::Lists) => Ok(Measure::Lists),
            Ok(proto::ListMeasure::Positions) => Ok(Measure::Positions),
            Ok(proto::ListMeasure::NewItems) => Ok(Measure::NewItems),
            Ok(proto::ListMeasure::Topics) => Ok(Measure::Topics),
            Ok(proto::ListMeasure::Unspecified) | Err(_) => Err(violation("lists", "must be set")),
        },
    }
}

fn role(message: &proto::ExperimentMetric, violations: &mut Violations) -> Role {
    let role = known(message.role, "role", violations, |it: proto::MetricRole| it);
    match role {
        Some(proto::MetricRole::Primary) => Role::Primary,
        Some(proto::MetricRole::Guardrail) => {
            Role::Guardrail { margin: message.margin, stops: message.stops }
        }
        _ => {
            if message.margin != 0.0 || message.stops {
                violations.add("role", "must be GUARDRAIL for a margin or stops");
            }
            Role::Secondary
        }
    }
}

fn cap(
    message: &proto::ExperimentMetric,
    kind: Option<MetricKind>,
    violations: &mut Violations,
) -> Cap {
    match (message.cap, message.uncapped, kind) {
        (Some(_), true, _) => {
            violations.add("uncapped", "must not be set together with cap");
            Cap::None
        }
        (Some(cap), ..) => Cap::At(cap),
        (None, false, Some(MetricKind::Mean)) => Cap::Learnt,
        (None, ..) => Cap::None,
    }
}

/// Whether a rate is known to be so small that the exact test finds more.
fn is_small(expected_rate: f64) -> bool {
    expected_rate > 0.0 && expected_rate < SMALL_RATE
}

fn test(
    message: &proto::ExperimentMetric,
    kind: Option<MetricKind>,
    violations: &mut Violations,
) -> MetricTest {
    let test = known(message.test, "test", violations, |it: proto::MetricTest| it);
    match (test, kind) {
        (Some(proto::MetricTest::Conversions), _) => MetricTest::Conversions,
        (Some(proto::MetricTest::Sequential), _) => MetricTest::Sequential,
        (Some(proto::MetricTest::FixedHorizon), _) => MetricTest::FixedHorizon,
        (_, Some(MetricKind::Rate)) if is_small(message.expected_rate) => MetricTest::Conversions,
        _ => MetricTest::Sequential,
    }
}

pub(super) fn metric_message(metric: &Metric) -> proto::ExperimentMetric {
    let (margin, stops) = match metric.role {
        Role::Guardrail { margin, stops } => (margin, stops),
        Role::Primary | Role::Secondary => (0.0, false),
    };
    let is_mean = metric.kind == MetricKind::Mean;
    proto::ExperimentMetric {
        name: metric.name.to_string(),
        kind: match metric.kind {
            MetricKind::Rate => proto::MetricKind::Rate,
            MetricKind::Mean => proto::MetricKind::Mean,
            MetricKind::Ratio(_) => proto::MetricKind::Ratio,
            MetricKind::Preference => proto::MetricKind::Preference,
        }
        .into(),
        measure: Some(measure_message(metric.measure)),
        per: metric.per().map(measure_message),
        window: Some(seconds_message(metric.window.1)),
        window_begins: Some(seconds_message(metric.window.0)),
        better: match metric.good {
            Good::Higher => proto::MetricDirection::Higher,
            Good::Lower => proto::MetricDirection::Lower,
        }
        .into(),
        role: role_message(metric.role).into(),
        margin,
        stops,
        cap: match metric.cap {
            Cap::At(cap) => Some(cap),
            Cap::None | Cap::Learnt => None,
        },
        uncapped: is_mean && metric.cap == Cap::None,
        test: match metric.test {
            MetricTest::Conversions => proto::MetricTest::Conversions,
            MetricTest::Sequential => proto::MetricTest::Sequential,
            MetricTest::FixedHorizon => proto::MetricTest::FixedHorizon,
        }
        .into(),
        expected_rate: metric.expected_rate,
    }
}

pub(super) fn role_message(role: Role) -> proto::MetricRole {
    match role {
        Role::Primary => proto::MetricRole::Primary,
        Role::Secondary => proto::MetricRole::Secondary,
        Role::Guardrail { .. } => proto::MetricRole::Guardrail,
    }
}

fn measure_message(measure: Measure) -> proto::ExperimentMeasure {
    use proto::experiment_measure::Measure as Message;
    let events = |values, after_list| {
        let types = measure.counted().map(|kind| interaction_type_message(kind).into()).collect();
        Message::Events(proto::EventMeasure { types, values, after_list })
    };
    let message = match measure {
        Measure::Events { after_list, .. } => events(false, after_list),
        Measure::Values { after_list, .. } => events(true, after_list),
        Measure::Lists => Message::Lists(proto::ListMeasure::Lists.into()),
        Measure::Positions => Message::Lists(proto::ListMeasure::Positions.into()),
        Measure::NewItems => Message::Lists(proto::ListMeasure::NewItems.into()),
        Measure::Topics => Message::Lists(proto::ListMeasure::Topics.into()),
    };
    proto::ExperimentMeasure { measure: Some(message) }
}
