//! The parts of a Personalize request that shape a list in addition to the scores: variety,
//! filters, pins, boosts, the order of the caller.
//!
//! Paths start at the request.

use std::collections::HashSet;

use super::attributes::attributes;
use super::durations::hours;
use super::keys::length;
use super::scalars::bounded;
use super::scalars::decimal;
use super::scalars::each;
use super::scalars::each_message;
use super::scalars::label;
use super::scalars::listed_id;
use super::scalars::merge;
use super::scalars::share;
use super::scalars::strategy_parameter;
use super::scalars::timestamp;
use super::scalars::within;
use super::settings::diversity_method;
use super::settings::strategy;
use crate::proto;
use crate::service::PinnedItem;
use engine::Boost;
use engine::Choice;
use engine::Exploring;
use engine::Expression;
use engine::Filter;
use engine::Target;
use engine::domain::BaselineOrder;
use engine::domain::ItemId;
use engine::domain::RankerSettings;
use engine::domain::ScoreChange;
use engine::domain::Settings;
use engine::domain::SettingsRange;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;
use engine::parse_expression;

/// # Errors
/// Every violation of `diversity`, `max_results`, `strategy` and `exploration`.
pub(super) fn choice(
    diversity: Option<proto::DiversityParams>,
    max_results: u32,
    strategy_code: i32,
    exploration: Option<proto::ExplorationParams>,
    settings: &Settings,
) -> Result<Choice, Vec<Violation>> {
    let diversity = diversity.unwrap_or_default();
    let mut violations = Violations::default();
    let mut share_of = |name: &str, set: Option<f64>, default: f32| {
        let checked = share(set.unwrap_or_else(|| decimal(default)));
        violations.take(&format!("diversity.{name}"), checked).unwrap_or_default()
    };
    let topic_threshold = share_of(
        "topic_diversity_threshold",
        diversity.topic_diversity_threshold,
        settings.topic_diversity_threshold,
    );
    let source_threshold =
        share_of("source_diversity_threshold", diversity.source_diversity_threshold, 0.0);
    let diversity_weight =
        share_of("diversity_weight", diversity.diversity_weight, settings.diversity_weight);
    let serendipity_weight =
        share_of("serendipity_weight", diversity.serendipity_weight, settings.serendipity_weight);
    let novelty_weight =
        share_of("novelty_weight", diversity.novelty_weight, settings.novelty_weight);
    let mut cap = |range: SettingsRange, set: Option<u32>, default: u32| {
        let checked = whole(range, set.unwrap_or(default));
        violations.take(&format!("diversity.{}", range.name), checked).unwrap_or_default()
    };
    let max_per_topic =
        cap(SettingsRange::MAX_PER_TOPIC, diversity.max_per_topic, settings.max_per_topic);
    let max_per_source =
        cap(SettingsRange::MAX_PER_SOURCE, diversity.max_per_source, settings.max_per_source);
    let method = violations.take("diversity.method", diversity_method(diversity.method)).flatten();
    let positions = length(max_results, limits::RESULTS_DEFAULT, limits::RESULTS);
    let positions = violations.take("max_results", positions).unwrap_or_default();
    let strategy = violations.take("strategy", strategy(strategy_code)).flatten();
    let exploration = exploration.unwrap_or_default();
    let (epsilon, exploring) = exploring(exploration, settings, &mut violations);
    let varied = if diversity.enable_diversity.unwrap_or(true) { 1.0 } else { 0.0 };
    violations.finish(Choice {
        strategy: strategy.unwrap_or(settings.strategy),
        epsilon,
        exploring,
        method: method.unwrap_or(settings.diversity_method),
        diversity_weight: varied * diversity_weight,
        serendipity_weight: varied * serendipity_weight,
        novelty_weight: varied * novelty_weight,
        topic_threshold: varied * topic_threshold,
        source_threshold: varied * source_threshold,
        max_per_topic,
        max_per_source,
        positions,
    })
}

/// Epsilon, and the parameters of the other strategies.
fn exploring(
    message: proto::ExplorationParams,
    settings: &Settings,
    violations: &mut Violations,
) -> (f64, Exploring) {
    let ranker = &settings.ranker;
    let mut read = |name: &str, set: Option<f64>, default: f32, range: (f32, f32)| {
        let field = format!("exploration.{name}");
        strategy_parameter(violations, &field, set, default, range)
    };
    let epsilon = read("epsilon", message.epsilon, settings.epsilon, (0.0, 1.0));
    let scale = read(
        "exploration_scale",
        message.exploration_scale,
        ranker.exploration_scale,
        RankerSettings::EXPLORATION_SCALE,
    );
    let gamma = read(
        "square_cb_gamma",
        message.square_cb_gamma,
        ranker.square_cb_gamma,
        RankerSettings::SQUARE_CB_GAMMA,
    );
    let floor = read(
        "propensity_floor",
        message.propensity_floor,
        ranker.propensity_floor,
        RankerSettings::PROPENSITY_FLOOR,
    );
    (epsilon, Exploring { scale, gamma, floor })
}

fn whole(range: SettingsRange, value: u32) -> Result<u32, String> {
    range.check(f64::from(value)).map(|_within| value)
}

/// # Errors
/// The range.
pub(super) fn frequency_cap(set: Option<u32>, settings: &Settings) -> Result<u32, String> {
    whole(SettingsRange::FREQUENCY_CAP, set.unwrap_or(settings.frequency_cap_per_day))
}

/// All but the frequency cap, which is not a field of `filters`.
///
/// # Errors
/// Every violation of `filters`.
pub(super) fn filter(
    message: Option<proto::Filters>,
    settings: &Settings,
) -> Result<Filter, Vec<Violation>> {
    let message = message.unwrap_or_default();
    let found = message.topics.len() + message.sources.len() + message.exclude_item_ids.len();
    if found > limits::FILTER_VALUES {
        let most = limits::FILTER_VALUES;
        let reason =
            format!("must hold at most {most} topics, sources and ids in all, hold {found}");
        return Err(vec![Violation::new("filters", reason)]);
    }
    let values = message.topics.iter().chain(&message.sources).chain(&message.exclude_item_ids);
    bounded("filters", values, limits::FILTER_BYTES)?;
    let mut violations = Violations::default();
    let topics = merge(&mut violations, each("filters.topics", message.topics, label));
    let sources = merge(&mut violations, each("filters.sources", message.sources, label));
    let attributes = violations.absorb("filters", attributes(message.attributes));
    let exclude = each("filters.exclude_item_ids", message.exclude_item_ids, listed_id);
    let exclude = merge(&mut violations, exclude);
    let published_after = message.published_after.map(timestamp).transpose();
    let published_after = violations.take("filters.published_after", published_after);
    let expression = Some(message.expression).filter(|text| !text.is_empty());
    let expression = expression.map(|text| expression_of(&text)).transpose();
    let expression = violations.take("filters.expression", expression).flatten();
    let cooldown = message.seen_cooldown.map(|time| hours(time, SettingsRange::SEEN_COOLDOWN));
    let cooldown = cooldown.unwrap_or(Ok(settings.seen_cooldown_hours));
    let cooldown = violations.take("filters.seen_cooldown", cooldown).unwrap_or_default();
    let times = message.seen_after_sessions.unwrap_or(settings.seen_after_sessions);
    let times = whole(SettingsRange::SEEN_AFTER, times);
    let times = violations.take("filters.seen_after_sessions", times).unwrap_or_default();
    // The finer rules say when an item comes back, so they replace "never again".
    let comes_back = cooldown > 0.0 || times > 0 || settings.recommend_seen == Some(true);
    violations.finish(Filter {
        topics: sorted(topics),
        sources: sorted(sources),
        attributes: attributes.unwrap_or_default(),
        published_after: published_after.flatten(),
        exclude: sorted(exclude),
        expression,
        include_seen: message.include_seen.unwrap_or(comes_back),
        seen_cooldown_hours: cooldown,
        seen_after_sessions: times,
        frequency_cap_per_day: 0,
    })
}

/// The fault by its byte, so that an editor can point there.
fn expression_of(text: &str) -> Result<Expression, String> {
    parse_expression(text).map_err(|error| error.to_string())
}

/// In rising order, each once.
fn sorted(values: Option<Vec<Box<str>>>) -> Vec<Box<str>> {
    let mut values = values.unwrap_or_default();
    values.sort_unstable();
    values.dedup();
    values
}

/// # Errors
/// Every violation of `pins`.
pub(super) fn pins(
    messages: Vec<proto::Pin>,
    positions: usize,
) -> Result<Vec<PinnedItem>, Vec<Violation>> {
    if messages.len() > limits::RESULTS {
        let reason = format!("must hold at most {}, holds {}", limits::RESULTS, messages.len());
        return Err(vec![Violation::new("pins", reason)]);
    }
    bounded("pins", messages.iter().map(|pin| &pin.item_id), limits::ID_LIST_BYTES)?;
    let pins = each_message("pins", messages, |message| {
        let mut violations = Violations::default();
        let item_id = violations.take("item_id", ItemId::parse(message.item_id));
        let position = message.position as usize;
        if position >= positions {
            violations.add("position", format!("must be less than {positions}, is {position}"));
        }
        let item_id = item_id.ok_or(());
        match (item_id, violations.is_empty()) {
            (Ok(item_id), true) => Ok(PinnedItem { item_id, position }),
            _ => Err(violations.into_vec()),
        }
    })?;
    let mut violations = Violations::default();
    for (number, pin) in pins.iter().enumerate() {
        let earlier = &pins[..number];
        if earlier.iter().any(|other| other.item_id == pin.item_id) {
            violations.add(format!("pins[{number}].item_id"), "must be pinned once");
        }
        if earlier.iter().any(|other| other.position == pin.position) {
            violations.add(format!("pins[{number}].position"), "must hold one item");
        }
    }
    violations.finish(pins)
}

/// # Errors
/// Every violation of `boosts`.
pub(super) fn boosts(messages: Vec<proto::Boost>) -> Result<Vec<Boost>, Vec<Violation>> {
    if messages.len() > limits::BOOSTS {
        let reason = format!("must hold at most {}, holds {}", limits::BOOSTS, messages.len());
        return Err(vec![Violation::new("boosts", reason)]);
    }
    bounded("boosts", messages.iter().filter_map(subject), limits::BOOSTS_BYTES)?;
    each_message("boosts", messages, |message| {
        let mut violations = Violations::default();
        let target = target(message.target, &mut violations);
        let change = change(message.change, &mut violations);
        match (target, change) {
            (Some(target), Some(change)) => Ok(Boost { target, change }),
            _ => Err(violations.into_vec()),
        }
    })
}

/// All rules together must not take long for any item.
///
/// # Errors
/// The violation, and what to do about it.
pub(super) fn check_cost(filter: &Filter, boosts: &[Boost]) -> Result<(), Vec<Violation>> {
    let steps = filter.cost() + boosts.iter().map(Boost::cost).sum::<usize>();
    if steps <= limits::REQUEST_STEPS {
        return Ok(());
    }
    let reason = format!(
        "may take {steps} steps for each item together with boosts, and {} are allowed: fewer \
         rules about lists, or shorter ones",
        limits::REQUEST_STEPS
    );
    Err(vec![Violation::new("filters", reason)])
}

/// What a boost is about, in its own words.
fn subject(message: &proto::Boost) -> Option<&String> {
    use proto::boost::Target as Message;
    message.target.as_ref().map(|target| match target {
        Message::ItemId(text)
        | Message::Topic(text)
        | Message::Source(text)
        | Message::Expression(text) => text,
    })
}

fn target(message: Option<proto::boost::Target>, violations: &mut Violations) -> Option<Target> {
    use proto::boost::Target as Message;
    match message {
        None => violations.take("target", Err("must be set")),
        Some(Message::ItemId(id)) => violations.take("item_id", listed_id(id)).map(Target::Item),
        Some(Message::Topic(topic)) => violations.take("topic", label(topic)).map(Target::Topic),
        Some(Message::Source(source)) => {
            violations.take("source", label(source)).map(Target::Source)
        }
        Some(Message::Expression(text)) => {
            violations.take("expression", expression_of(&text)).map(Target::Matching)
        }
    }
}

fn change(
    message: Option<proto::boost::Change>,
    violations: &mut Violations,
) -> Option<ScoreChange> {
    let most = limits::BOOST;
    match message {
        None => violations.take("change", Err("must be set")),
        Some(proto::boost::Change::Add(addend)) => {
            violations.take("add", within(addend, -most, most)).map(ScoreChange::Add)
        }
        Some(proto::boost::Change::Multiply(factor)) => {
            violations.take("multiply", within(factor, 0.0, most)).map(ScoreChange::Multiply)
        }
    }
}

/// The caller's order, if it has one; of a repeated item the first counts.
///
/// # Errors
/// Every violation of `baseline_item_ids` and `baseline_popular`.
pub fn baseline(ids: Vec<String>, popular: bool) -> Result<Option<BaselineOrder>, Vec<Violation>> {
    let (found, most) = (ids.len(), limits::CANDIDATES);
    if found > most {
        let reason = format!("must hold at most {most} ids, holds {found}");
        return Err(vec![Violation::new("baseline_item_ids", reason)]);
    }
    bounded("baseline_item_ids", ids.iter(), limits::ID_LIST_BYTES)?;
    let mut ids = each("baseline_item_ids", ids, ItemId::parse)?;
    match (ids.is_empty(), popular) {
        (false, true) => {
            let reason = "must not be set together with baseline_item_ids";
            Err(vec![Violation::new("baseline_popular", reason)])
        }
        (true, true) => Ok(Some(BaselineOrder::Popular)),
        (true, false) => Ok(None),
        (false, false) => {
            let mut seen = HashSet::with_capacity(ids.len());
            ids.retain(|id| seen.insert(id.clone()));
            Ok(Some(BaselineOrder::Items(ids)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons<T: std::fmt::Debug>(checked: Result<T, Vec<Violation>>) -> Vec<String> {
        checked.unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_request_that_says_nothing_is_served_as_evaluations_measure_it() {
        let settings = Settings::default();
        let asked = choice(None, 0, 0, None, &settings).unwrap();
        let served = Choice::served(&settings, limits::RESULTS_DEFAULT);
        // Settings are stored in f32, and requests read as their decimals.
        let rounded = |choice: Choice| format!("{choice:.5?}");
        assert_eq!(rounded(asked), rounded(served));
    }

    #[test]
    fn a_wrong_expression_is_named_with_the_byte_and_what_was_expected_there() {
        let filters = proto::Filters { expression: "price < ".to_owned(), ..Default::default() };
        let reasons = reasons(filter(Some(filters), &Settings::default()));
        let expected = "filters.expression is wrong at byte 8: \
            expected a name, a text, a number, `true`, `false` or a list";
        assert_eq!(reasons, [expected]);
    }

    #[test]
    fn seen_items_come_back_where_a_finer_rule_is_in_force_and_no_switch_is_set() {
        let read = |filters, settings: &Settings| filter(Some(filters), settings).unwrap();
        let time = prost_types::Duration { seconds: 7_200, nanos: 0 };
        let cooldown = || proto::Filters { seen_cooldown: Some(time), ..Default::default() };
        let settings = Settings::default();
        assert!(!read(proto::Filters::default(), &settings).include_seen);
        assert!(read(cooldown(), &settings).include_seen);
        let never = proto::Filters { include_seen: Some(false), ..cooldown() };
        assert!(!read(never, &settings).include_seen);
        let settings = Settings { seen_after_sessions: 3, ..settings };
        assert!(read(proto::Filters::default(), &settings).include_seen);
    }

    #[test]
    fn an_item_and_a_position_are_pinned_once() {
        let pin = |id: &str, position| proto::Pin { item_id: id.to_owned(), position };
        assert_eq!(pins(vec![pin("a", 0), pin("b", 4)], 5).unwrap().len(), 2);
        let twice = reasons(pins(vec![pin("a", 0), pin("a", 0)], 5));
        assert_eq!(
            twice,
            ["pins[1].item_id must be pinned once", "pins[1].position must hold one item"]
        );
        assert_eq!(
            reasons(pins(vec![pin("a", 5)], 5)),
            ["pins[0].position must be less than 5, is 5"]
        );
    }

    #[test]
    fn a_boost_out_of_range_is_refused() {
        use proto::boost::Change as Message;
        let boost = |change| proto::Boost {
            target: Some(proto::boost::Target::Topic("t".to_owned())),
            change: Some(change),
        };
        assert!(boosts(vec![boost(Message::Add(-3.0)), boost(Message::Multiply(0.0))]).is_ok());
        for wrong in [Message::Add(f64::NAN), Message::Add(1_001.0), Message::Multiply(-0.1)] {
            assert!(boosts(vec![boost(wrong)]).is_err());
        }
        assert!(boosts(vec![boost(Message::Add(0.0)); limits::BOOSTS + 1]).is_err());
    }

    #[test]
    fn a_caller_has_one_order_its_own_or_the_popular_one() {
        let ids = || ["b", "a", "b"].map(str::to_owned).to_vec();
        let own = ["b", "a"].map(|id| ItemId::parse(id).unwrap()).to_vec();
        assert_eq!(baseline(ids(), false), Ok(Some(BaselineOrder::Items(own))));
        assert_eq!(baseline(Vec::new(), true), Ok(Some(BaselineOrder::Popular)));
        assert_eq!(baseline(Vec::new(), false), Ok(None));
        let refused = |found: Result<_, Vec<Violation>>| found.unwrap_err()[0].field.clone();
        assert_eq!(refused(baseline(ids(), true)), "baseline_popular");
        assert_eq!(refused(baseline(vec!["i".to_owned(); 1_001], false)), "baseline_item_ids");
        assert!(baseline(vec!["i".repeat(256); 256], false).is_ok());
        assert_eq!(refused(baseline(vec!["i".repeat(256); 257], false)), "baseline_item_ids");
    }
}
