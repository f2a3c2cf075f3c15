//! A RehearseExperiment request.

use super::evaluation::period;
use super::experiment::experiment_key;
use super::overrides::check_overrides;
use super::scalars::merge;
use crate::proto;
use crate::proto::rehearse_experiment_request::Proposal;
use engine::domain::Key;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;
use prost::Message;

/// What is proposed.
#[derive(Debug, Clone, PartialEq)]
pub enum Proposed {
    /// A variant of an experiment, by its name.
    Variant(Key, String),
    Overrides(Box<proto::VariantOverrides>),
}

/// A request that is checked, but for what the experiment has.
#[derive(Debug, Clone, PartialEq)]
pub struct RehearsalRequest {
    pub proposed: Proposed,
    pub requests: usize,
    pub since: Timestamp,
}

/// `settings`: of the namespace.
///
/// # Errors
/// Every field that breaks the contract, but for the namespace.
pub fn rehearsal(
    message: proto::RehearseExperimentRequest,
    settings: &Settings,
    now: Timestamp,
) -> Result<RehearsalRequest, Vec<Violation>> {
    let mut violations = Violations::default();
    let proposed = proposed(message.proposal, settings);
    let proposed = merge(&mut violations, proposed);
    let requests = violations.take("requests", requests(message.requests)).unwrap_or_default();
    let period = violations.take("period", period(message.period)).unwrap_or_default();
    let since = now.plus_millis(-period);
    match proposed {
        Some(proposed) => violations.finish(RehearsalRequest { proposed, requests, since }),
        None => Err(violations.into_vec()),
    }
}

fn proposed(message: Option<Proposal>, settings: &Settings) -> Result<Proposed, Vec<Violation>> {
    match message {
        None => {
            let reason = "must be set: a variant of an experiment, or overrides";
            Err(vec![Violation::new("proposal", reason)])
        }
        Some(Proposal::Variant(named)) => {
            let key = experiment_key("variant.experiment", &named.experiment)?;
            Ok(Proposed::Variant(key, named.variant))
        }
        Some(Proposal::Overrides(overrides)) => {
            let mut violations = Violations::default();
            if overrides.encoded_len() > limits::OVERRIDES_BYTES {
                let reason = format!("must be at most {} bytes", limits::OVERRIDES_BYTES);
                violations.add("overrides", reason);
            }
            violations.absorb("overrides", check_overrides(&overrides, settings));
            violations.finish(Proposed::Overrides(overrides))
        }
    }
}

fn requests(requests: u32) -> Result<usize, String> {
    match requests as usize {
        0 => Ok(limits::REHEARSED_DEFAULT),
        requests if requests <= limits::REHEARSED => Ok(requests),
        _ => Err(format!("must be at most {}, is {requests}", limits::REHEARSED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn of(message: proto::RehearseExperimentRequest) -> Result<RehearsalRequest, Vec<String>> {
        let read = rehearsal(message, &Settings::default(), NOW);
        read.map_err(|wrong| wrong.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn a_variant_of_an_experiment_is_rehearsed_on_200_requests_of_a_week_unless_said_otherwise() {
        let named = proto::RehearsedVariant { experiment: "e".into(), variant: "v".into() };
        let message = proto::RehearseExperimentRequest {
            proposal: Some(Proposal::Variant(named)),
            ..Default::default()
        };
        let read = of(message).unwrap();
        assert_eq!(read.proposed, Proposed::Variant(Key::parse("e").unwrap(), "v".to_owned()));
        assert_eq!(read.requests, 200);
        assert_eq!(read.since, NOW.plus_millis(-7 * Timestamp::DAY_MS));
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        assert_eq!(of(Default::default()), Err(vec!["proposal".to_owned()]));
        let overrides = proto::VariantOverrides {
            strategy: 77,
            expression: "price <".into(),
            without_features: vec!["luck".into()],
            ..Default::default()
        };
        let message = proto::RehearseExperimentRequest {
            proposal: Some(Proposal::Overrides(Box::new(overrides))),
            requests: 1_001,
            period: Some(prost_types::Duration { seconds: 91 * 86_400, nanos: 0 }),
            ..Default::default()
        };
        let expected = ["strategy", "expression", "without_features[0]"];
        let mut expected = expected.map(|field| format!("overrides.{field}")).to_vec();
        expected.extend(["requests".to_owned(), "period".to_owned()]);
        assert_eq!(of(message), Err(expected));
    }

    #[test]
    fn overrides_are_no_larger_than_those_of_a_variant() {
        let parameters = prost_types::Struct {
            fields: [("long".to_owned(), "x".repeat(limits::OVERRIDES_BYTES).into())].into(),
        };
        let overrides =
            proto::VariantOverrides { parameters: Some(parameters), ..Default::default() };
        let message = proto::RehearseExperimentRequest {
            proposal: Some(Proposal::Overrides(Box::new(overrides))),
            ..Default::default()
        };
        assert_eq!(of(message), Err(vec!["overrides".to_owned()]));
    }
}
