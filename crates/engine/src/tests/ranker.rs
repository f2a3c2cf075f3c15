//! The ranker: scores on one scale, the influence of one user and of many, exploring without
//! rewards, features that come and go, numbers that are not finite.

use crate::bandit::RankerPrior;
use crate::bandit::Weight;
use crate::domain::DiversityMethod;
use crate::domain::FeatureLayout;
use crate::domain::RankerSettings;
use crate::features::hybrid_prior;
use crate::models::contexts::RequestValues;
use crate::models::hybrid::FeatureMatrix;
use crate::models::hybrid::Prior;
use crate::tests::*;

const READERS: usize = 250;
const BOOKS: usize = 200;
const TOPICS: usize = 10;
const CLICKS: usize = 5_000;
const LIST: usize = 10;

fn favours(reader: usize, book: usize) -> bool {
    let topic = book % TOPICS;
    topic == reader % TOPICS || topic == (reader * 3 + 1) % TOPICS
}

fn interaction(number: usize, user: &str, item: usize, kind: InteractionType) -> Interaction {
    Interaction {
        event_id: EventId::parse(format!("{user}/{number}")).unwrap(),
        user_id: UserId::parse(user).unwrap(),
        item_id: item_id(item),
        kind,
        value: None,
        occurred_at: Timestamp::from_seconds(1_700_000_000 + 60 * number as i64),
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    }
}

/// Readers who favour two topics each, with what they clicked on and nothing shown yet.
fn readers() -> Engine {
    let mut world = World::new(9);
    for number in 0..BOOKS {
        world.push(Record::ItemUpserted(Item {
            topics: vec![format!("topic-{}", number % TOPICS).into()],
            ..Item::new(item_id(number))
        }));
    }
    for number in 0..CLICKS {
        let reader = world.below(READERS);
        let book = loop {
            let book = world.below(BOOKS);
            if favours(reader, book) || world.below(40) == 0 {
                break book;
            }
        };
        let user = format!("person-{reader}");
        world.push(Record::Interaction(interaction(number, &user, book, InteractionType::Click)));
    }
    applied(&world.records)
}

/// What is ranked for a user among some books.
fn ranked(view: &View, user: &str, books: &[u32], strategy: Strategy, positions: usize) -> Ranked {
    let user = view.user_index(user).map(|user| view.user(user).as_ref());
    let context = UserContext::new(view, user);
    let candidates: Vec<_> =
        books.iter().map(|&book| Candidate::known(view, ItemIndex::new(book))).collect();
    let choice = Choice {
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
    };
    let now = view.clock();
    let request = RankRequest {
        user,
        context: &context,
        request_context: RequestContext {
            now,
            utc_offset_minutes: 0,
            device: None,
            values: RequestValues::NONE,
        },
        choice,
        boosts: &[],
        own_boosts: 0,
        pins: &[],
        earlier: Earlier::default(),
        baseline: None,
        ranked_by: crate::RankedBy::default(),
        rival: None,
        unlearnt_cost: 0.0,
        explain: true,
        deviations: true,
        decision_id: "decision",
        give_up: &GiveUp::never(),
    };
    rank(view, &candidates, &request).unwrap()
}

fn all_books() -> Vec<u32> {
    (0..BOOKS as u32).collect()
}

fn lists(view: &View, strategy: Strategy) -> Vec<Vec<usize>> {
    let list = |reader| {
        let ranked = ranked(view, &format!("person-{reader}"), &all_books(), strategy, LIST);
        ranked.items.iter().map(|item| item.candidate).collect()
    };
    (0..READERS).map(list).collect()
}

fn share_of_favourites(lists: &[Vec<usize>]) -> f64 {
    let of = |(reader, list): (usize, &Vec<usize>)| {
        list.iter().filter(|&&book| favours(reader, book)).count()
    };
    lists.iter().enumerate().map(of).sum::<usize>() as f64 / (READERS * LIST) as f64
}

fn append(engine: &mut Engine, record: Record) {
    let sequence = engine.state().watermark() + 1;
    let recorded_at = engine.state().clock();
    engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap();
}

/// A decision for a visitor: what the ranker would show.
fn decision(view: &View) -> Decision {
    let ranked = ranked(view, "visitor", &all_books(), Strategy::EpsilonGreedy, LIST);
    let shown = ranked.items.into_iter().map(|item| ShownItem {
        item_id: item_id(item.candidate),
        score: item.estimate as f32,
        propensity: item.propensity as f32,
        features: item.features,
    });
    Decision {
        decision_id: decision_id(0),
        user_id: UserId::parse("visitor").unwrap(),
        decided_at: view.clock(),
        strategy: Strategy::EpsilonGreedy,
        epsilon: 0.2,
        model_version: 0,
        watermark: view.watermark(),
        candidates: BOOKS as u32,
        segment: ranked.segment,
        layout: view.ranker().layout().clone(),
        shown: shown.collect(),
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
    }
}

/// Says what the visitor did with the shown items.
fn react(engine: &mut Engine, decision: &Decision, kind: InteractionType, shown: &[usize]) {
    for &at in shown {
        let event = Interaction {
            item_id: decision.shown[at].item_id.clone(),
            decision_id: Some(decision.decision_id.clone()),
            occurred_at: engine.state().clock(),
            ..interaction(at, "visitor", 0, kind)
        };
        append(engine, Record::Interaction(event));
    }
}

/// After 50,000 clicks ten impressions of one reader once left 7 % of the positions of others,
/// one HIDE none.
#[test]
fn an_unclicked_list_or_a_hide_of_one_reader_leaves_the_lists_of_others_as_they_were() {
    let engine = readers();
    let before = lists(engine.state(), Strategy::Greedy);
    let decision = decision(engine.state());
    for (kind, shown) in [
        (InteractionType::Impression, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..]),
        (InteractionType::Hide, &[4][..]),
    ] {
        let mut engine = engine.fork();
        append(&mut engine, Record::Decision(decision.clone()));
        react(&mut engine, &decision, kind, shown);
        assert!(engine.state().ranker().shared().impressions > 0);
        let after = lists(engine.state(), Strategy::Greedy);
        let pairs = before.iter().flatten().zip(after.iter().flatten());
        let same = pairs.filter(|(a, b)| a == b).count() as f64 / (READERS * LIST) as f64;
        let shares = [share_of_favourites(&before), share_of_favourites(&after)];
        // What is left is the shown items' own effects, among books of nearly equal scores.
        assert!(same >= 0.9 && shares[0] - shares[1] < 0.01, "{kind:?}: {same} {shares:?}");
    }
}

/// Normal enough.
fn noise(rng: &mut rand_chacha::ChaCha8Rng) -> f32 {
    ((0..12).map(|_| seed::unit(rng)).sum::<f64>() - 6.0) as f32
}

/// A thousand lists of ten.
#[test]
fn many_users_who_click_on_what_the_hybrid_puts_last_turn_the_order_within_a_thousand_lists() {
    let mut ranker = Ranker::default().aligned(ranker_prior());
    let mut rng = seed::stream(3, seed::Purpose::Choose, b"many");
    for _ in 0..10_000 {
        let mut vector: Vec<f32> = (0..RANKER_DIMENSION).map(|_| noise(&mut rng)).collect();
        vector[0] = 1.0;
        ranker.add_impression(1, &vector, Weight::FULL);
        if seed::unit(&mut rng) < 0.1 - 0.05 * f64::from(vector[1]) {
            ranker.change_reward(1, &vector, (0.0, 1.0), Weight::FULL);
        }
    }
    let mean = ranker.solve().mean;
    assert!(mean[1] < -0.02 && (mean[0] - 0.1).abs() < 0.02, "{mean:?}");
}

#[test]
fn exploring_before_any_reward_costs_next_to_nothing() {
    let engine = readers();
    let ndcg = |strategy| {
        let gain = |position: usize| 1.0 / (position as f64 + 2.0).log2();
        let of = |(reader, list): (usize, Vec<usize>)| -> f64 {
            let found = list.iter().enumerate().filter(|(_, book)| favours(reader, **book));
            found.map(|(position, _)| gain(position)).sum()
        };
        lists(engine.state(), strategy).into_iter().enumerate().map(of).sum::<f64>()
    };
    let greedy = ndcg(Strategy::Greedy);
    for strategy in [Strategy::Thompson, Strategy::LinUcb] {
        let share = ndcg(strategy) / greedy;
        assert!(share > 0.95, "{strategy:?}: {share} of greedy");
    }
}

#[test]
fn a_score_is_the_same_alone_and_among_others_and_its_parts_are_small() {
    let engine = readers();
    let view = engine.state();
    let among = |others: std::ops::Range<u32>| {
        let books: Vec<u32> = std::iter::once(7).chain(others).collect();
        let positions = books.len();
        let ranked = ranked(view, "person-7", &books, Strategy::Greedy, positions);
        ranked.items.into_iter().find(|item| item.candidate == 0).unwrap()
    };
    let alone = among(0..0);
    for others in [20..22, 50..150] {
        assert_eq!(among(others).score, alone.score);
    }
    let parts: f64 = alone.components.values().sum();
    assert!((parts - alone.score).abs() < 1e-9, "{alone:?}");
    assert!(alone.components.values().all(|part| part.abs() < 1.0), "{alone:?}");
}

fn without(feature: usize) -> (Prior, RankerPrior) {
    let (mut hybrid, mut ranker) = (hybrid_prior(), ranker_prior());
    let left = |layout: &FeatureLayout, at: usize| {
        let ids = layout.ids().iter().enumerate().filter(|(index, _)| *index != at);
        FeatureLayout::new(ids.map(|(_, id)| *id))
    };
    hybrid.layout = left(&hybrid.layout, feature);
    hybrid.scales.remove(feature);
    hybrid.weights.remove(feature);
    ranker.layout = left(&ranker.layout, 2 + feature);
    ranker.mean.remove(2 + feature);
    ranker.strength.remove(2 + feature);
    (hybrid, ranker)
}

#[test]
fn a_snapshot_of_an_engine_without_a_feature_keeps_what_it_learnt_of_the_others() {
    const NEW: usize = 3;
    let whole = applied(&World::history(5, 300));
    let mut older = whole.fork();
    let (hybrid, ranker) = without(NEW);
    let kept: Vec<Option<usize>> =
        (0..RANKER_DIMENSION).filter(|&at| at != 2 + NEW).map(Some).collect();
    for number in older.view.decisions.first()..older.view.decisions.end() {
        older.view.decisions.get_mut(number).unwrap().align(&kept);
    }
    older.view.hybrid = Arc::new(older.view.hybrid.aligned(&hybrid));
    older.view.ranker = Arc::new(older.view.ranker.aligned(ranker));
    let newer = Engine::restore(older.view.sections()).unwrap();
    let (before, after) = (whole.state(), newer.state());
    assert_eq!(after.ranker().layout(), before.ranker().layout());
    for (at, (old, new)) in
        before.hybrid().weights().iter().zip(after.hybrid().weights()).enumerate()
    {
        let expected = if at == NEW { FEATURES[NEW].prior_weight } else { *old };
        assert_eq!(*new, expected, "{}", FEATURES[at].name);
    }
    assert_eq!(after.ranker().shared().mass(), before.ranker().shared().mass());
    assert_eq!(after.belief().mean[2 + NEW], 0.0);
    let features = |view: &View| view.decisions.oldest().unwrap().vector(0).unwrap();
    let mut expected = features(before);
    expected[2 + NEW] = 0.0;
    assert_eq!(features(after), expected);
}

#[test]
fn a_decision_with_its_features_in_another_order_teaches_the_same() {
    let engine = readers();
    let straight = decision(engine.state());
    let mut reversed = straight.clone();
    reversed.layout = FeatureLayout::new(straight.layout.ids().iter().rev().copied());
    reversed.shown.iter_mut().for_each(|shown| shown.features.reverse());
    let learnt = |decision: &Decision| {
        let mut engine = engine.fork();
        append(&mut engine, Record::Decision(decision.clone()));
        react(&mut engine, decision, InteractionType::Click, &[2]);
        engine.state().ranker().clone()
    };
    assert_eq!(learnt(&reversed), learnt(&straight));
    let mut unknown = straight.clone();
    unknown.layout = FeatureLayout::default();
    assert_eq!(learnt(&unknown).shared().mass(), 0.0, "vectors of no layout teach nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_features_are_every_number_that_is_learnt_of_them_is_finite(
        bits in prop::collection::vec(any::<u32>(), 5 * FEATURE_COUNT),
        choices in 1..20_usize,
        reward in any::<u32>(),
    ) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let raw = FeatureMatrix::from_rows(values.chunks(FEATURE_COUNT));
        let mut hybrid = Hybrid::new(&hybrid_prior());
        (0..choices).for_each(|_| hybrid.learn_choice(&raw, &[0.0; 5], 1.0));
        let mut features = raw.clone();
        hybrid.scale().apply(&mut features);
        let mut ranker = Ranker::default().aligned(ranker_prior());
        for (row, score) in features.rows().zip(hybrid.scores(&hybrid.shaped(&features))) {
            let head = [1.0, hybrid.standardise(score)];
            let vector: Vec<f32> = head.iter().chain(row).copied().collect();
            prop_assert!(vector.iter().all(|value| value.abs() <= 8.0), "{:?}", vector);
            ranker.add_impression(0, &vector, Weight::FULL);
            ranker.change_reward(0, &vector, (0.0, f32::from_bits(reward)), Weight::FULL);
        }
        let belief = ranker.solve();
        let segment = ranker.solve_segment(0, &belief);
        let numbers = hybrid.weights().iter().chain(&belief.mean).chain(&segment.mean);
        let numbers = numbers.chain(&belief.standard_deviation).chain(&segment.standard_deviation);
        prop_assert!(numbers.clone().all(|number| number.is_finite()), "{:?}", hybrid.weights());
    }
}
