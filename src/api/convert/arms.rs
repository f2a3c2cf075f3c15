//! Requests of `BanditService`, and the settings of arms.

use std::collections::BTreeMap;
use std::collections::HashSet;

use super::attributes::attributes;
use super::scalars::decimal;
use super::scalars::each;
use super::scalars::merge;
use super::scalars::share;
use super::scalars::timestamp_near;
use crate::proto;
use engine::domain::ArmContext;
use engine::domain::ArmFeatures;
use engine::domain::ArmName;
use engine::domain::ArmOutcome;
use engine::domain::ArmReward;
use engine::domain::ArmSetName;
use engine::domain::ArmSettings;
use engine::domain::ArmStrategy;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;
use engine::domain::out_of_range;

/// A checked SelectArm request.
#[derive(Debug)]
pub struct SelectArm {
    /// `None`: the server makes one.
    pub decision_id: Option<DecisionId>,
    pub set: ArmSetName,
    pub offered: Vec<ArmName>,
    /// Of each offered arm; empty where none has any.
    pub features: Vec<ArmFeatures>,
    pub context: ArmContext,
    pub strategy: ArmStrategy,
    pub epsilon: f64,
}

/// # Errors
/// Every wrong field.
pub fn select_arm(
    message: proto::SelectArmRequest,
    settings: &Settings,
) -> Result<SelectArm, Vec<Violation>> {
    let mut violations = Violations::default();
    let named = Some(message.decision_id).filter(|id| !id.is_empty());
    let decision_id = named.map(DecisionId::parse).transpose();
    let decision_id = violations.take("decision_id", decision_id).flatten();
    let set = violations.take("arm_set", ArmSetName::parse(message.arm_set));
    let offered = merge(&mut violations, offered(message.arms));
    let context = violations.absorb("context", context(message.context));
    let features = merge(&mut violations, features(message.features));
    let strategy = violations.take("strategy", strategy(message.strategy)).flatten();
    let epsilon = share(message.epsilon.unwrap_or_else(|| decimal(settings.epsilon)));
    let epsilon = violations.take("epsilon", epsilon);
    let (Some(set), Some(offered), Some(context), Some(features), Some(epsilon)) =
        (set, offered, context, features, epsilon)
    else {
        return Err(violations.into_vec());
    };
    let features = merge(&mut violations, of_offered(&offered, features)).unwrap_or_default();
    let strategy = strategy.unwrap_or(settings.arms.strategy);
    violations.finish(SelectArm { decision_id, set, offered, features, context, strategy, epsilon })
}

/// The features of each offered arm; nothing where no arm has any.
fn of_offered(
    offered: &[ArmName],
    mut features: BTreeMap<ArmName, ArmFeatures>,
) -> Result<Vec<ArmFeatures>, Vec<Violation>> {
    if features.is_empty() {
        return Ok(Vec::new());
    }
    let of_each = offered.iter().map(|arm| features.remove(arm).unwrap_or_default()).collect();
    let not_offered = |arm: &ArmName| Violation::new(format!("features[{arm}]"), "must be offered");
    let violations: Vec<Violation> = features.keys().map(not_offered).collect();
    if violations.is_empty() { Ok(of_each) } else { Err(violations) }
}

/// Features by arm, those that are there with as many numbers each.
fn features(
    messages: BTreeMap<String, proto::ArmFeatures>,
) -> Result<BTreeMap<ArmName, ArmFeatures>, Vec<Violation>> {
    let most = limits::ARMS_KNOWN;
    if messages.len() > most {
        let reason = format!("must hold at most {most}, holds {}", messages.len());
        return Err(vec![Violation::new("features", reason)]);
    }
    let mut violations = Violations::default();
    let mut features = BTreeMap::new();
    let mut numbers = None;
    for (name, message) in messages {
        let field = format!("features[{name}]");
        let inputs = inputs(message.numbers, message.attributes, limits::ARM_NUMBERS);
        let arm = violations.take(&field, ArmName::parse(name));
        let (Some(arm), Some(inputs)) = (arm, violations.absorb(&field, inputs)) else {
            continue;
        };
        let found = inputs.numbers.len();
        let expected = if inputs.is_empty() { found } else { *numbers.get_or_insert(found) };
        if found != expected {
            let reason = format!("must hold {expected} as the other arms, holds {found}");
            violations.add(format!("{field}.numbers"), reason);
        }
        features.insert(arm, inputs);
    }
    let bytes: usize = features.values().map(ArmFeatures::bytes).sum();
    if bytes > limits::ARM_FEATURES_BYTES {
        let reason = format!("must take at most {} bytes in all", limits::ARM_FEATURES_BYTES);
        violations.add("features", reason);
    }
    violations.finish(features)
}

/// One to some hundred names, each once.
fn offered(texts: Vec<String>) -> Result<Vec<ArmName>, Vec<Violation>> {
    let most = limits::ARMS;
    if texts.is_empty() || texts.len() > most {
        let reason = format!("must hold 1 to {most} arms, holds {}", texts.len());
        return Err(vec![Violation::new("arms", reason)]);
    }
    let names = each("arms", texts, ArmName::parse)?;
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().position(|name| !seen.insert(name)) {
        Some(position) => {
            Err(vec![Violation::new(format!("arms[{position}]"), "must not be there twice")])
        }
        None => Ok(names),
    }
}

fn context(message: Option<proto::ArmContext>) -> Result<ArmContext, Vec<Violation>> {
    let message = message.unwrap_or_default();
    inputs(message.numbers, message.attributes, limits::CONTEXT_NUMBERS)
}

/// A context, or what describes an arm, of at most so many numbers.
fn inputs(
    numbers: Vec<f64>,
    named: Option<prost_types::Struct>,
    most: usize,
) -> Result<ArmContext, Vec<Violation>> {
    let mut violations = Violations::default();
    let attributes = merge(&mut violations, attributes(named));
    let found = numbers.len();
    if found > most {
        violations.add("numbers", format!("must hold at most {most}, holds {found}"));
        return Err(violations.into_vec());
    }
    let largest = f64::from(limits::CONTEXT_NUMBER);
    let numbers = each("numbers", numbers, |number| {
        // Written so that NaN fails, too.
        if number.abs() <= largest {
            Ok(number as f32)
        } else {
            Err(out_of_range(number, -largest, largest))
        }
    });
    let numbers = merge(&mut violations, numbers).unwrap_or_default();
    violations.finish(ArmContext { numbers, attributes: attributes.unwrap_or_default() })
}

/// `None` for UNSPECIFIED.
fn strategy(code: i32) -> Result<Option<ArmStrategy>, String> {
    match proto::ArmStrategy::try_from(code) {
        Err(_) => Err(format!("must be a known strategy, is {code}")),
        Ok(proto::ArmStrategy::Unspecified) => Ok(None),
        Ok(proto::ArmStrategy::Greedy) => Ok(Some(ArmStrategy::Greedy)),
        Ok(proto::ArmStrategy::EpsilonGreedy) => Ok(Some(ArmStrategy::EpsilonGreedy)),
        Ok(proto::ArmStrategy::Thompson) => Ok(Some(ArmStrategy::Thompson)),
        Ok(proto::ArmStrategy::UpperConfidence) => Ok(Some(ArmStrategy::UpperConfidence)),
        Ok(proto::ArmStrategy::SquareCb) => Ok(Some(ArmStrategy::SquareCb)),
    }
}

pub fn arm_strategy_message(strategy: ArmStrategy) -> proto::ArmStrategy {
    match strategy {
        ArmStrategy::Greedy => proto::ArmStrategy::Greedy,
        ArmStrategy::EpsilonGreedy => proto::ArmStrategy::EpsilonGreedy,
        ArmStrategy::Thompson => proto::ArmStrategy::Thompson,
        ArmStrategy::UpperConfidence => proto::ArmStrategy::UpperConfidence,
        ArmStrategy::SquareCb => proto::ArmStrategy::SquareCb,
    }
}

/// `make_id` makes the event id of a reward that comes without one.
///
/// # Errors
/// Every wrong field.
pub fn reward_arm(
    message: proto::RewardArmRequest,
    now: Timestamp,
    make_id: impl FnOnce() -> EventId,
) -> Result<ArmReward, Vec<Violation>> {
    let mut violations = Violations::default();
    let decision_id = violations.take("decision_id", DecisionId::parse(message.decision_id));
    let event_id =
        if message.event_id.is_empty() { Ok(make_id()) } else { EventId::parse(message.event_id) };
    let event_id = violations.take("event_id", event_id);
    let outcome = outcome(message.reward, message.corrects, message.withdrawn);
    let outcome = merge(&mut violations, outcome);
    let occurred_at = message.occurred_at.map(|time| timestamp_near(time, now)).transpose();
    let occurred_at = violations.take("occurred_at", occurred_at).flatten().unwrap_or(now);
    let (Some(decision_id), Some(event_id), Some(outcome)) = (decision_id, event_id, outcome)
    else {
        return Err(violations.into_vec());
    };
    violations.finish(ArmReward { event_id, decision_id, outcome, occurred_at })
}

fn outcome(
    reward: Option<f64>,
    corrects: bool,
    withdrawn: bool,
) -> Result<ArmOutcome, Vec<Violation>> {
    let mut violations = Violations::default();
    if withdrawn {
        for (field, is_set) in [("reward", reward.is_some()), ("corrects", corrects)] {
            if is_set {
                violations.add(field, "must be unset where the selection is withdrawn");
            }
        }
        return violations.finish(ArmOutcome::Withdrawal);
    }
    let reward = reward.ok_or("must be set".to_owned()).and_then(share);
    let Some(reward) = violations.take("reward", reward).map(|reward| reward as f32) else {
        return Err(violations.into_vec());
    };
    Ok(if corrects { ArmOutcome::Correction(reward) } else { ArmOutcome::Reward(reward) })
}

/// A checked GetArmSet request.
#[derive(Debug)]
pub struct GetArmSet {
    pub set: ArmSetName,
    pub context: ArmContext,
    pub features: BTreeMap<ArmName, ArmFeatures>,
}

/// # Errors
/// Every wrong field.
pub fn arm_set(message: proto::GetArmSetRequest) -> Result<GetArmSet, Vec<Violation>> {
    let mut violations = Violations::default();
    let set = violations.take("arm_set", ArmSetName::parse(message.arm_set));
    let context = violations.absorb("context", context(message.context));
    let features = merge(&mut violations, features(message.features));
    match (set, context, features) {
        (Some(set), Some(context), Some(features)) => {
            violations.finish(GetArmSet { set, context, features })
        }
        _ => Err(violations.into_vec()),
    }
}

/// `base` with what the message sets; ranges are checked with those of all settings.
pub(super) fn arm_settings(
    message: &proto::ArmSettings,
    base: ArmSettings,
    violations: &mut Violations,
) -> ArmSettings {
    let chosen = message.strategy.map(strategy).transpose();
    let chosen = violations.take("settings.arms.strategy", chosen).flatten().flatten();
    let number = |set: Option<f64>, base| set.map_or(base, |set| set as f32);
    ArmSettings {
        strategy: chosen.unwrap_or(base.strategy),
        alpha: number(message.alpha, base.alpha),
        beta: number(message.beta, base.beta),
        exploration: number(message.exploration, base.exploration),
        floor: number(message.floor, base.floor),
        half_life_selections: message.half_life_selections.unwrap_or(base.half_life_selections),
    }
}

pub(super) fn arm_settings_message(settings: &ArmSettings) -> proto::ArmSettings {
    proto::ArmSettings {
        strategy: Some(arm_strategy_message(settings.strategy).into()),
        alpha: Some(decimal(settings.alpha)),
        beta: Some(decimal(settings.beta)),
        exploration: Some(decimal(settings.exploration)),
        floor: Some(decimal(settings.floor)),
        half_life_selections: Some(settings.half_life_selections),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> proto::SelectArmRequest {
        proto::SelectArmRequest {
            arm_set: "layout".to_owned(),
            arms: vec!["grid".to_owned(), "list".to_owned()],
            ..Default::default()
        }
    }

    fn fields<T: std::fmt::Debug>(checked: Result<T, Vec<Violation>>) -> Vec<String> {
        checked.unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn what_a_request_does_not_say_is_as_the_namespace_says() {
        let settings = Settings { epsilon: 0.3, ..Settings::default() };
        let checked = select_arm(request(), &settings).unwrap();
        assert_eq!((checked.strategy, checked.epsilon), (settings.arms.strategy, 0.3));
        assert!(checked.context.is_empty());
        let says = proto::SelectArmRequest { strategy: 5, epsilon: Some(0.25), ..request() };
        let checked = select_arm(says, &settings).unwrap();
        assert_eq!((checked.strategy, checked.epsilon), (ArmStrategy::SquareCb, 0.25));
    }

    #[test]
    fn every_wrong_field_of_a_selection_is_named() {
        let wrong = proto::SelectArmRequest {
            arm_set: String::new(),
            arms: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()],
            context: Some(proto::ArmContext {
                numbers: vec![0.0, f64::NAN, 1.1e12],
                attributes: None,
            }),
            strategy: 9,
            epsilon: Some(f64::NAN),
            decision_id: "d".repeat(257),
            ..Default::default()
        };
        let expected = [
            "decision_id",
            "arm_set",
            "arms[2]",
            "context.numbers[1]",
            "context.numbers[2]",
            "strategy",
            "epsilon",
        ];
        assert_eq!(fields(select_arm(wrong, &Settings::default())), expected);
        for arms in [Vec::new(), vec!["a".to_owned(); limits::ARMS + 1]] {
            let wrong = proto::SelectArmRequest { arms, ..request() };
            assert_eq!(fields(select_arm(wrong, &Settings::default())), ["arms"]);
        }
        let numbers = vec![0.0; limits::CONTEXT_NUMBERS + 1];
        let context = Some(proto::ArmContext { numbers, attributes: None });
        let wrong = proto::SelectArmRequest { context, ..request() };
        assert_eq!(fields(select_arm(wrong, &Settings::default())), ["context.numbers"]);
    }

    #[test]
    fn features_are_of_offered_arms_and_of_one_length() {
        let of =
            |numbers: &[f64]| proto::ArmFeatures { numbers: numbers.to_vec(), attributes: None };
        type Features<'a> = &'a [(&'a str, &'a [f64])];
        let asked = |features: Features<'_>| {
            let features = features.iter().map(|(arm, numbers)| ((*arm).to_owned(), of(numbers)));
            select_arm(
                proto::SelectArmRequest { features: features.collect(), ..request() },
                &Settings::default(),
            )
        };
        let checked = asked(&[("list", &[0.5, 1e9])]).unwrap();
        assert!(checked.features[0].is_empty() && checked.features[1].numbers == [0.5, 1e9]);
        assert!(asked(&[]).unwrap().features.is_empty());
        let most = vec![0.0; limits::ARM_NUMBERS + 1];
        let wrong: [(Features<'_>, &str); 4] = [
            (&[("cards", &[1.0])], "features[cards]"),
            (&[("grid", &[1.0]), ("list", &[1.0, 2.0])], "features[list].numbers"),
            (&[("grid", &[f64::INFINITY])], "features[grid].numbers[0]"),
            (&[("grid", &most)], "features[grid].numbers"),
        ];
        for (features, field) in wrong {
            assert_eq!(fields(asked(features)), [field]);
        }
    }

    #[test]
    fn a_withdrawal_has_no_reward() {
        let withdrawn = |reward, corrects| {
            let decision_id = "d".to_owned();
            let withdrawn = true;
            let message = proto::RewardArmRequest {
                decision_id,
                reward,
                corrects,
                withdrawn,
                ..Default::default()
            };
            reward_arm(message, Timestamp::default(), || EventId::parse("made").unwrap())
        };
        assert_eq!(withdrawn(None, false).unwrap().outcome, ArmOutcome::Withdrawal);
        assert_eq!(fields(withdrawn(Some(0.0), true)), ["reward", "corrects"]);
    }

    #[test]
    fn rewards_lie_between_0_and_1() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let reward = |reward| {
            let decision_id = "d".to_owned();
            let message = proto::RewardArmRequest { decision_id, reward, ..Default::default() };
            reward_arm(message, now, || EventId::parse("made").unwrap())
        };
        let made = reward(Some(0.5)).unwrap();
        assert_eq!((made.event_id.as_str(), made.occurred_at), ("made", now));
        for wrong in [None, Some(-0.1), Some(1.1), Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(fields(reward(wrong)), ["reward"]);
        }
    }
}
