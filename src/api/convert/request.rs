//! The parts of a Personalize request, each on its own and all together.
//!
//! Paths start at the request (`context.timestamp`, `diversity.method`).

use std::collections::HashSet;
use std::sync::Arc;

use super::attributes::attributes;
use super::item::item;
use super::keys::item_id;
use super::keys::user_id;
use super::rules::baseline;
use super::rules::boosts;
use super::rules::check_cost;
use super::rules::choice;
use super::rules::filter;
use super::rules::frequency_cap;
use super::rules::pins;
use super::scalars::bounded;
use super::scalars::each;
use super::scalars::each_message;
use super::scalars::merge;
use super::scalars::optional_label;
use super::scalars::optional_language;
use super::scalars::timestamp_near;
use super::scalars::utc_offset;
use super::scalars::variant;
use crate::proto;
use crate::service::Candidates;
use crate::service::PersonalizeCall;
use crate::service::RequestRecord;
use engine::Filter;
use engine::RankedBy;
use engine::domain::Attributes;
use engine::domain::DecisionId;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LanguageTag;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// The decision id of what is worked out for an explanation: always the same draws.
const UNRECORDED: &str = "explain";

/// When and where to rank.
struct Context {
    /// The time for which to recommend.
    now: Timestamp,
    utc_offset_minutes: i32,
    device_type: Option<Box<str>>,
    location: Option<Box<str>>,
    attributes: Attributes,
    language: Option<LanguageTag>,
}

/// The call behind a request, with what it is read with: the settings of the view that its
/// namespace and watermark lead to, the clock, and the id of its decision.
///
/// # Errors
/// Every field that breaks the contract, but for the namespace.
pub fn personalize(
    message: proto::PersonalizeRequest,
    settings: &Settings,
    now: Timestamp,
    decision_id: DecisionId,
) -> Result<PersonalizeCall, Vec<Violation>> {
    let mut violations = Violations::default();
    let dimension = settings.embedding_dimension as usize;
    let user_id = merge(&mut violations, user_id(&message.user_id));
    let given = candidates(message.candidates, message.candidate_ids, dimension);
    let candidates = merge(&mut violations, given);
    let candidates = candidates
        .map(|given| Candidates { retrieve: given.retrieve || message.retrieve, ..given });
    let context = merge(&mut violations, read_context(message.context, now));
    let (diversity, max_results) = (message.diversity, message.max_results);
    let choice = choice(diversity, max_results, message.strategy, message.exploration, settings);
    let choice = merge(&mut violations, choice);
    let cap = frequency_cap(message.frequency_cap_per_day, settings);
    let cap = violations.take("frequency_cap_per_day", cap);
    let filter = merge(&mut violations, filter(message.filters, settings));
    let positions = choice.as_ref().map_or(limits::RESULTS, |choice| choice.positions);
    let pins = merge(&mut violations, pins(message.pins, positions));
    let boosts = merge(&mut violations, boosts(message.boosts));
    let baseline =
        merge(&mut violations, baseline(message.baseline_item_ids, message.baseline_popular));
    let variant = violations.take("variant", variant(message.variant));
    let continue_from = violations.take("continue_from", decision_id_if_any(message.continue_from));
    let (Some(user_id), Some(candidates), Some(context)) = (user_id, candidates, context) else {
        return Err(violations.into_vec());
    };
    let (Some(choice), Some(filter), Some(cap)) = (choice, filter, cap) else {
        return Err(violations.into_vec());
    };
    let (Some(pins), Some(boosts), Some(baseline)) = (pins, boosts, baseline) else {
        return Err(violations.into_vec());
    };
    let (Some(variant), Some(continue_from)) = (variant, continue_from) else {
        return Err(violations.into_vec());
    };
    check_cost(&filter, &boosts)?;
    let Context { now, utc_offset_minutes, device_type, location, attributes, language } = context;
    Ok(PersonalizeCall {
        user_id,
        decision_id,
        continue_from,
        earlier: Arc::default(),
        candidates,
        filter: Filter { frequency_cap_per_day: cap, ..filter },
        choice,
        pins,
        boosts,
        now,
        utc_offset_minutes,
        device_type,
        location,
        attributes,
        language,
        baseline,
        explain: message.explain,
        assignments: Vec::new(),
        division: None,
        ranked_by: RankedBy::default(),
        variant,
        record: RequestRecord::default(),
    })
}

/// An id; empty means that there is none.
fn decision_id_if_any(text: String) -> Result<Option<DecisionId>, String> {
    if text.is_empty() { Ok(None) } else { DecisionId::parse(text).map(Some) }
}

/// What to rank; the catalogue is searched when nothing is given. Of candidates with one id the first stays, described ones before ids: an
/// item must not take two positions of an answer.
///
/// # Errors
/// Every violation of `candidates` and `candidate_ids`.
fn candidates(
    items: Vec<proto::Item>,
    ids: Vec<String>,
    embedding_dimension: usize,
) -> Result<Candidates, Vec<Violation>> {
    let field = if items.is_empty() { "candidate_ids" } else { "candidates" };
    let found = items.len() + ids.len();
    if found > limits::CANDIDATES {
        let reason =
            format!("must be at most {} candidates in all, are {found}", limits::CANDIDATES);
        return Err(vec![Violation::new(field, reason)]);
    }
    if found == 0 {
        return Ok(Candidates { items: Vec::new(), ids: Vec::new(), retrieve: true });
    }
    let described = items.iter().map(|item| &item.item_id);
    bounded(field, described.chain(&ids), limits::ID_LIST_BYTES)?;
    let mut violations = Violations::default();
    let items = each_message("candidates", items, |message| item(message, embedding_dimension));
    let items = merge(&mut violations, items).unwrap_or_default();
    let ids = merge(&mut violations, each("candidate_ids", ids, ItemId::parse)).unwrap_or_default();
    violations.finish(without_repetition(items, ids))
}

fn without_repetition(mut items: Vec<Item>, mut ids: Vec<ItemId>) -> Candidates {
    let mut seen = HashSet::with_capacity(items.len() + ids.len());
    let new_items: Vec<bool> =
        items.iter().map(|item| seen.insert(item.item_id.as_str())).collect();
    let new_ids: Vec<bool> = ids.iter().map(|id| seen.insert(id.as_str())).collect();
    keep(&mut items, &new_items);
    keep(&mut ids, &new_ids);
    Candidates { items: items.into_iter().map(Arc::new).collect(), ids, retrieve: false }
}

fn keep<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next() == Some(&true));
}

/// # Errors
/// Every field that breaks the contract, under `context`.
fn read_context(
    message: Option<proto::RequestContext>,
    now: Timestamp,
) -> Result<Context, Vec<Violation>> {
    let message = message.unwrap_or_default();
    let mut violations = Violations::default();
    let device_type = optional_label(message.device_type);
    let device_type = violations.take("context.device_type", device_type).flatten();
    let time = message.timestamp.map_or(Ok(now), |time| timestamp_near(time, now));
    let time = violations.take("context.timestamp", time).unwrap_or(now);
    let offset = utc_offset(message.utc_offset_minutes.unwrap_or_default());
    let utc_offset_minutes = violations.take("context.utc_offset_minutes", offset).unwrap_or(0);
    let location = optional_label(message.location);
    let location = violations.take("context.location", location).flatten();
    let attributes =
        violations.absorb("context", attributes(message.attributes)).unwrap_or_default();
    let language = optional_language(&message.language);
    let language = violations.take("context.language", language).flatten();
    let now = time;
    violations.finish(Context {
        now,
        utc_offset_minutes,
        device_type,
        location,
        attributes,
        language,
    })
}

/// The call of an ExplainAbsence request, without an order of the caller, and the item that
/// it asks about.
///
/// # Errors
/// Every field that breaks the contract; those of the embedded request under `request`.
pub fn absence(
    message: proto::ExplainAbsenceRequest,
    settings: &Settings,
    now: Timestamp,
) -> Result<(PersonalizeCall, ItemId), Vec<Violation>> {
    let mut violations = Violations::default();
    let id = DecisionId::parse(UNRECORDED.to_owned()).expect("a short text is an id");
    let call = personalize(message.request.unwrap_or_default(), settings, now, id);
    let call = violations.absorb("request", call);
    let item_id = merge(&mut violations, item_id(&message.item_id));
    match (call, item_id) {
        (Some(call), Some(item_id)) => Ok((PersonalizeCall { baseline: None, ..call }, item_id)),
        _ => Err(violations.into_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Choice;
    use engine::Exploring;
    use engine::domain::Strategy;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn fields<T: std::fmt::Debug>(checked: Result<T, Vec<Violation>>) -> Vec<String> {
        checked.unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    fn decision_id() -> DecisionId {
        DecisionId::parse("d").unwrap()
    }

    #[test]
    fn a_request_that_names_a_user_only_takes_the_settings_and_the_clock() {
        let message = proto::PersonalizeRequest { user_id: "u".to_owned(), ..Default::default() };
        let settings = Settings {
            strategy: Strategy::Greedy,
            epsilon: 0.1,
            diversity_weight: 0.7,
            topic_diversity_threshold: 0.3,
            recommend_seen: Some(true),
            ..Settings::default()
        };
        let read = personalize(message, &settings, NOW, decision_id()).unwrap();
        assert!(read.candidates.retrieve && read.candidates.items.is_empty());
        assert_eq!((read.now, read.utc_offset_minutes), (NOW, 0));
        assert_eq!(
            (&read.decision_id, &read.record),
            (&decision_id(), &RequestRecord::NotRequested)
        );
        let expected = Choice {
            strategy: Strategy::Greedy,
            epsilon: 0.1,
            exploring: Exploring { scale: 0.3, gamma: 10.0, floor: 0.01 },
            diversity_weight: 0.7,
            method: settings.diversity_method,
            serendipity_weight: 0.0,
            novelty_weight: 0.0,
            topic_threshold: 0.3,
            source_threshold: 0.0,
            max_per_topic: 0,
            max_per_source: 0,
            positions: limits::RESULTS_DEFAULT,
        };
        assert_eq!(read.choice, expected);
        assert!(read.filter.include_seen && read.filter.exclude.is_empty());
    }

    /// With something wrong in every part.
    fn wrong_everywhere() -> proto::PersonalizeRequest {
        proto::PersonalizeRequest {
            candidates: vec![proto::Item { source: "\n".to_owned(), ..Default::default() }],
            candidate_ids: vec!["i".to_owned(), String::new()],
            context: Some(proto::RequestContext {
                device_type: "\t".to_owned(),
                timestamp: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                utc_offset_minutes: Some(i32::MIN),
                location: "x".repeat(257),
                language: "klingon".to_owned(),
                attributes: Some(prost_types::Struct {
                    fields: [(String::new(), prost_types::Value::default())].into(),
                }),
            }),
            diversity: Some(proto::DiversityParams {
                enable_diversity: Some(false),
                topic_diversity_threshold: Some(1.5),
                source_diversity_threshold: Some(-0.5),
                diversity_weight: Some(f64::NAN),
                method: 9,
                serendipity_weight: Some(-1.0),
                novelty_weight: Some(2.0),
                max_per_topic: Some(501),
                max_per_source: Some(501),
            }),
            max_results: 501,
            frequency_cap_per_day: Some(1_001),
            pins: vec![proto::Pin { item_id: String::new(), position: 900 }],
            boosts: vec![proto::Boost::default()],
            baseline_item_ids: vec!["i".to_owned(), String::new()],
            filters: Some(proto::Filters {
                topics: vec![String::new()],
                sources: vec!["x".repeat(257)],
                exclude_item_ids: vec!["\0".to_owned()],
                published_after: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
                expression: "price <".to_owned(),
                seen_cooldown: Some(prost_types::Duration { seconds: 0, nanos: -1 }),
                seen_after_sessions: Some(65_536),
                ..Default::default()
            }),
            strategy: 7,
            exploration: Some(proto::ExplorationParams {
                epsilon: Some(1.5),
                exploration_scale: Some(f64::NAN),
                square_cb_gamma: Some(-1.0),
                propensity_floor: Some(0.0),
            }),
            variant: "x".repeat(65),
            continue_from: "x".repeat(257),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_wrong_in_any_part_of_a_request_is_named_at_once() {
        let expected = [
            "user_id",
            "candidates[0].item_id",
            "candidates[0].source",
            "candidate_ids[1]",
            "context.device_type",
            "context.timestamp",
            "context.utc_offset_minutes",
            "context.location",
            r#"context.attributes[""]"#,
            "context.language",
            "diversity.topic_diversity_threshold",
            "diversity.source_diversity_threshold",
            "diversity.diversity_weight",
            "diversity.serendipity_weight",
            "diversity.novelty_weight",
            "diversity.max_per_topic",
            "diversity.max_per_source",
            "diversity.method",
            "max_results",
            "strategy",
            "exploration.epsilon",
            "exploration.exploration_scale",
            "exploration.square_cb_gamma",
            "exploration.propensity_floor",
            "frequency_cap_per_day",
            "filters.topics[0]",
            "filters.sources[0]",
            "filters.exclude_item_ids[0]",
            "filters.published_after",
            "filters.expression",
            "filters.seen_cooldown",
            "filters.seen_after_sessions",
            "pins[0].item_id",
            "pins[0].position",
            "boosts[0].target",
            "boosts[0].change",
            "baseline_item_ids[1]",
            "variant",
            "continue_from",
        ];
        let read = personalize(wrong_everywhere(), &Settings::default(), NOW, decision_id());
        assert_eq!(fields(read), expected);
    }

    #[test]
    fn the_offset_from_utc_spans_fourteen_hours_either_way() {
        for (offset, accepted) in [(840, true), (-840, true), (841, false), (-841, false)] {
            let context =
                proto::RequestContext { utc_offset_minutes: Some(offset), ..Default::default() };
            assert_eq!(read_context(Some(context), NOW).is_ok(), accepted, "{offset}");
        }
    }

    #[test]
    fn diversity_switched_off_leaves_the_length_only() {
        let diversity = proto::DiversityParams {
            enable_diversity: Some(false),
            topic_diversity_threshold: Some(0.9),
            ..Default::default()
        };
        let read = choice(Some(diversity), 7, 0, None, &Settings::default()).unwrap();
        assert_eq!(
            (read.diversity_weight, read.topic_threshold, read.source_threshold),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(read.positions, 7);
    }

    #[test]
    fn a_strategy_of_the_request_goes_before_the_setting_and_unspecified_does_not() {
        let chosen = |code| choice(None, 0, code, None, &Settings::default()).unwrap().strategy;
        assert_eq!(chosen(1), Strategy::Greedy);
        assert_eq!(chosen(0), Settings::default().strategy);
    }

    #[test]
    fn a_thousand_candidates_in_all_are_accepted_and_one_more_is_refused() {
        let item = |n: usize| proto::Item { item_id: format!("c{n}"), ..Default::default() };
        let split = |items: usize, ids: usize| {
            let ids = (0..ids).map(|n| n.to_string()).collect();
            candidates((0..items).map(item).collect(), ids, 3)
        };
        assert!(split(400, 600).is_ok());
        assert_eq!(fields(split(400, 601)), ["candidates"]);
        assert_eq!(fields(split(0, 1_001)), ["candidate_ids"]);
    }

    #[test]
    fn ids_of_candidates_are_bounded_in_bytes_together() {
        let id = |n: usize| format!("{n:0>128}");
        let split = |items: usize, ids: usize| {
            let item = |n| proto::Item { item_id: id(n), ..Default::default() };
            candidates((0..items).map(item).collect(), (items..items + ids).map(id).collect(), 3)
        };
        assert!(split(212, 300).is_ok());
        assert_eq!(fields(split(213, 300)), ["candidates"]);
        assert_eq!(fields(split(0, 513)), ["candidate_ids"]);
    }

    #[test]
    fn an_item_is_a_candidate_once() {
        let titled = |id: &str, title: &str| proto::Item {
            item_id: id.to_owned(),
            title: title.to_owned(),
            ..Default::default()
        };
        let items = vec![titled("a", "first"), titled("a", "second"), titled("b", "")];
        let ids = ["c", "b", "c", "d"].map(str::to_owned).to_vec();
        let Candidates { items, ids, retrieve } = candidates(items, ids, 3).unwrap();
        assert!(!retrieve);
        let titles: Vec<_> = items.iter().map(|item| item.title.as_str()).collect();
        let ids: Vec<_> = ids.iter().map(ItemId::as_str).collect();
        assert_eq!((titles, ids), (vec!["first", ""], vec!["c", "d"]));
    }

    #[test]
    fn ids_left_out_are_sorted_by_their_bytes() {
        let filters = proto::Filters {
            exclude_item_ids: ["b", "ä", "a", "b"].map(str::to_owned).to_vec(),
            include_seen: Some(true),
            ..Default::default()
        };
        let read = filter(Some(filters), &Settings::default()).unwrap();
        assert_eq!(read.exclude, ["a", "b", "ä"].map(Box::<str>::from));
        assert!(read.include_seen);
    }

    #[test]
    fn filters_are_bounded_in_all() {
        let filters = proto::Filters {
            topics: vec!["t".to_owned(); limits::FILTER_VALUES],
            sources: vec!["s".to_owned()],
            ..Default::default()
        };
        assert_eq!(fields(filter(Some(filters), &Settings::default())), ["filters"]);
        let values = |count| proto::Filters {
            topics: vec!["t".repeat(128); 512],
            exclude_item_ids: vec!["i".repeat(256); count],
            ..Default::default()
        };
        assert!(filter(Some(values(256)), &Settings::default()).is_ok());
        assert_eq!(fields(filter(Some(values(257)), &Settings::default())), ["filters"]);
    }
}
