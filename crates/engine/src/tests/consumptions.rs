//! One use of an item counts once for everything that learns, however many events report it.

use std::sync::Arc;

use crate::domain::EventId;
use crate::domain::Interaction;
use crate::domain::InteractionContext;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::learning::sampling::choice_set;
use crate::*;

const START: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
const ITEMS: usize = 150;

/// A log of interactions with a catalogue of 150 items.
struct Log {
    engine: Engine,
    now: i64,
}

impl Log {
    fn new() -> Self {
        let mut log = Self { engine: Engine::new(Settings::default()), now: START };
        (0..ITEMS).for_each(|number| log.upsert(number, START - DAY));
        log
    }

    fn push(&mut self, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_seconds(self.now + 600);
        self.engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap();
    }

    fn upsert(&mut self, number: usize, published_at: i64) {
        self.push(Record::ItemUpserted(Item {
            topics: vec![format!("topic-{}", number % 5).into()],
            published_at: Some(Timestamp::from_seconds(published_at)),
            ..Item::new(ItemId::parse(format!("item-{number}")).unwrap())
        }));
    }

    fn event(&mut self, user: usize, item: usize, kind: InteractionType, at: i64) {
        let sequence = self.engine.state().watermark() + 1;
        self.push(Record::Interaction(Interaction {
            event_id: EventId::parse(format!("event-{sequence}")).unwrap(),
            user_id: UserId::parse(format!("user-{user}")).unwrap(),
            item_id: ItemId::parse(format!("item-{item}")).unwrap(),
            kind,
            value: kind.needs_value().then_some(30.0),
            occurred_at: Timestamp::from_seconds(at),
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        }));
    }

    /// 40 users read 8 items each, every one once, in an order that depends on the user.
    fn read(&mut self, report: fn(&mut Self, usize, usize)) {
        for round in 0..8 {
            for user in 0..40 {
                report(self, user, (user % 5 + 5 * (round * 3 + user / 5)) % ITEMS);
                self.now = START + (round * 40 + user) as i64 * 600;
            }
        }
    }

    fn view(&self) -> &View {
        self.engine.state()
    }

    fn user(&self, number: usize) -> &Arc<User> {
        let view = self.view();
        view.user(view.user_index(&format!("user-{number}")).unwrap())
    }

    fn item(&self, number: usize) -> ItemIndex {
        self.view().item_index(&format!("item-{number}")).unwrap()
    }
}

fn one_dwell(log: &mut Log, user: usize, item: usize) {
    log.event(user, item, InteractionType::Dwell, log.now);
}

fn heartbeats(log: &mut Log, user: usize, item: usize) {
    for minute in 0..4 {
        log.event(user, item, InteractionType::Dwell, log.now + 61 * minute);
    }
}

fn click_and_like(log: &mut Log, user: usize, item: usize) {
    log.event(user, item, InteractionType::Click, log.now);
    log.event(user, item, InteractionType::Like, log.now + 2);
}

fn only_a_like(log: &mut Log, user: usize, item: usize) {
    log.event(user, item, InteractionType::Like, log.now);
}

fn world(report: fn(&mut Log, usize, usize)) -> Log {
    let mut log = Log::new();
    log.read(report);
    log
}

/// Every consumption was a test, and no easier one: alternatives are drawn again, so that rates
/// differ by chance.
fn assert_is_as_hard(plain: &Log, chatty: &Log) {
    let [plain, chatty] = [plain, chatty].map(|log| log.view().prequential().figures());
    assert_eq!((plain.tests, chatty.tests), (320, 320));
    let difference = chatty.hit_rate_at_10 - plain.hit_rate_at_10;
    assert!(difference.abs() < 0.08, "{chatty:?} against {plain:?}");
}

#[test]
fn heartbeats_teach_what_one_event_does() {
    let (plain, chatty) = (world(one_dwell), world(heartbeats));
    let learnt = |log: &Log| {
        let view = log.view();
        let recent = view.recent_positives.clone();
        let rows: Vec<_> = view.items.cooccurrence.iter().cloned().collect();
        let popularity: Vec<_> =
            view.item_indices().take(ITEMS).map(|item| view.items.popularity.share(item)).collect();
        (view.counts().positives, view.counts().repeats, recent, rows, popularity)
    };
    assert_eq!(learnt(&plain), learnt(&chatty));
    assert_is_as_hard(&plain, &chatty);
    assert_eq!((chatty.view().counts().positives, chatty.view().counts().repeats), (320, 0));
    assert!(!chatty.view().recommends_seen());
}

#[test]
fn a_like_after_a_click_adds_the_difference_and_is_no_second_test() {
    let (plain, chatty) = (world(only_a_like), world(click_and_like));
    assert_eq!((chatty.view().counts().positives, chatty.view().counts().repeats), (320, 0));
    assert_is_as_hard(&plain, &chatty);
    for item in 0..ITEMS {
        let share = |log: &Log| log.view().items.popularity.share(log.item(item));
        assert!((share(&plain) - share(&chatty)).abs() < 1e-4, "item {item}");
    }
    let user = chatty.user(3);
    assert_eq!(user.history.entries().len(), 8);
    assert!(user.history.entries().iter().all(|entry| entry.sessions() == 1 && entry.net() == 2.0));
}

#[test]
fn users_who_come_back_on_other_days_get_items_again() {
    let mut log = Log::new();
    for day in 0..8 {
        for user in 0..40 {
            log.now = START + day * DAY + user as i64 * 60;
            heartbeats(&mut log, user, user % 7);
        }
    }
    assert_eq!((log.view().counts().positives, log.view().counts().repeats), (320, 280));
    assert!(log.view().recommends_seen());
    assert_eq!(log.user(3).history.find(log.item(3)).map(Consumption::sessions), Some(8));
}

#[test]
fn an_impression_leaves_the_user_as_it_was() {
    let mut log = world(one_dwell);
    let (before, count) = (log.user(4).clone(), log.view().counts().interactions);
    log.event(4, 9, InteractionType::Impression, log.now);
    assert!(Arc::ptr_eq(&before, log.user(4)), "nothing was copied");
    assert_eq!(log.view().counts().interactions, count + 1);
    let user = log.view().user_index("user-4").unwrap();
    let impressions = log.view().impressions(user).unwrap();
    let at = Timestamp::from_seconds(log.now);
    assert_eq!((impressions.events(), impressions.between()), (1, Some((at, at))));
    let held = log.engine.view();
    log.event(4, 9, InteractionType::Click, log.now + 5);
    assert!(log.user(4).changed_at > before.changed_at);
    let history = held.user(user).history.clone();
    log.event(4, 9, InteractionType::Impression, log.now + 6);
    assert_eq!(history, before.history, "who holds a view sees what was");
}

#[test]
fn only_what_can_be_shown_is_a_test_or_an_alternative() {
    let mut log = world(one_dwell);
    let tests = |log: &Log| log.view().prequential().considered;
    let before = tests(&log);
    // Not in the catalogue, not published yet, hidden.
    log.event(1, 900, InteractionType::Click, log.now);
    log.upsert(901, log.now + DAY);
    log.event(1, 901, InteractionType::Click, log.now);
    log.event(1, 140, InteractionType::Hide, log.now);
    log.event(1, 140, InteractionType::Click, log.now + 300);
    assert_eq!(tests(&log), before);
    log.event(1, 141, InteractionType::Click, log.now);
    assert_eq!(tests(&log), before + 1);
    for number in 1_000..1_300 {
        log.event(2, number, InteractionType::Click, log.now);
    }
    let view = log.view();
    let in_catalogue = |&item: &ItemIndex| view.entry(item).item.is_some();
    assert!(view.recent_positives.items().iter().all(in_catalogue));
    let never = [900, 901, 140].map(|number| log.item(number));
    for sequence in 0..20 {
        let now = Timestamp::from_seconds(log.now);
        let choice = choice_set(view, log.user(1), log.item(5), now, sequence);
        assert!(choice.items.len() > 60, "{}", choice.items.len());
        assert!(choice.items.iter().all(|item| !never.contains(item)));
        assert!(choice.items.iter().all(in_catalogue));
        assert!(choice.offsets.iter().all(|offset| offset.is_finite()));
    }
}

#[test]
fn what_comes_late_goes_with_what_was_had_before_it() {
    let mut log = Log::new();
    log.now = START + 40 * DAY;
    for item in 0..3 {
        log.event(1, item, InteractionType::Like, START + item as i64 * DAY);
    }
    for item in 20..23 {
        log.event(1, item, InteractionType::Like, START + (10 + item as i64) * DAY);
    }
    log.event(1, 50, InteractionType::Like, START + 5 * DAY);
    let together =
        |a: usize, b: usize| log.view().items.cooccurrence[log.item(a)].stored(log.item(b)) > 0.0;
    assert!(together(50, 0) && together(50, 2), "of the days before");
    assert!(!together(50, 20) && !together(50, 22), "of the days after");
    let order: Vec<_> = log.user(1).history.entries().iter().map(|entry| entry.item).collect();
    assert_eq!(order, [0, 1, 2, 50, 20, 21, 22].map(|number| log.item(number)));
}

#[test]
fn a_skip_neither_erases_a_purchase_nor_lowers_its_topic_below_the_others() {
    let mut log = Log::new();
    log.event(1, 7, InteractionType::Purchase, START);
    log.event(1, 8, InteractionType::Click, START + 60);
    log.now = START + DAY;
    log.event(1, 7, InteractionType::Skip, START + DAY);
    let user = log.user(1);
    let positives: Vec<_> = user.history.positives().map(|entry| entry.item).collect();
    assert_eq!(positives, [log.item(8), log.item(7)], "neither erased nor the newest");
    let topic = |name| user.topics.stored(log.view().topics.find(name).unwrap());
    assert!(topic("topic-2") > topic("topic-3"), "the purchase counts for more than the click");
}

#[test]
fn a_restored_state_folds_on_as_the_one_it_was_made_of() {
    let mut log = world(click_and_like);
    log.event(3, 40, InteractionType::Hide, log.now);
    log.event(3, 41, InteractionType::Impression, log.now);
    let engine = Engine::restore(log.view().sections()).unwrap();
    let mut restored = Log { engine, now: log.now };
    assert_eq!(restored.view().digest(), log.view().digest());
    for one in [&mut log, &mut restored] {
        one.now += 3 * DAY;
        heartbeats(one, 3, 40);
        heartbeats(one, 3, 3);
    }
    assert_eq!(restored.view().digest(), log.view().digest());
    assert!(restored.user(3).history.find(restored.item(40)).is_some_and(Consumption::is_hidden));
}
