//! An item is allowed exactly when no rule excludes it; and each rule.

use std::sync::Arc;

use proptest::prelude::*;

use crate::Engine;
use crate::columns::index::ItemIndex;
use crate::consumption::Evidence;
use crate::consumption::History;
use crate::consumption::User;
use crate::domain::InteractionType;
use crate::domain::ItemId;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::Settings;
use crate::retrieval::eligibility::*;

const FIRST: ItemIndex = ItemIndex::new(0);

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

fn entry(topic: &str, source: &str, published_hours_ago: i64) -> Entry {
    let item = Item {
        topics: vec![topic.into()],
        source: Some(source.into()),
        published_at: Some(Timestamp::from_seconds(1_000_000 - published_hours_ago * 3_600)),
        ..Item::new(ItemId::parse("a").unwrap())
    };
    Entry { item: Some(Arc::new(item)), ..Entry::default() }
}

/// The context of a user who had item 0 `times` times, the last time an hour ago.
fn had(view: &View, times: u16) -> UserContext {
    let mut history = History::default();
    for number in (0..i64::from(times)).rev() {
        let at = Timestamp::from_seconds(1_000_000 - 3_600 - number * 86_400);
        let event = Evidence { kind: InteractionType::Click, confidence: 0.0, at };
        history.put(history.folded(FIRST, &event, 4 * 3_600).0);
    }
    let user = User { history: Arc::new(history), ..User::default() };
    UserContext::new(view, Some(&user))
}

fn filter() -> impl Strategy<Value = Filter> {
    let label = |name: &'static str, other: &'static str| {
        prop_oneof![Just(vec![]), Just(vec![name.into()]), Just(vec![other.into()])]
    };
    (
        label("jazz", "metal"),
        label("blue", "iron"),
        label("a", "b"),
        prop::option::of(0_i64..48),
        any::<bool>(),
        prop_oneof![Just(0.0_f32), Just(0.5), Just(5.0)],
        0_u32..4,
        0_u32..3,
    )
        .prop_map(|(topics, sources, exclude, hours, include_seen, cooldown, after, cap)| {
            Filter {
                topics,
                sources,
                exclude,
                published_after: hours.map(|h| Timestamp::from_seconds(1_000_000 - h * 3_600)),
                include_seen,
                seen_cooldown_hours: cooldown,
                seen_after_sessions: after,
                frequency_cap_per_day: cap,
                ..Filter::default()
            }
        })
}

/// An engine that has item "a" at the first index.
fn with_the_item() -> Engine {
    let mut engine = Engine::new(Settings::default());
    let record = Record::ItemUpserted(Item::new(ItemId::parse("a").unwrap()));
    engine.apply(&[LogRecord { sequence: 1, recorded_at: NOW, record }]).unwrap();
    engine
}

proptest! {
    #[test]
    fn an_item_is_allowed_exactly_when_no_rule_excludes_it(
        filter in filter(),
        times in 0_u16..4,
        shown in 0_usize..3,
        known in any::<bool>(),
    ) {
        let engine = with_the_item();
        let view = engine.state();
        let context = had(view, times);
        let shown = vec![Box::from("a"); shown];
        let eligible = Eligibility::new(view, &filter, "", &context, NOW, &shown);
        let (entry, index) = (entry("jazz", "blue", 24), known.then_some(FIRST));
        let exclusions = eligible.exclusions(&entry, index);
        prop_assert_eq!(eligible.allows(&entry, index), exclusions.is_empty());
        prop_assert_eq!(exclusions.contains(&Exclusion::Topics), filter.topics.iter().any(|one| **one == *"metal"));
        let seen = known && times > 0 && !filter.include_seen;
        prop_assert_eq!(exclusions.contains(&Exclusion::Seen), seen);
        prop_assert!(!eligible.allows(&Entry::default(), index));
    }
}

#[test]
fn every_rule_that_excludes_an_item_is_named() {
    let engine = with_the_item();
    let view = engine.state();
    let context = had(view, 2);
    let filter = Filter {
        topics: vec!["metal".into()],
        exclude: vec!["a".into()],
        seen_cooldown_hours: 2.0,
        seen_after_sessions: 2,
        frequency_cap_per_day: 1,
        ..Filter::default()
    };
    let eligible = Eligibility::new(view, &filter, "", &context, NOW, &["a".into()]);
    let expected = [
        Exclusion::Topics,
        Exclusion::Listed,
        Exclusion::Seen,
        Exclusion::SeenCooldown,
        Exclusion::SeenAfterSessions,
        Exclusion::FrequencyCap,
    ];
    assert_eq!(eligible.exclusions(&entry("jazz", "blue", 1), Some(FIRST)), expected);
    let none = eligible.exclusions(&Entry::default(), Some(FIRST));
    assert_eq!(none, [Exclusion::NotInCatalogue]);
}
