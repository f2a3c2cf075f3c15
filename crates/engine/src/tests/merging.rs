//! Merges of users among all else: against a simple model, in batches and from snapshots.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::strategy::Strategy as _;

use crate::tests::*;

const IDS: usize = 12;

/// What one step does; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Event { user: usize, item: usize, kind: usize },
    Decide { user: usize },
    Reward { decision: usize, user: usize },
    Merge { from: usize, into: usize },
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let id = 0..IDS;
    let step = prop_oneof![
        6 => (id.clone(), 0..20_usize, 0..11_usize)
            .prop_map(|(user, item, kind)| Step::Event { user, item, kind }),
        2 => id.clone().prop_map(|user| Step::Decide { user }),
        3 => (0..40_usize, id.clone()).prop_map(|(decision, user)| Step::Reward { decision, user }),
        2 => (id.clone(), id).prop_map(|(from, into)| Step::Merge { from, into }),
    ];
    prop::collection::vec(step, 1..120)
}

/// Who is whom and how much each did.
#[derive(Debug, Default)]
struct Model {
    user_of: BTreeMap<usize, usize>,
    known: BTreeSet<usize>,
    counts: BTreeMap<usize, [u32; 11]>,
    /// Of each decision the user's id and whether it was rewarded.
    decisions: Vec<(usize, bool)>,
    rewards: u64,
}

impl Model {
    fn user(&self, id: usize) -> usize {
        self.user_of.get(&id).copied().unwrap_or(id)
    }

    fn count(&mut self, id: usize, kind: InteractionType) {
        let user = self.user(id);
        self.known.insert(user);
        if kind != InteractionType::Impression {
            self.counts.entry(user).or_default()[kind.index()] += 1;
        }
    }

    fn merge(&mut self, from: usize, into: usize) {
        let target = self.user(into);
        if self.user(from) != from || target == from {
            return;
        }
        for id in 0..IDS {
            if self.user(id) == from {
                self.user_of.insert(id, target);
            }
        }
        let moved = self.counts.remove(&from).unwrap_or_default();
        let own = self.counts.entry(target).or_default();
        own.iter_mut().zip(moved).for_each(|(own, moved)| *own += moved);
        self.known.remove(&from);
        self.known.insert(target);
    }
}

fn event(number: usize, user: usize, item: usize, kind: InteractionType) -> Interaction {
    Interaction {
        event_id: EventId::parse(format!("m{number}")).unwrap(),
        user_id: user_id(user),
        item_id: item_id(item),
        kind,
        value: kind.needs_value().then_some(4.0),
        occurred_at: Timestamp::from_seconds(1_700_000_000 + (number * 7_919 % 9_000) as i64),
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    }
}

/// The log of some steps and what must come of it.
fn played(steps: &[Step]) -> (Vec<LogRecord>, Model) {
    let (mut world, mut model) = (World::new(4), Model::default());
    world.catalogue();
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Event { user, item, kind } => {
                let kind = InteractionType::ALL[kind];
                model.count(user, kind);
                world.push(Record::Interaction(event(number, user, item, kind)));
            }
            Step::Decide { user } => {
                world.decision();
                let made = world.records.last_mut().unwrap();
                let Record::Decision(decision) = &mut made.record else { unreachable!() };
                (decision.user_id, decision.trial) = (user_id(user), None);
                model.decisions.push((user, false));
            }
            Step::Reward { decision, user } => {
                let Some(decision) = decision.checked_rem(model.decisions.len()) else { continue };
                let (id, _, shown) = &world.decisions[decision];
                let click = Interaction {
                    item_id: shown[0].clone(),
                    decision_id: Some(id.clone()),
                    ..event(number, user, 0, InteractionType::Click)
                };
                world.push(Record::Interaction(click));
                model.count(user, InteractionType::Click);
                let (of, rewarded) = model.decisions[decision];
                if !rewarded && model.user(of) == model.user(user) {
                    (model.decisions[decision].1, model.rewards) = (true, model.rewards + 1);
                }
            }
            Step::Merge { from, into } => {
                model.merge(from, into);
                world.push(Record::UsersMerged { from: user_id(from), into: user_id(into) });
            }
        }
    }
    (world.records, model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn after_any_merges_the_state_is_that_of_the_users_they_are(
        steps in steps(),
        cut in 0..120_usize,
    ) {
        let (records, model) = played(&steps);
        let engine = applied(&records);
        let view = engine.state();
        prop_assert_eq!(view.users_len(), model.known.len());
        prop_assert_eq!(view.ranker().shared().rewards, model.rewards);
        for id in 0..IDS {
            let user = model.user(id);
            let (own, of_user) = (user_id(id), user_id(user));
            prop_assert_eq!(view.aliases().resolve(own.as_str()), of_user.as_str());
            let index = view.user_index(own.as_str());
            prop_assert_eq!(index, view.user_index(of_user.as_str()));
            prop_assert_eq!(index.is_some(), model.known.contains(&user));
            let counts = index.map(|index| view.user(index).counts).unwrap_or_default();
            prop_assert_eq!(counts, model.counts.get(&user).copied().unwrap_or_default());
            // One chain of decisions for each user, the newest first.
            let key = view.user_key(own.as_str());
            let of_key = |decision: &usize| model.user(model.decisions[*decision].0) == user;
            let expected: Vec<u64> =
                (0..model.decisions.len()).rev().filter(of_key).map(|one| one as u64).collect();
            prop_assert_eq!(view.decision_numbers(key), expected);
        }
        let (head, tail) = records.split_at((ITEMS + cut).min(records.len()));
        let mut restored = Engine::restore(applied(head).view().sections()).unwrap();
        for batch in tail.chunks(7) {
            restored.apply(batch).unwrap();
            let _held = restored.view();
        }
        prop_assert_eq!(restored.state().digest(), view.digest());
        let again = Engine::restore(view.sections()).unwrap();
        prop_assert_eq!(again.state().digest(), view.digest());
    }
}

#[test]
fn of_two_decisions_of_one_id_the_newer_is_meant_also_after_a_merge_of_the_user_of_the_older() {
    let mut world = World::new(5);
    world.catalogue();
    for user in [1, 2] {
        world.decision();
        let made = world.records.last_mut().unwrap();
        let Record::Decision(decision) = &mut made.record else { unreachable!() };
        (decision.decision_id, decision.user_id) = (decision_id(0), user_id(user));
        decision.trial = None;
    }
    world.push(Record::UsersMerged { from: user_id(1), into: user_id(3) });
    let restored = Engine::restore(applied(&world.records).view().sections()).unwrap();
    let (_, _, shown) = &world.decisions[1];
    let click = Interaction {
        item_id: shown[0].clone(),
        decision_id: Some(decision_id(0)),
        ..event(0, 2, 0, InteractionType::Click)
    };
    let merged = applied(&world.records);
    world.push(Record::Interaction(click));
    for mut engine in [merged, restored] {
        engine.apply(&world.records[world.records.len() - 1..]).unwrap();
        assert_eq!(engine.state().ranker().shared().rewards, 1);
    }
}

#[test]
fn what_a_merged_user_had_of_forgotten_items_is_not_referred_to() {
    let settings = Settings { unknown_items_max: 10, ..Settings::default() };
    let mut world = World::new(6);
    world.push(Record::SettingsSet(SettingsChange { settings, replaces: 0 }));
    let like = |world: &mut World, number: usize, user: usize, item: usize| {
        world.push(Record::Interaction(event(number, user, item, InteractionType::Like)));
    };
    for number in 0..400 {
        like(&mut world, number, number % 40, number);
        if number % 5 == 4 {
            let (from, into) = (user_id(number % 40), user_id(40 + number % 3));
            world.push(Record::UsersMerged { from, into });
        }
    }
    let engine = applied(&world.records);
    let view = engine.state();
    assert!(view.items_len() < 100 && view.users_len() == 35, "{} users", view.users_len());
    // Slots of forgotten items are used again, so nobody may have one under another name.
    let mut had = BTreeMap::<&str, usize>::new();
    for user in view.users.states.iter() {
        for entry in user.history.entries() {
            *had.entry(view.item_id(entry.item).unwrap_or("forgotten")).or_default() += 1;
        }
    }
    had.remove("forgotten");
    assert!(had.values().all(|&users| users == 1), "each item was had once: {had:?}");
}
