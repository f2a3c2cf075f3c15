//! Decisions as Vowpal Wabbit's dsjson, one JSON object per line, which Azure Personalizer
//! logs, too.
//!
//! A contextual-bandit decision, with what is read of it:
//!
//! ```json
//! {"_label_cost": -1.0, "_label_probability": 0.8, "_label_Action": 2, "_labelIndex": 1,
//!  "Timestamp": "2024-05-01T12:00:00Z", "Version": "1", "EventId": "e1",
//!  "a": [2, 1], "p": [0.8, 0.2],
//!  "c": {"context": [0.5], "_multi": [{"i": {"id": "x"}}, {"i": {"id": "y"}}]},
//!  "VWState": {"m": "7"}}
//! ```
//!
//! - The reward is minus the cost. What was shown is `_labelIndex` (from 0),
//!   `_label_Action` (from 1) or the first of `a` (from 1); they must agree.
//! - `a` with `p` are candidates with their propensities, what was shown first.
//! - An action is called by its `_tag`, `i.id` or `id`, or else by its features as JSON
//!   (with `#2`, `#3` behind where several are the same).
//! - Several slots (conditional contextual bandits): `_outcomes` with `_label_cost`, `_a`
//!   (from 0) and `_p` for each; each is a round at its index among the candidates of its
//!   `_a`, or those of `_inc` of its slot where `_a` has only what was shown.
//! - Slates have one cost for all slots, which is no reward of one slot: they are refused.
//! - Arrays of numbers called `context` (of the request context) and `f` (of an action) are read
//!   as features; those of any other name only name actions.
//! - A decision without label, of skipped learning, or with a reward only is no round.
//! - Written are one line a decision, with the features of its first round; probabilities
//!   of a target policy are not part of the format.
//! - In addition to the format, and ignored by its other readers: `_user_id`, `_strategy`, `_variant`,
//!   `_slate_propensity`, `_unlisted` (the candidates are not known), and `_score` and `_deviation` (the standard
//!   deviation of that) of an action.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::LoggedCandidate;
use super::LoggedRound;

type Object = Map<String, Value>;

/// What the format writes where there is no model.
const NO_MODEL: &str = "N/A";

/// Rounds of one line; none where it is no labelled decision.
///
/// # Errors
/// Why the line cannot be read.
pub fn read(line: &[u8]) -> Result<Vec<LoggedRound>, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| without_line(&error))?;
    let line = value.as_object().ok_or("must be a JSON object")?;
    if line.get("_skipLearn").and_then(Value::as_bool) == Some(true) {
        return Ok(Vec::new());
    }
    let Some(context) = line.get("c") else { return Ok(Vec::new()) };
    let context = context.as_object().ok_or("c must be an object")?;
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    let template = LoggedRound {
        decision_id: text("EventId").unwrap_or_default(),
        user_id: text("_user_id"),
        timestamp: text("Timestamp"),
        strategy: text("_strategy"),
        variant: text("_variant"),
        slate_propensity: line.get("_slate_propensity").and_then(Value::as_f64),
        model: line.get("VWState").and_then(model),
        context: numbers(context.get("context")),
        ..LoggedRound::default()
    };
    let actions = actions(context)?;
    if let Some(outcomes) = line.get("_outcomes") {
        if line.contains_key("_label_cost") {
            return Err("slates have one cost for all slots: they cannot be read".to_owned());
        }
        let is_unlisted = line.get("_unlisted").and_then(Value::as_bool) == Some(true);
        return slots(outcomes, context, &template, &actions, is_unlisted);
    }
    if !line.contains_key("_label_cost") {
        return Ok(Vec::new());
    }
    let mut round = single(line, template, actions)?;
    if line.get("_unlisted").and_then(Value::as_bool) == Some(true) {
        round.candidates = Vec::new();
    }
    Ok(vec![round])
}

/// The model's name in `VWState`, where it has one.
fn model(state: &Value) -> Option<String> {
    let name = state.get("m").and_then(Value::as_str)?;
    (name != NO_MODEL).then(|| name.to_owned())
}

/// What serde says, without its own count of lines: there is only one.
pub fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    format!("{} (column {})", &text[..end], error.column())
}

/// A decision with one slot.
fn single(
    line: &Object,
    template: LoggedRound,
    mut actions: Vec<LoggedCandidate>,
) -> Result<LoggedRound, String> {
    let ranking = whole_numbers(line.get("a"), "a")?;
    let probabilities = probabilities(line.get("p"), "p")?;
    let one_based = line.get("_label_Action").map(|value| whole(value, "_label_Action"));
    let zero_based = line.get("_labelIndex").map(|value| whole(value, "_labelIndex"));
    let named = match (one_based.transpose()?, zero_based.transpose()?) {
        (Some(action), Some(index)) if action != index + 1 => {
            return Err(format!("_label_Action {action} is not _labelIndex {index}"));
        }
        (Some(action), _) => Some(action),
        (None, index) => index.map(|index| index + 1),
    };
    let shown = named.or(ranking.first().copied()).ok_or("says nowhere what was shown")?;
    let shown = shown.checked_sub(1).ok_or("actions count from 1")?;
    let (action, score, features) = shown_of(&actions, shown)?;
    if ranking.len() == probabilities.len() && ranking.len() == actions.len() {
        for (index, probability) in ranking.iter().zip(&probabilities) {
            let index = index.checked_sub(1).ok_or("actions count from 1")?;
            at(&actions, index)?;
            actions[index].propensity = Some(*probability);
        }
    }
    let first = (ranking.first().copied() == Some(shown + 1)).then(|| probabilities.first());
    let propensity = match line.get("_label_probability") {
        Some(value) => number(value, "_label_probability")?,
        None => *first.flatten().ok_or("has no _label_probability")?,
    };
    let reward = reward_of(line)?;
    let candidates = actions;
    Ok(LoggedRound { action, score, features, reward, propensity, candidates, ..template })
}

/// A decision with several slots.
fn slots(
    outcomes: &Value,
    context: &Object,
    template: &LoggedRound,
    actions: &[LoggedCandidate],
    is_unlisted: bool,
) -> Result<Vec<LoggedRound>, String> {
    let outcomes = outcomes.as_array().ok_or("_outcomes must be an array")?;
    let positions = context.get("_slots").and_then(Value::as_array);
    let mut rounds = Vec::with_capacity(outcomes.len());
    for (slot_index, outcome) in outcomes.iter().enumerate() {
        let outcome = outcome.as_object().ok_or("an outcome must be an object")?;
        // A slot that showed nothing, or whose reward never came.
        if !outcome.contains_key("_label_cost") {
            continue;
        }
        let offered = whole_numbers(outcome.get("_a"), "_a")?;
        let chances = probabilities(outcome.get("_p"), "_p")?;
        let (Some(&shown), Some(&propensity)) = (offered.first(), chances.first()) else {
            return Err(format!("slot {slot_index} has no _a or no _p"));
        };
        let (action, score, features) = shown_of(actions, shown)?;
        let slot = positions.and_then(|positions| positions.get(slot_index));
        let candidates = match offered.len() {
            _ if is_unlisted => Vec::new(),
            1 => included(actions, slot.and_then(|slot| slot.get("_inc")))?,
            _ if offered.len() != chances.len() => {
                return Err(format!("slot {slot_index} has not as many _p as _a"));
            }
            _ => with_chances(actions, &offered, &chances)?,
        };
        let own = slot.and_then(|slot| slot.get("position")?.as_u64());
        let position = u32::try_from(own.unwrap_or(slot_index as u64))
            .map_err(|_| format!("slot {slot_index} has no position"))?;
        let reward = reward_of(outcome)?;
        rounds.push(LoggedRound {
            position,
            action,
            score,
            features,
            reward,
            propensity,
            candidates,
            ..template.clone()
        });
    }
    Ok(rounds)
}

/// The offered actions in the order of all, each with its chance.
fn with_chances(
    actions: &[LoggedCandidate],
    offered: &[usize],
    chances: &[f64],
) -> Result<Vec<LoggedCandidate>, String> {
    let mut pairs: Vec<(usize, f64)> =
        offered.iter().copied().zip(chances.iter().copied()).collect();
    pairs.sort_by_key(|pair| pair.0);
    let mut candidates = Vec::with_capacity(pairs.len());
    for (index, chance) in pairs {
        let action = at(actions, index)?.clone();
        candidates.push(LoggedCandidate { propensity: Some(chance), ..action });
    }
    Ok(candidates)
}

/// The actions that a slot may show; all where it does not say.
fn included(
    actions: &[LoggedCandidate],
    positions: Option<&Value>,
) -> Result<Vec<LoggedCandidate>, String> {
    let positions = whole_numbers(positions, "_inc")?;
    if positions.is_empty() {
        return Ok(actions.to_vec());
    }
    positions.into_iter().map(|index| at(actions, index).cloned()).collect()
}

/// The actions of `_multi`, in order, by names that differ.
fn actions(context: &Object) -> Result<Vec<LoggedCandidate>, String> {
    let multi = context.get("_multi").and_then(Value::as_array).ok_or("c has no _multi")?;
    let mut actions: Vec<LoggedCandidate> = Vec::with_capacity(multi.len());
    for action in multi {
        let action = action.as_object().ok_or("an action must be an object")?;
        let name = name(action);
        let of_name = |other: &&LoggedCandidate| {
            let rest = other.action.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        };
        let same = actions.iter().filter(of_name).count();
        actions.push(LoggedCandidate {
            action: if same > 0 { format!("{name}#{}", same + 1) } else { name },
            score: action.get("_score").and_then(Value::as_f64),
            deviation: action.get("_deviation").and_then(Value::as_f64),
            features: numbers(action.get("f")),
            ..LoggedCandidate::default()
        });
    }
    Ok(actions)
}

fn name(action: &Object) -> String {
    let inner = action.get("i").and_then(|inner| inner.get("id"));
    let known = [action.get("_tag"), inner, action.get("id")];
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    known.into_iter().flatten().find_map(text).unwrap_or_else(|| {
        let features: Object = action
            .iter()
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Value::Object(features).to_string()
    })
}

fn at(actions: &[LoggedCandidate], index: usize) -> Result<&LoggedCandidate, String> {
    let missing = || format!("action {} of {} is not in _multi", index + 1, actions.len());
    actions.get(index).ok_or_else(missing)
}

/// Name, score and features of what was shown.
fn shown_of(
    actions: &[LoggedCandidate],
    index: usize,
) -> Result<(String, Option<f64>, Vec<f32>), String> {
    let LoggedCandidate { action, score, features, .. } = at(actions, index)?;
    Ok((action.clone(), *score, features.clone()))
}

fn reward_of(labelled: &Object) -> Result<f64, String> {
    let cost = labelled.get("_label_cost").ok_or("has no _label_cost")?;
    let cost = number(cost, "_label_cost")?;
    // Minus nothing is nothing, without a sign.
    Ok(if cost == 0.0 { 0.0 } else { -cost })
}

fn number(value: &Value, name: &str) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{name} must be a number"))
}

fn whole(value: &Value, name: &str) -> Result<usize, String> {
    let whole = value.as_u64().and_then(|whole| usize::try_from(whole).ok());
    whole
        .filter(|whole| *whole < u32::MAX as usize)
        .ok_or_else(|| format!("{name} must be a whole number"))
}

/// A list, or one of them alone; nothing where there is none.
fn whole_numbers(value: Option<&Value>, name: &str) -> Result<Vec<usize>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(|value| whole(value, name)).collect(),
        Some(value) => Ok(vec![whole(value, name)?]),
    }
}

fn probabilities(value: Option<&Value>, name: &str) -> Result<Vec<f64>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(|value| number(value, name)).collect(),
        Some(value) => Ok(vec![number(value, name)?]),
    }
}

/// An array of numbers as features; nothing for anything else.
fn numbers(value: Option<&Value>) -> Vec<f32> {
    let values = value.and_then(Value::as_array);
    let all = values.map(|values| values.iter().map(|x| x.as_f64().map(|x| x as f32)).collect());
    all.flatten().unwrap_or_default()
}

/// One decision as a line; its rounds share decision, user, time and context.
///
/// Panics without rounds.
pub fn write(rounds: &[LoggedRound]) -> Value {
    let first = rounds.first().expect("a decision has rounds");
    let is_unlisted = rounds.iter().any(|round| round.candidates.is_empty());
    let actions = all_actions(rounds);
    let multi: Vec<Value> = actions.iter().map(feature_object).collect();
    let mut context = Object::new();
    if !first.context.is_empty() {
        context.insert("context".to_owned(), json!(first.context));
    }
    context.insert("_multi".to_owned(), Value::Array(multi));
    let mut line = Object::new();
    let is_single = rounds.len() == 1 && first.position == 0;
    if is_single {
        let shown = position_of(&actions, &first.action);
        line.insert("_label_cost".to_owned(), json!(cost(first)));
        line.insert("_label_probability".to_owned(), json!(first.propensity));
        line.insert("_label_Action".to_owned(), json!(shown + 1));
        line.insert("_labelIndex".to_owned(), json!(shown));
        let (ranking, chances) = ranking(first, &actions);
        line.insert("a".to_owned(), ranking.iter().map(|index| index + 1).collect());
        line.insert("p".to_owned(), json!(chances));
    } else {
        let slots = rounds.iter().map(|round| {
            let candidates = round.candidates.iter();
            let included: Vec<usize> =
                candidates.map(|candidate| position_of(&actions, &candidate.action)).collect();
            json!({ "position": round.position, "_inc": included })
        });
        context.insert("_slots".to_owned(), slots.collect());
        let outcomes = rounds.iter().map(|round| {
            let (ranking, chances) = ranking(round, &actions);
            let id = format!("{}-{}", round.decision_id, round.position);
            json!({ "_label_cost": cost(round), "_id": id, "_a": ranking, "_p": chances })
        });
        line.insert("_outcomes".to_owned(), outcomes.collect());
    }
    if let Some(timestamp) = &first.timestamp {
        line.insert("Timestamp".to_owned(), json!(timestamp));
    }
    line.insert("Version".to_owned(), json!("1"));
    line.insert("EventId".to_owned(), json!(first.decision_id));
    if let Some(user_id) = &first.user_id {
        line.insert("_user_id".to_owned(), json!(user_id));
    }
    if let Some(strategy) = &first.strategy {
        line.insert("_strategy".to_owned(), json!(strategy));
    }
    if let Some(variant) = &first.variant {
        line.insert("_variant".to_owned(), json!(variant));
    }
    if let Some(propensity) = first.slate_propensity {
        line.insert("_slate_propensity".to_owned(), json!(propensity));
    }
    if is_unlisted {
        line.insert("_unlisted".to_owned(), json!(true));
    }
    line.insert("c".to_owned(), Value::Object(context));
    line.insert("VWState".to_owned(), json!({ "m": first.model.as_deref().unwrap_or(NO_MODEL) }));
    Value::Object(line)
}

fn cost(round: &LoggedRound) -> f64 {
    if round.reward == 0.0 { 0.0 } else { -round.reward }
}

/// The candidates of all rounds once each, in the order of the first that has them; what
/// was shown where candidates are not known.
fn all_actions(rounds: &[LoggedRound]) -> Vec<LoggedCandidate> {
    let mut actions: Vec<LoggedCandidate> = Vec::new();
    for round in rounds {
        let shown = LoggedCandidate {
            action: round.action.clone(),
            score: round.score,
            features: round.features.clone(),
            ..LoggedCandidate::default()
        };
        for candidate in round.candidates.iter().chain(std::iter::once(&shown)) {
            if !actions.iter().any(|action| action.action == candidate.action) {
                actions.push(candidate.clone());
            }
        }
    }
    actions
}

fn feature_object(action: &LoggedCandidate) -> Value {
    let mut object = Object::new();
    object.insert("i".to_owned(), json!({ "id": action.action }));
    if let Some(score) = action.score {
        object.insert("_score".to_owned(), json!(score));
    }
    if let Some(deviation) = action.deviation {
        object.insert("_deviation".to_owned(), json!(deviation));
    }
    if !action.features.is_empty() {
        object.insert("f".to_owned(), json!(action.features));
    }
    Value::Object(object)
}

fn position_of(actions: &[LoggedCandidate], action: &str) -> usize {
    let index = actions.iter().position(|known| known.action == action);
    index.expect("what was shown is one of all actions")
}

/// Indices of the candidates, what was shown first, with their propensities; without those
/// of all, only what was shown.
fn ranking(round: &LoggedRound, actions: &[LoggedCandidate]) -> (Vec<usize>, Vec<f64>) {
    let mut ranking = vec![position_of(actions, &round.action)];
    let mut chances = vec![round.propensity];
    let others = round.candidates.iter().filter(|candidate| candidate.action != round.action);
    let others: Option<Vec<(usize, f64)>> = others
        .map(|candidate| Some((position_of(actions, &candidate.action), candidate.propensity?)))
        .collect();
    for (index, chance) in others.into_iter().flatten() {
        ranking.push(index);
        chances.push(chance);
    }
    (ranking, chances)
}
