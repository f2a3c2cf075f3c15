//! Invalid times and changed half-lives leave decayed quantities as they are.

use proptest::prelude::*;

use crate::domain::Attributes;
use crate::domain::EventId;
use crate::domain::Interaction;
use crate::domain::InteractionContext;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::Settings;
use crate::domain::SettingsChange;
use crate::domain::Timestamp;
use crate::features::describe_raw;
use crate::tests::item_id;
use crate::tests::user_id;
use crate::*;

const START: i64 = 1_700_000_000;

fn days(days: i64) -> Timestamp {
    Timestamp::from_seconds(START + days * 86_400)
}

/// An engine with a catalogue of ten items of two topics, published at the start.
struct Site {
    engine: Engine,
    sequence: u64,
}

impl Site {
    fn new(settings: Settings) -> Self {
        let mut site = Self { engine: Engine::new(settings), sequence: 0 };
        for number in 0..10 {
            let item = Record::ItemUpserted(Item {
                title: format!("Item {number}"),
                topics: vec![if number % 2 == 0 { "even" } else { "odd" }.into()],
                source: Some("house".into()),
                published_at: Some(days(0)),
                ..Item::new(item_id(number))
            });
            site.apply(item, days(0));
        }
        site
    }

    fn apply(&mut self, record: Record, recorded_at: Timestamp) {
        self.sequence += 1;
        let record = LogRecord { sequence: self.sequence, recorded_at, record };
        self.engine.apply(&[record]).unwrap();
    }

    fn set(&mut self, settings: Settings, recorded_at: Timestamp) {
        let replaces = self.engine.state().settings_at();
        self.apply(Record::SettingsSet(SettingsChange { settings, replaces }), recorded_at);
    }

    /// Recorded at the moment it happens.
    fn act(&mut self, user: usize, item: usize, kind: InteractionType, at: Timestamp) {
        let event_id = EventId::parse(format!("e{}", self.sequence)).unwrap();
        let interaction = Interaction {
            event_id,
            user_id: user_id(user),
            item_id: item_id(item),
            kind,
            value: kind.needs_value().then_some(4.0),
            occurred_at: at,
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext {
                device_type: Some("phone".into()),
                location: Some("Kiel".into()),
                ..InteractionContext::default()
            },
        };
        self.apply(Record::Interaction(interaction), at);
    }

    fn like(&mut self, user: usize, item: usize, at: Timestamp) {
        self.act(user, item, InteractionType::Like, at);
    }

    fn index(&self, item: usize) -> ItemIndex {
        self.engine.state().item_index(item_id(item).as_str()).unwrap()
    }

    /// The features of an item for a user as of the clock.
    fn features(&self, user: usize, item: usize) -> Vec<f32> {
        let view = self.engine.state();
        let user = view.user_index(user_id(user).as_str()).map(|user| view.user(user).as_ref());
        let now = view.clock();
        let device = view.device_index("phone");
        let values = view.context_values(Some("Kiel"), &Attributes::default());
        let request_context = RequestContext { now, utc_offset_minutes: 0, device, values };
        let candidate = [Candidate::known(view, self.index(item))];
        let context = UserContext::new(view, user);
        describe_raw(view, user, &context, &request_context, &candidate).row(0).to_vec()
    }

    fn popularity(&self, item: usize) -> f32 {
        self.engine.state().popularity(self.index(item))
    }
}

/// Ten users who had five items each, over a week.
fn lived() -> Site {
    let mut site = Site::new(Settings::default());
    for event in 0..50 {
        site.like(event % 10, (event * 7 + event / 10) % 10, days(event as i64 / 7));
    }
    site
}

fn differ(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn an_event_of_1970_on_a_published_item_changes_no_feature_and_no_later_learning() {
    let mut site = Site::new(Settings { popularity_half_life_hours: 24.0, ..Settings::default() });
    site.like(0, 0, days(400));
    site.like(1, 0, Timestamp::default());
    site.like(2, 1, days(400));
    for user in 0..3 {
        for item in 0..3 {
            let features = site.features(user, item);
            assert!(features.iter().all(|value| value.is_finite()), "{features:?}");
        }
    }
    let before = site.popularity(2);
    (3..8).for_each(|user| site.like(user, 2, days(400)));
    assert!(site.popularity(2) > before + 5.0, "{before} {}", site.popularity(2));
    assert!(site.popularity(2) > site.popularity(0));
}

#[test]
fn one_leap_of_the_clock_ages_no_other_users_events() {
    let (mut still, mut leapt) = (lived(), lived());
    let at = days(8);
    still.like(11, 3, at);
    leapt.like(11, 3, days(408));
    for site in [&mut still, &mut leapt] {
        (12..16).for_each(|user| site.like(user, 4, at));
    }
    assert_eq!(leapt.engine.state().clock(), at);
    for item in 0..10 {
        let (a, b) = (still.features(0, item), leapt.features(0, item));
        assert!(differ(&a, &b) < 0.2, "{item}: {a:?} {b:?}");
        let (a, b) = (still.popularity(item), leapt.popularity(item));
        assert!((a / b - 1.0).abs() < 0.05, "{item}: {a} {b}");
    }
}

#[test]
fn a_pause_of_a_year_is_followed() {
    let mut site = lived();
    (0..5).for_each(|user| site.like(user, 1, days(400)));
    assert_eq!(site.engine.state().clock(), days(400));
}

#[test]
fn changed_half_lives_leave_every_decayed_quantity_as_it_is() {
    let changed = Settings {
        popularity_half_life_hours: 2_000.0,
        trend_half_life_hours: 4.0,
        profile_half_life_hours: 1.0,
        cooccurrence_half_life_hours: 2.0,
        ..Settings::default()
    };
    let mut site = lived();
    let before: Vec<Vec<f32>> = (0..10).map(|item| site.features(0, item)).collect();
    let users_topics = |site: &Site| {
        let view = site.engine.state();
        let user = view.user(UserIndex::new(0));
        user.topics.share(0, view.profile_time(user), 3.0)
    };
    let topics = users_topics(&site);
    let clock = site.engine.state().clock();
    site.set(changed, clock);
    for (item, before) in before.iter().enumerate() {
        let after = site.features(0, item);
        assert!(differ(before, &after) < 1e-4, "{item}: {before:?} {after:?}");
    }
    assert_eq!(users_topics(&site), topics);
    // From here on the new ones hold: the old trend is gone after two days.
    let trend = FEATURES.iter().position(|feature| feature.name == "trend").unwrap();
    (0..3).for_each(|user| site.like(user, 9, clock.plus_millis(2 * Timestamp::DAY_MS)));
    for (item, before) in before.iter().enumerate().take(9) {
        let after = site.features(0, item);
        assert!(after[trend] < 0.02 * before[trend].max(0.1), "{before:?} {after:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_times_values_and_settings_make_a_feature_that_is_not_a_number(
        events in prop::collection::vec(
            (0..4_usize, 0..10_usize, 0..11_usize, 0..22_000_i64, prop::sample::select(vec![0.1_f32, 1.0, 24.0, 2_160.0, 1e6]), 0..8_u8), 1..60,
        ),
    ) {
        let mut site = Site::new(Settings::default());
        let mut newest = days(0);
        for (user, item, kind, on, hours, what) in events {
            if what == 0 {
                let settings = Settings {
                    popularity_half_life_hours: hours,
                    trend_half_life_hours: hours,
                    profile_half_life_hours: hours,
                    cooccurrence_half_life_hours: hours,
                    freshness_half_life_hours: hours,
                    ..Settings::default()
                };
                site.set(settings, newest);
            }
            let at = Timestamp::from_millis(on * Timestamp::DAY_MS);
            newest = newest.max(at);
            site.act(user, item, InteractionType::ALL[kind], at);
            let features = site.features(user, item);
            prop_assert!(features.iter().all(|value| value.is_finite()), "{features:?}");
        }
        let before = site.popularity(9);
        for user in 20..60 {
            site.like(user, 9, newest);
        }
        prop_assert!(site.popularity(9) > before + 10.0, "{before} {}", site.popularity(9));
    }
}
