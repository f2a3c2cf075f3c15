//! The parts of a Personalize request, each on its own and all together.
//!
//! Paths start at the request (`context.timestamp`, `diversity.max_results`).

use std::collections::HashSet;

use super::attributes::attributes;
use super::item::item;
use super::keys::item_id;
use super::keys::length;
use super::keys::user_id;
use super::rules::baseline;
use super::rules::boosts;
use super::rules::check_cost;
use super::rules::choice;
use super::rules::filter;
use super::rules::frequency_cap;
use super::rules::pins;
use super::scalars::each;
use super::scalars::each_message;
use super::scalars::merge;
use super::scalars::optional_label;
use super::scalars::timestamp_near;
use super::scalars::utc_offset;
use super::scalars::variant;
use crate::proto;
use crate::service::PinnedItem;
use engine::Boost;
use engine::Choice;
use engine::Filter;
use engine::domain::BaselineOrder;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// A Personalize request without its namespace and watermark, which decide the
/// settings it is read with.
#[derive(Debug, Clone)]
pub struct Personalize {
    pub user_id: UserId,
    pub candidates: Candidates,
    pub context: RequestContext,
    pub choice: Choice,
    pub filter: Filter,
    pub pins: Vec<PinnedItem>,
    pub boosts: Vec<Boost>,
    /// No item twice.
    pub baseline: Option<BaselineOrder>,
    pub explain: bool,
    pub variant: Option<Box<str>>,
}

/// Whom to rank for, when and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    pub device_type: Option<Box<str>>,
    /// The time for which to recommend.
    pub now: Timestamp,
    pub utc_offset_minutes: i32,
    pub location: Option<Box<str>>,
}

/// What to rank, no item twice. Both empty: what the catalogue has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// Described in the request.
    pub items: Vec<Item>,
    /// In the catalogue, or unknown.
    pub ids: Vec<ItemId>,
}

/// # Errors
/// Every field that breaks the contract, but for the namespace.
pub fn personalize(
    message: proto::PersonalizeRequest,
    settings: &Settings,
    now: Timestamp,
) -> Result<Personalize, Vec<Violation>> {
    let mut violations = Violations::default();
    let dimension = settings.embedding_dimension as usize;
    let user_id = merge(&mut violations, user_id(&message.user_id));
    let candidates = candidates(message.candidates, message.candidate_ids, dimension);
    let candidates = merge(&mut violations, candidates);
    let context = merge(&mut violations, request_context(message.context, now));
    let choice = choice(message.diversity, message.strategy, message.exploration, settings);
    let choice = merge(&mut violations, choice);
    let cap = frequency_cap(message.frequency_cap_per_day, settings);
    let cap = violations.take("frequency_cap_per_day", cap);
    let filter = merge(&mut violations, filter(message.filters, settings));
    let places = choice.as_ref().map_or(limits::RESULTS, |choice| choice.places);
    let pins = merge(&mut violations, pins(message.pins, places));
    let boosts = merge(&mut violations, boosts(message.boosts));
    let baseline =
        merge(&mut violations, baseline(message.baseline_item_ids, message.baseline_popular));
    let variant = violations.take("variant", variant(message.variant));
    let (Some(user_id), Some(candidates), Some(context)) = (user_id, candidates, context) else {
        return Err(violations.into_vec());
    };
    let (Some(choice), Some(filter), Some(cap)) = (choice, filter, cap) else {
        return Err(violations.into_vec());
    };
    let (Some(pins), Some(boosts), Some(baseline), Some(variant)) =
        (pins, boosts, baseline, variant)
    else {
        return Err(violations.into_vec());
    };
    check_cost(&filter, &boosts)?;
    let filter = Filter { frequency_cap_per_day: cap, ..filter };
    let explain = message.explain;
    Ok(Personalize {
        user_id,
        candidates,
        context,
        choice,
        filter,
        pins,
        boosts,
        baseline,
        explain,
        variant,
    })
}

/// Of candidates with one id the first stays, described ones before ids: an item must
/// not take two places of an answer.
///
/// # Errors
/// Every violation of `candidates` and `candidate_ids`.
fn candidates(
    items: Vec<proto::Item>,
    ids: Vec<String>,
    embedding_dimension: usize,
) -> Result<Candidates, Vec<Violation>> {
    let found = items.len() + ids.len();
    if found > limits::CANDIDATES {
        let field = if items.is_empty() { "candidate_ids" } else { "candidates" };
        let reason =
            format!("must be at most {} candidates in all, are {found}", limits::CANDIDATES);
        return Err(vec![Violation::new(field, reason)]);
    }
    let mut violations = Violations::default();
    let items = each_message("candidates", items, |message| item(message, embedding_dimension));
    let items = merge(&mut violations, items).unwrap_or_default();
    let ids = merge(&mut violations, each("candidate_ids", ids, ItemId::parse)).unwrap_or_default();
    violations.finish(Candidates { items, ids }.without_repetition())
}

impl Candidates {
    fn without_repetition(mut self) -> Self {
        let mut seen = HashSet::with_capacity(self.items.len() + self.ids.len());
        let new_items: Vec<bool> =
            self.items.iter().map(|item| seen.insert(item.item_id.as_str())).collect();
        let new_ids: Vec<bool> = self.ids.iter().map(|id| seen.insert(id.as_str())).collect();
        keep(&mut self.items, &new_items);
        keep(&mut self.ids, &new_ids);
        self
    }
}

fn keep<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next() == Some(&true));
}

/// Attributes are checked although nothing reads them yet, so that
/// callers who send them are not refused once something does.
///
/// # Errors
/// Every field that breaks the contract, under `context`.
fn request_context(
    message: Option<proto::RequestContext>,
    now: Timestamp,
) -> Result<RequestContext, Vec<Violation>> {
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
    violations.absorb("context", attributes(message.attributes));
    violations.finish(RequestContext { device_type, now: time, utc_offset_minutes, location })
}

/// An ExplainAbsence request.
///
/// # Errors
/// Every field that breaks the contract; those of the embedded request under `request`.
pub fn absence(
    message: proto::ExplainAbsenceRequest,
    settings: &Settings,
    now: Timestamp,
) -> Result<(Personalize, ItemId), Vec<Violation>> {
    let mut violations = Violations::default();
    let request = personalize(message.request.unwrap_or_default(), settings, now);
    let request = violations.absorb("request", request);
    let item_id = merge(&mut violations, item_id(&message.item_id));
    match (request, item_id) {
        (Some(request), Some(item_id)) => Ok((request, item_id)),
        _ => Err(violations.into_vec()),
    }
}

/// The filter and the length of an answer of OnboardingItems.
///
/// # Errors
/// Every violation of `filters` and `max_results`.
pub fn onboarding(
    message: proto::OnboardingItemsRequest,
    settings: &Settings,
) -> Result<(Filter, usize), Vec<Violation>> {
    let mut violations = Violations::default();
    let filter = merge(&mut violations, filter(message.filters, settings));
    let items = length(message.max_results, limits::ONBOARDING_DEFAULT, limits::ONBOARDING);
    let items = violations.take("max_results", items);
    match (filter, items) {
        (Some(filter), Some(items)) => check_cost(&filter, &[]).map(|()| (filter, items)),
        _ => Err(violations.into_vec()),
    }
}

/// The length of an answer of SimilarItems; 0 means the default.
///
/// # Errors
/// A violation of `max_results`.
pub fn results(max_results: u32) -> Result<usize, Vec<Violation>> {
    length(max_results, limits::RESULTS_DEFAULT, limits::RESULTS)
        .map_err(|reason| vec![Violation::new("max_results", reason)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Exploring;
    use engine::domain::Strategy;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn fields<T: std::fmt::Debug>(checked: Result<T, Vec<Violation>>) -> Vec<String> {
        checked.unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    fn diversity(params: proto::DiversityParams) -> Result<Choice, Vec<Violation>> {
        choice(Some(params), None, None, &Settings::default())
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
        let read = personalize(message, &settings, NOW).unwrap();
        assert_eq!(read.candidates, Candidates::default());
        assert_eq!(read.context.now, NOW);
        assert_eq!(read.context.utc_offset_minutes, 0);
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
            places: limits::RESULTS_DEFAULT,
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
                attributes: Some(prost_types::Struct {
                    fields: [(String::new(), prost_types::Value::default())].into(),
                }),
            }),
            diversity: Some(proto::DiversityParams {
                enable_diversity: Some(false),
                topic_diversity_threshold: Some(1.5),
                source_diversity_threshold: Some(-0.5),
                diversity_weight: Some(f32::NAN),
                method: Some(9),
                serendipity_weight: Some(-1.0),
                novelty_weight: Some(2.0),
                max_per_topic: Some(501),
                max_per_source: Some(501),
                max_results: 501,
            }),
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
                seen_cooldown_hours: Some(f32::NAN),
                seen_after_interactions: Some(65_536),
                ..Default::default()
            }),
            strategy: Some(7),
            exploration: Some(proto::ExplorationParams {
                epsilon: Some(1.5),
                exploration_scale: Some(f32::NAN),
                square_cb_gamma: Some(-1.0),
                propensity_floor: Some(0.0),
            }),
            variant: "x".repeat(65),
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
            "diversity.topic_diversity_threshold",
            "diversity.source_diversity_threshold",
            "diversity.diversity_weight",
            "diversity.serendipity_weight",
            "diversity.novelty_weight",
            "diversity.max_per_topic",
            "diversity.max_per_source",
            "diversity.method",
            "diversity.max_results",
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
            "filters.seen_cooldown_hours",
            "filters.seen_after_interactions",
            "pins[0].item_id",
            "pins[0].position",
            "boosts[0].target",
            "boosts[0].change",
            "baseline_item_ids[1]",
            "variant",
        ];
        assert_eq!(fields(personalize(wrong_everywhere(), &Settings::default(), NOW)), expected);
    }

    #[test]
    fn the_offset_from_utc_spans_fourteen_hours_either_way() {
        for (offset, accepted) in [(840, true), (-840, true), (841, false), (-841, false)] {
            let context =
                proto::RequestContext { utc_offset_minutes: Some(offset), ..Default::default() };
            assert_eq!(request_context(Some(context), NOW).is_ok(), accepted, "{offset}");
        }
    }

    #[test]
    fn diversity_switched_off_leaves_the_length_only() {
        let read = diversity(proto::DiversityParams {
            enable_diversity: Some(false),
            topic_diversity_threshold: Some(0.9),
            max_results: 7,
            ..Default::default()
        });
        let read = read.unwrap();
        assert_eq!(
            (read.diversity_weight, read.topic_threshold, read.source_threshold),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(read.places, 7);
    }

    #[test]
    fn a_strategy_of_the_request_goes_before_the_setting_and_unspecified_does_not() {
        let chosen = |code| choice(None, Some(code), None, &Settings::default()).unwrap().strategy;
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
    fn an_item_is_a_candidate_once() {
        let titled = |id: &str, title: &str| proto::Item {
            item_id: id.to_owned(),
            title: title.to_owned(),
            ..Default::default()
        };
        let items = vec![titled("a", "first"), titled("a", "second"), titled("b", "")];
        let ids = ["c", "b", "c", "d"].map(str::to_owned).to_vec();
        let read = candidates(items, ids, 3).unwrap();
        let titles: Vec<_> = read.items.iter().map(|item| item.title.as_str()).collect();
        let ids: Vec<_> = read.ids.iter().map(ItemId::as_str).collect();
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
    }

    #[test]
    fn the_length_of_a_list_of_similar_items_has_a_default_and_a_bound() {
        assert_eq!(results(0), Ok(limits::RESULTS_DEFAULT));
        assert_eq!(results(500), Ok(500));
        assert_eq!(fields(results(501)), ["max_results"]);
    }
}
