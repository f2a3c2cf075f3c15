//! What is said about a list: parts that add up, causes, ranks, what to ask about.

use proptest::strategy::Strategy as Generator;

use crate::domain::DiversityMethod;
use crate::domain::RankerSettings;
use crate::domain::ScoreChange;
use crate::models::contexts::RequestValues;
use crate::tests::*;

/// A world with a published model.
fn trained(records: Vec<LogRecord>) -> Engine {
    let mut engine = applied(&records);
    let settings = Settings { collaborative_factors: 16, ..Settings::default() };
    let publish = |engine: &mut Engine, record| {
        let sequence = engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_seconds(1_700_100_000);
        engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap();
    };
    let settings = SettingsChange { settings, replaces: 0 };
    publish(&mut engine, Record::SettingsSet(settings));
    let model = train(engine.state(), Effort::Search, &mut |_| ControlFlow::Continue(())).unwrap();
    publish(&mut engine, Record::ModelPublished(model));
    engine
}

fn choice(strategy: Strategy, positions: usize) -> Choice {
    Choice {
        strategy,
        epsilon: 0.2,
        exploring: Exploring::of(&RankerSettings::default()),
        method: DiversityMethod::None,
        diversity_weight: 0.0,
        serendipity_weight: 0.0,
        novelty_weight: 0.0,
        topic_threshold: 0.0,
        source_threshold: 0.0,
        max_per_topic: 0,
        max_per_source: 0,
        positions,
    }
}

fn boost() -> impl Generator<Value = Boost> {
    let target = prop_oneof![
        Just(Target::Topic("drama".into())),
        Just(Target::Source("b".into())),
        (0..ITEMS).prop_map(|n| Target::Item(item_id(n).as_str().into())),
    ];
    let change = prop_oneof![
        (-1.0..1.0_f64).prop_map(ScoreChange::Add),
        (0.0..3.0_f64).prop_map(ScoreChange::Multiply),
    ];
    (target, change).prop_map(|(target, change)| Boost { target, change })
}

/// Looks at the ranking of all items for a user.
fn ranked<T>(
    view: &View,
    user: UserIndex,
    boosts: &[Boost],
    choice: Choice,
    look: impl FnOnce(&[Candidate<'_>], &RankRequest<'_>, Ranked) -> T,
) -> T {
    let user = view.user(user);
    let context = UserContext::new(view, Some(user));
    let candidates: Vec<_> =
        view.item_indices().take(ITEMS).map(|item| Candidate::known(view, item)).collect();
    let request = RankRequest {
        user: Some(user),
        context: &context,
        request_context: RequestContext {
            // A day after the items appeared: they are new.
            now: Timestamp::from_seconds(1_690_086_400),
            utc_offset_minutes: 0,
            device: view.device_index("phone"),
            values: RequestValues::NONE,
        },
        choice,
        boosts,
        own_boosts: 0,
        pins: &[],
        earlier: Earlier::default(),
        baseline: None,
        ranked_by: crate::RankedBy::default(),
        rival: None,
        unlearnt_cost: 0.0,
        explain: true,
        deviations: false,
        decision_id: "decision",
        give_up: &GiveUp::never(),
    };
    let ranked = rank(view, &candidates, &request).unwrap();
    look(&candidates, &request, ranked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn components_add_up_to_the_score_and_reasons_are_components(
        seed in 0..8_u64,
        user in (0..10_u32).prop_map(UserIndex::new),
        boosts in prop::collection::vec(boost(), 0..5),
        explores in any::<bool>(),
    ) {
        let engine = trained(World::history(seed, 300));
        let view = engine.state();
        let strategy = if explores { Strategy::EpsilonGreedy } else { Strategy::Greedy };
        ranked(view, user, &boosts, choice(strategy, 20), |_, _, ranked| {
            prop_assert_eq!(ranked.items.len(), 20);
            for item in &ranked.items {
                let sum: f64 = item.components.values().sum();
                prop_assert!((sum - item.score).abs() < 1e-9 * (1.0 + item.score.abs()));
                for reason in &item.reasons {
                    let part = reason.component.map_or(0.0, |name| item.components[name]);
                    prop_assert_eq!(reason.contribution, part);
                    let had = |item| view.user(user).history.find(item).is_some();
                    prop_assert!(reason.item.is_none_or(had), "{:?}", reason);
                }
            }
            let bonus = |item: &RankedItem| item.components.contains_key("exploration_bonus");
            prop_assert_eq!(ranked.items.iter().any(bonus), explores);
            Ok(())
        })?;
    }
}

#[test]
fn a_rank_is_the_position_and_score_that_the_list_goes_by() {
    let engine = trained(World::history(5, 400));
    let boosts = [Boost { target: Target::Topic("drama".into()), change: ScoreChange::Add(0.01) }];
    ranked(
        engine.state(),
        UserIndex::new(3),
        &boosts,
        choice(Strategy::Greedy, ITEMS),
        |candidates, request, list| {
            assert_eq!(list.items.len(), ITEMS);
            for (position, item) in list.items.iter().enumerate() {
                let candidate_rank =
                    candidate_rank(engine.state(), candidates, request, item.candidate).unwrap();
                assert_eq!((candidate_rank.rank, candidate_rank.score), (position, item.score));
                assert_eq!(candidate_rank.components, item.components);
            }
        },
    );
}

#[test]
fn what_others_of_the_same_taste_do_names_an_item_of_that_taste_as_cause() {
    let mut world = World::new(12);
    world.catalogue();
    for _ in 0..1_500 {
        world.interaction();
    }
    let engine = trained(world.records);
    let view = engine.state();
    let user = view.user_index("person-4").unwrap();
    let causes = ranked(view, user, &[], choice(Strategy::Greedy, 10), |_, _, list| {
        let reasons = list.items.into_iter().flat_map(|item| item.reasons);
        let kinds = [ReasonKind::SharedTaste, ReasonKind::ConsumedTogether];
        let shared = reasons.filter(|reason| kinds.contains(&reason.kind));
        shared.filter_map(|reason| reason.item).collect::<Vec<ItemIndex>>()
    });
    assert!(!causes.is_empty());
    let own = causes.iter().filter(|item| item.get().is_multiple_of(2)).count();
    assert!(own * 2 > causes.len(), "{causes:?}");
}

const TASTES: usize = 4;

/// Users of four tastes; only who likes an item tells of its taste.
fn tastes() -> Vec<LogRecord> {
    let mut world = World::new(4);
    let each = 8;
    for number in 0..TASTES * each {
        world.push(Record::ItemUpserted(Item::new(item_id(number))));
    }
    for (user, n) in (0..80).flat_map(|user| (0..5).map(move |n| (user, n))) {
        let number = user % TASTES + TASTES * ((user / TASTES + n * 3) % each);
        let event_id = EventId::parse(format!("{user}/{n}")).unwrap();
        world.push(Record::Interaction(Interaction {
            event_id,
            user_id: user_id(user),
            item_id: item_id(number),
            kind: InteractionType::Like,
            value: None,
            occurred_at: Timestamp::from_seconds(1_700_000_000 + (n * 80 + user) as i64),
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        }));
    }
    world.records
}

fn asked(view: &View, n: usize) -> Vec<OnboardingItem> {
    let (filter, context) = (Filter::default(), UserContext::default());
    let eligible = Eligibility::new(view, &filter, "", &context, view.clock(), &[]);
    onboarding_items(view, &eligible, n)
}

#[test]
fn the_first_questions_split_the_tastes_and_the_same_is_not_asked_twice() {
    let engine = trained(tastes());
    let view = engine.state();
    let picked = asked(view, 6);
    // Who is of none of three tastes is of the fourth.
    let first = picked[..TASTES - 1].iter().map(|item| item.index.as_usize() % TASTES);
    assert_eq!(first.collect::<std::collections::BTreeSet<_>>().len(), TASTES - 1, "{picked:?}");
    let items: std::collections::BTreeSet<ItemIndex> =
        picked.iter().map(|item| item.index).collect();
    assert_eq!(items.len(), 6);
    assert!(picked.iter().all(|item| item.gain > 0.0 && item.familiarity > 0.0), "{picked:?}");
    assert!(picked[0].gain > picked[5].gain);
    assert_eq!(asked(view, 6), picked, "a function of the view");
}

#[test]
fn without_a_model_the_questions_are_popular_items_of_different_topics() {
    let engine = applied(&World::history(3, 150)[..130]);
    let view = engine.state();
    assert_eq!(view.model_version(), 0);
    let picked = asked(view, 4);
    let topic = |item: &OnboardingItem| view.entry(item.index).topics[0];
    assert_ne!(topic(&picked[0]), topic(&picked[1]));
    assert!(picked.iter().all(|item| item.gain == 0.0));
    assert!(picked[0].familiarity >= picked[3].familiarity);
}
