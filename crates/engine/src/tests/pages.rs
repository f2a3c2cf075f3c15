//! The pages of a list, as the state knows them.

use crate::tests::*;

/// A page of two items for a user, after another page.
fn page(number: usize, user: &str, before: Option<(usize, Option<ListOrigin>)>) -> Decision {
    let shown = (0..2).map(|position| ShownItem {
        item_id: item_id(2 * number + position),
        score: 0.5,
        propensity: 0.4,
        features: vec![0.1; RANKER_DIMENSION],
    });
    Decision {
        decision_id: decision_id(number),
        user_id: UserId::parse(user).unwrap(),
        decided_at: Timestamp::from_seconds(1_700_000_000 + number as i64),
        strategy: Strategy::Greedy,
        epsilon: 0.0,
        segment: 0,
        layout: ranker_prior().layout,
        model_version: 0,
        watermark: 1,
        candidates: 3,
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: before.map(|(before, origin)| {
            Box::new(Continues { decision_id: decision_id(before), origin })
        }),
        detail: None,
        shown: shown.collect(),
    }
}

fn up_to(
    engine: &Engine,
    user: &str,
    last: usize,
    made: &[Decision],
) -> Result<(Vec<usize>, Option<ListOrigin>), NotContinued> {
    let key_of = |decision: &Decision| decision_key(decision.decision_id.as_str());
    let page = |decision: &Decision| Arc::new(MadePage::of(decision));
    let made = |key: u128| made.iter().find(|one| key_of(one) == key).map(page);
    let key = decision_key(decision_id(last).as_str());
    let pages = engine.state().pages_up_to(user, key, made)?;
    let number = |key: &u64| (0..1_000).find(|&item| name_key(item_id(item).as_str()) == *key);
    Ok((pages.items.iter().map(|key| number(key).unwrap()).collect(), pages.origin))
}

#[test]
fn a_list_is_known_page_by_page_learnt_or_made_a_moment_ago_and_after_a_restart() {
    let mut world = World::new(3);
    world.catalogue();
    world.push(Record::Decision(page(0, "ada", None)));
    world.push(Record::Decision(page(1, "ada", Some((0, None)))));
    let engine = applied(&world.records);
    assert_eq!(up_to(&engine, "ada", 1, &[]), Ok((vec![0, 1, 2, 3], None)));
    assert_eq!(up_to(&engine, "ada", 0, &[]), Ok((vec![0, 1], None)));
    let made = [page(2, "ada", Some((1, None)))];
    assert_eq!(up_to(&engine, "ada", 2, &made), Ok((vec![0, 1, 2, 3, 4, 5], None)));
    assert_eq!(up_to(&engine, "ada", 2, &[]), Err(NotContinued::Unknown));
    // A page before was lost.
    let broken = [page(5, "ada", Some((4, None)))];
    assert_eq!(up_to(&engine, "ada", 5, &broken), Err(NotContinued::Unknown));
    let restored = Engine::restore(engine.state().sections()).unwrap();
    assert_eq!(up_to(&restored, "ada", 1, &[]), Ok((vec![0, 1, 2, 3], None)));
    assert_eq!(restored.state().digest(), engine.state().digest());
}

#[test]
fn a_list_is_its_user_s_alone() {
    let mut world = World::new(3);
    world.push(Record::Decision(page(0, "ada", None)));
    let engine = applied(&world.records);
    assert_eq!(up_to(&engine, "bert", 0, &[]), Err(NotContinued::OtherUser));
    let made = [page(1, "bert", None), page(2, "bert", Some((0, None)))];
    assert_eq!(up_to(&engine, "ada", 1, &made), Err(NotContinued::OtherUser));
    assert_eq!(up_to(&engine, "bert", 2, &made), Err(NotContinued::OtherUser));
}

#[test]
fn a_list_made_a_moment_before_a_sign_in_goes_on_under_either_id_and_under_no_other() {
    let mut world = World::new(3);
    world.push(Record::Decision(page(0, "visit", None)));
    let made = [page(1, "visit", Some((0, None)))];
    assert_eq!(up_to(&applied(&world.records), "ada", 1, &made), Err(NotContinued::OtherUser));
    let [from, into] = ["visit", "ada"].map(|id| UserId::parse(id).unwrap());
    world.push(Record::UsersMerged { from, into });
    let engine = applied(&world.records);
    for user in ["visit", "ada"] {
        assert_eq!(up_to(&engine, user, 1, &made), Ok((vec![0, 1, 2, 3], None)), "{user}");
    }
    assert_eq!(up_to(&engine, "bert", 1, &made), Err(NotContinued::OtherUser));
}

#[test]
fn a_list_of_which_a_page_is_forgotten_is_not_continued() {
    let mut world = World::new(3);
    world.push(Record::Decision(page(0, "ada", None)));
    world.push(Record::Decision(page(1, "ada", Some((0, None)))));
    let mut engine = applied(&world.records);
    let late = LogRecord {
        sequence: 3,
        recorded_at: Timestamp::from_seconds(1_700_000_000 + 24 * 3_600 + 1),
        record: Record::ItemDeleted(item_id(0)),
    };
    engine.apply(&[late]).unwrap();
    assert_eq!(up_to(&engine, "ada", 1, &[]), Err(NotContinued::Unknown));
}

#[test]
fn later_pages_keep_the_origin_of_the_first_and_teach_the_trial_nothing() {
    let mut world = World::new(3);
    world.catalogue();
    let mut first = page(0, "ada", None);
    first.trial = Some(Box::new(TakeoverTrial { origin: ListOrigin::Baseline, ..world.trial() }));
    world.push(Record::Decision(first));
    let origin = Some(ListOrigin::Baseline);
    world.push(Record::Decision(page(1, "ada", Some((0, origin)))));
    let mut event = |number: usize, item: usize| {
        world.push(Record::Interaction(Interaction {
            event_id: EventId::parse(format!("reaction-{item}")).unwrap(),
            user_id: UserId::parse("ada").unwrap(),
            item_id: item_id(item),
            kind: InteractionType::Like,
            value: None,
            occurred_at: Timestamp::from_seconds(1_700_000_100),
            session_id: None,
            decision_id: Some(decision_id(number)),
            position: None,
            context: InteractionContext::default(),
        }));
    };
    event(1, 2);
    event(1, 3);
    let engine = applied(&world.records);
    assert_eq!(up_to(&engine, "ada", 1, &[]), Ok((vec![0, 1, 2, 3], origin)));
    let view = engine.state();
    assert_eq!(view.takeover().trials, 1);
    assert_eq!(view.takeover().outcomes.map(|one| one.shown), [0, 1, 0]);
    // The ranker learns from them, and none of it is a draw of its own.
    assert_eq!(view.ranker().shared().rewards, 2);
    assert_eq!(view.ranker().examination, Default::default());
    let mut own = world.records.clone();
    own.truncate(own.len() - 3);
    own.push(LogRecord {
        record: Record::Decision(page(1, "ada", Some((0, Some(ListOrigin::Ranker))))),
        ..world.records[world.records.len() - 3].clone()
    });
    assert_ne!(applied(&own).state().ranker().examination, Default::default());
}
