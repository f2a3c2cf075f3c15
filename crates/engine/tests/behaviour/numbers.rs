//! Numbers: whatever times, values and settings clients send, every number stays finite and
//! later events still teach.

use proptest::prelude::*;

use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Settings;
use crate::harness::Timestamp;
use crate::harness::World;
use crate::harness::everything_is_finite;
use crate::harness::quick_settings;
use crate::harness::share_in;

/// 1970, where clients without a clock are.
const EPOCH: Timestamp = Timestamp::from_seconds(0);

#[test]
fn an_event_of_1970_on_a_published_item_does_not_end_all_learning() {
    let settings = Settings { popularity_half_life_hours: 24.0, ..quick_settings() };
    let mut planted = Planted::checkerboard(World::with(settings), 40, 100);
    // Items of ten topics, every other pair of which says when it was published.
    let at = planted.world.in_hours(-100.0);
    for (number, item) in planted.items.clone().iter().enumerate() {
        let item = Described::new(item).topic(&format!("topic-{}", number / 10));
        let is_dated = number / 2 % 2 == 0;
        planted.world.add(if is_dated { item.published(at) } else { item });
    }
    planted.world.click("user-0", "item-0");
    planted.world.happens(Event::of("user-1", "item-1", Kind::Like).at(EPOCH));
    planted.world.like("user-1", "item-3");
    let weights = planted.world.weights();
    planted.browse(14, 1.0);
    everything_is_finite(&planted.world, &["user-0", "user-1", "stranger"]).unwrap();
    assert_ne!(planted.world.weights(), weights, "the weights are frozen");
    let share = planted.share_of_favourites(10);
    assert!(share >= 0.85, "{share:.3} of the first ten are of the own colour");
}

#[test]
fn an_event_of_1970_leaves_the_lists_of_others_as_they_were() {
    let mut planted = Planted::topics(World::new(), 20, 100, 5);
    planted.browse(8, 0.9);
    let before = planted.world.best("user-3", 10);
    planted.world.happens(Event::of("user-1", "item-1", Kind::Like).at(EPOCH));
    let after = planted.world.best("user-3", 10);
    let share = share_in(&after, &before);
    assert!(share >= 0.9, "{share} of {before:?} is left in {after:?}");
}

/// One thing that happens in a hostile world.
#[derive(Debug, Clone)]
enum Deed {
    Interacts { user: usize, item: usize, kind: Kind, value: f32, at: Timestamp },
    Describes { item: usize, published: Timestamp, embedding: f32 },
    Sets(Box<Settings>),
    IsAnswered { user: usize, reacts: Kind },
    Passes { hours: f64 },
    Trains,
}

fn instant() -> impl Strategy<Value = Timestamp> {
    let beginning = World::new().now();
    prop_oneof![
        Just(EPOCH),
        Just(Timestamp::from_seconds(1)),
        Just(Timestamp::from_seconds(1_000_000_000)),
        (-2_000.0..24.0_f64).prop_map(
            move |hours| beginning.plus_millis((hours * Timestamp::HOUR_MS as f64) as i64)
        ),
    ]
}

fn published() -> impl Strategy<Value = Timestamp> {
    // The year 9999, too: a catalogue may say anything.
    prop_oneof![instant(), Just(Timestamp::from_seconds(253_402_300_799))]
}

fn value() -> impl Strategy<Value = f32> {
    prop::sample::select(vec![0.0, 1e-38, 1e-3, 1.0, 5.0, 30.0, 1e6, 1e9])
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

/// One of the ends of what settings may be, or the default.
fn settings() -> impl Strategy<Value = Settings> {
    let hours = || prop::sample::select(vec![0.1_f32, 24.0, 1e6]);
    let share = || prop::sample::select(vec![0.0_f32, 0.5, 1.0]);
    let confidence = prop::sample::select(vec![-100.0_f32, -1e-6, 0.0, 1e-6, 100.0]);
    let times = (hours(), hours(), hours(), hours(), hours());
    let shares = (share(), share(), share(), share());
    (times, shares, kind(), confidence, prop::sample::select(vec![0.0_f32, 1.0, 10.0])).prop_map(
        |(hours, shares, kind, confidence, scale)| {
            let defaults = quick_settings();
            let mut ranker = defaults.ranker;
            ranker.exploration_scale = scale;
            ranker.square_cb_gamma = scale * 1e4;
            ranker.examination_decay = Some(scale);
            Settings {
                popularity_half_life_hours: hours.0,
                trend_half_life_hours: hours.1,
                profile_half_life_hours: hours.2,
                cooccurrence_half_life_hours: hours.3,
                freshness_half_life_hours: hours.4,
                diversity_weight: shares.0,
                novelty_weight: shares.1,
                serendipity_weight: shares.2,
                new_item_share: shares.3 / 2.0,
                exploration_bonus: scale,
                confidences: defaults.confidences.with(kind, confidence),
                ranker,
                ..defaults
            }
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    let (user, item) = (0..6_usize, 0..30_usize);
    let interacts = (user.clone(), item.clone(), kind(), value(), instant());
    let describes = (item, published(), prop::sample::select(vec![0.0, 1e-30, 1.0, 1e30]));
    prop_oneof![
        12 => interacts.prop_map(|(user, item, kind, value, at)| {
            Deed::Interacts { user, item, kind, value, at }
        }),
        2 => describes.prop_map(|(item, published, embedding)| {
            Deed::Describes { item, published, embedding }
        }),
        1 => settings().prop_map(|settings| Deed::Sets(Box::new(settings))),
        3 => (user, kind()).prop_map(|(user, reacts)| Deed::IsAnswered { user, reacts }),
        2 => prop::sample::select(vec![0.0, 1.0, 100.0, 24.0 * 300.0])
            .prop_map(|hours| Deed::Passes { hours }),
        1 => Just(Deed::Trains),
    ]
}

fn describe(world: &mut World, item: usize, published: Timestamp, embedding: f32) {
    let dimension = world.settings().embedding_dimension as usize;
    let vector = if embedding == 0.0 { Vec::new() } else { vec![embedding; dimension] };
    let (id, topic) = (format!("item-{item}"), format!("topic-{}", item % 3));
    world.add(Described::new(&id).topic(&topic).published(published).embedded(vector));
}

fn act(world: &mut World, deed: &Deed) {
    match deed {
        Deed::Interacts { user, item, kind, value, at } => {
            let event = Event::of(&format!("user-{user}"), &format!("item-{item}"), *kind);
            world.happens(event.value(*value).at(*at));
        }
        Deed::Describes { item, published, embedding } => {
            describe(world, *item, *published, *embedding);
        }
        Deed::Sets(settings) => world.set(settings.as_ref().clone()),
        Deed::IsAnswered { user, reacts } => {
            let ask = crate::harness::Ask::of(&format!("user-{user}"), 5);
            let answer = world.decide(ask.strategy(crate::harness::Strategy::Thompson));
            if let Some(item) = answer.items().first() {
                let event = Event::of(&answer.user, item, *reacts).to(&answer).value(1e9);
                world.happens(event);
            }
        }
        Deed::Passes { hours } => world.pass_hours(*hours),
        Deed::Trains => drop(world.train()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn hostile_times_values_and_settings_leave_every_number_finite_and_likes_still_teach(
        deeds in prop::collection::vec(deed(), 20..120),
    ) {
        let settings = Settings { embedding_dimension: 4, ..quick_settings() };
        let mut world = World::with(settings.clone());
        let at = world.now();
        (0..30).for_each(|item| describe(&mut world, item, at, 0.0));
        for deed in &deeds {
            act(&mut world, deed);
        }
        let users = ["user-0", "user-1", "stranger"];
        everything_is_finite(&world, &users).map_err(TestCaseError::fail)?;
        everything_is_finite(&world.restored(), &users).map_err(TestCaseError::fail)?;
        world.set(settings);
        let weights = world.weights();
        for round in 0..8 {
            world.like(&format!("later-{}", round % 2), &format!("item-{}", round * 3));
            world.pass_hours(1.0);
        }
        everything_is_finite(&world, &users).map_err(TestCaseError::fail)?;
        prop_assert_ne!(world.weights(), weights, "likes teach nothing any more");
    }
}
