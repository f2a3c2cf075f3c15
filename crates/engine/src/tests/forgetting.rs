//! What is forgotten where there is more than the budgets allow, and that nothing else is.

use crate::tests::*;

const BUDGET: u32 = 200;
/// Distinct ids that only events name: many times the budget.
const FLOOD: usize = 4_000;

fn small() -> Settings {
    Settings { users_max: BUDGET, unknown_items_max: BUDGET, ..Settings::default() }
}

fn event(number: usize, user: &str, item: &str, topic: &str) -> Record {
    Record::Interaction(Interaction {
        event_id: EventId::parse(format!("f{number}")).unwrap(),
        user_id: UserId::parse(user).unwrap(),
        item_id: ItemId::parse(item).unwrap(),
        kind: InteractionType::Like,
        value: None,
        occurred_at: Timestamp::from_seconds(1_700_000_000 + number as i64),
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext {
            topics: vec![topic.into()],
            source: Some(topic.into()),
            device_type: Some(topic.into()),
            ..InteractionContext::default()
        },
    })
}

/// A catalogue with its users, then a flood of ids that are named once, between likes of the users.
fn flooded() -> Vec<LogRecord> {
    let mut world = World::new(5);
    world.push(Record::SettingsSet(SettingsChange { settings: small(), replaces: 0 }));
    world.catalogue();
    for number in 0..FLOOD {
        let user = format!("person-{}", number % 30);
        let film = format!("film-{}", number % 2 + 2 * (number / 2 % 20));
        world.push(event(3 * number, &user, &film, "comedy"));
        let (once, topic) = (format!("once-{number}"), format!("topic-{}", number % 700));
        world.push(event(3 * number + 1, &once, &format!("film-{}", number % 40), "drama"));
        world.push(event(3 * number + 2, &user, &once, &topic));
    }
    world.records
}

#[test]
fn a_flood_of_ids_that_are_named_once_leaves_the_state_bounded_and_keeps_the_known() {
    let engine = applied(&flooded());
    let view = engine.state();
    assert!(view.users_len() <= BUDGET as usize, "{} users", view.users_len());
    // Besides those of the budget there are slots that wait for the sweep.
    let slots = ITEMS + 3 * BUDGET as usize;
    assert!(view.items_len() <= slots, "{} slots of items", view.items_len());
    for number in 0..30 {
        let user = view.user(view.user_index(&format!("person-{number}")).expect("it is active"));
        let films = user
            .history
            .entries()
            .iter()
            .filter(|entry| view.item_id(entry.item).is_some_and(|id| id.starts_with("film-")));
        assert!(films.count() >= 4, "person-{number} keeps what it had");
    }
    assert!((0..ITEMS).all(|number| view.catalogue_item(item_id(number).as_str()).is_some()));
    assert!(view.user_index(&format!("once-{}", FLOOD - 1)).is_some(), "the newest has its chance");
    assert!(view.user_index("once-0").is_none());
}

#[test]
fn a_slot_that_is_used_again_says_nothing_of_the_item_before() {
    let engine = applied(&flooded());
    let view = engine.state();
    // Every item that only events know was named once, by one user, at the end of the log.
    for index in view.item_indices() {
        let Some(id) = view.item_id(index).filter(|id| id.starts_with("once-")) else {
            continue;
        };
        let number: usize = id["once-".len()..].parse().unwrap();
        let had_by = |user: &&std::sync::Arc<User>| user.history.find(index).is_some();
        let users: Vec<_> = view.users.states.iter().filter(had_by).collect();
        let own = view.user(view.user_index(&format!("person-{}", number % 30)).unwrap());
        assert!(users.len() <= 1, "{} users have {id}", users.len());
        assert!(users.iter().all(|user| std::sync::Arc::ptr_eq(user, own)), "{id}");
        assert!(view.entry(index).item.is_none());
    }
}

#[test]
fn what_is_forgotten_is_the_same_in_batches_and_after_a_snapshot() {
    let records = flooded();
    let whole = applied(&records).state().digest();
    let mut engine = Engine::new(Settings::default());
    for (number, batch) in records.chunks(777).enumerate() {
        engine.apply(batch).unwrap();
        if number % 3 == 0 {
            engine = Engine::restore(engine.view().sections()).unwrap();
        }
    }
    assert_eq!(engine.state().digest(), whole);
}
