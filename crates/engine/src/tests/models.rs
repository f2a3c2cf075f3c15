//! Published models are data: what does not fit the log is refused, what fits can rank.

use std::sync::OnceLock;

use proptest::strategy::Strategy as Generator;

use crate::domain::DiversityMethod;
use crate::domain::PublishedModel;
use crate::domain::RankerSettings;
use crate::models::contexts::RequestValues;
use crate::tests::*;

/// A log, an engine at its end, and the model that was trained there.
struct Trained {
    records: Vec<LogRecord>,
    engine: Engine,
    model: PublishedModel,
}

fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let mut world = World::new(11);
        let settings = Settings { collaborative_factors: 8, ..Settings::default() };
        world.push(Record::SettingsSet(SettingsChange { settings, replaces: 0 }));
        world.catalogue();
        for _ in 0..500 {
            world.interaction();
        }
        let engine = applied(&world.records);
        let model = train(engine.state(), Effort::WhenDue, &mut |_| ControlFlow::Continue(()));
        Trained { records: world.records, engine, model: model.unwrap() }
    })
}

fn next(engine: &Engine, record: Record) -> LogRecord {
    let sequence = engine.state().watermark() + 1;
    LogRecord { sequence, recorded_at: Timestamp::from_seconds(1_700_100_000), record }
}

fn publish(engine: &mut Engine, model: PublishedModel) -> Effect {
    let record = next(engine, Record::ModelPublished(model));
    let mut effects = engine.apply(&[record]).unwrap();
    assert_eq!(effects.len(), 1);
    effects.remove(0)
}

/// The state after a record that changes nothing.
fn untouched(engine: &Engine) -> [u8; 32] {
    let mut engine = engine.fork();
    let nothing = next(&engine, Record::ItemDeleted(ItemId::parse("nothing").unwrap()));
    engine.apply(&[nothing]).unwrap();
    engine.state().digest()
}

#[test]
fn a_model_that_does_not_fit_the_log_is_refused_and_changes_nothing() {
    let Trained { records, engine, model } = trained();
    let mut shorter = Engine::new(Settings::default());
    shorter.apply(&records[..ITEMS / 3]).unwrap();
    // The same records a second later: a namespace of the same name created again.
    let again: Vec<LogRecord> = records
        .iter()
        .map(|record| LogRecord {
            recorded_at: record.recorded_at.plus_millis(1_000),
            ..record.clone()
        })
        .collect();
    let others = applied(&again);
    let mut other_items = Engine::new(Settings::default());
    let renamed: Vec<LogRecord> = records
        .iter()
        .filter(|record| !matches!(record.record, Record::Interaction(_)))
        .zip(1..)
        .map(|(record, sequence)| match &record.record {
            Record::ItemUpserted(item) => {
                let item_id = ItemId::parse(format!("other-{sequence}")).unwrap();
                let record = Record::ItemUpserted(Item { item_id, ..item.clone() });
                LogRecord { sequence, recorded_at: records[0].recorded_at, record }
            }
            _ => LogRecord { sequence, ..record.clone() },
        })
        .collect();
    other_items.apply(&renamed).unwrap();
    let of = |encoded: Vec<u8>| PublishedModel { encoded: encoded.into(), ..model.clone() };
    let longer = [&model.encoded[..], &[0]].concat();
    let ahead = engine.state().watermark() + 1;
    for (engine, model, fault) in [
        (&shorter, PublishedModel { trained_at: 0, ..model.clone() }, ModelFault::OtherLog),
        (&others, model.clone(), ModelFault::OtherLog),
        (&other_items, PublishedModel { trained_at: 0, ..model.clone() }, ModelFault::OtherLog),
        (engine, PublishedModel { version: 2, ..model.clone() }, ModelFault::Version),
        (engine, PublishedModel { version: 0, ..model.clone() }, ModelFault::Version),
        (engine, PublishedModel { trained_at: ahead, ..model.clone() }, ModelFault::TrainedAhead),
        (engine, of(vec![1, 2, 3]), ModelFault::Encoding),
        (engine, of(longer), ModelFault::Encoding),
        (engine, of(model.encoded[..model.encoded.len() / 2].to_vec()), ModelFault::Encoding),
    ] {
        let expected = untouched(engine);
        let mut engine = engine.fork();
        let version = model.version;
        assert_eq!(publish(&mut engine, model), Effect::ModelRefused { version, fault });
        assert_eq!(engine.state().digest(), expected, "{fault}");
        assert!(engine.state().model().is_none());
        use_it(&mut engine);
    }
    let mut engine = engine.fork();
    assert_eq!(publish(&mut engine, model.clone()), Effect::ModelSwitched { version: 1 });
    let fault = ModelFault::Version;
    assert_eq!(publish(&mut engine, model.clone()), Effect::ModelRefused { version: 1, fault });
    use_it(&mut engine);
}

/// Everything that a model takes part in: ranking, retrieval, similar items, questions,
/// new items with text and evidence, users who come back, a snapshot.
fn use_it(engine: &mut Engine) {
    let mut world = World::new(5);
    world.catalogue();
    for _ in 0..40 {
        world.interaction();
    }
    let mut new = world.records[..20].to_vec();
    for (number, record) in new.iter_mut().enumerate() {
        if let Record::ItemUpserted(item) = &mut record.record {
            item.item_id = ItemId::parse(format!("new-{number}")).unwrap();
        }
    }
    for record in new.into_iter().chain(world.records.drain(ITEMS..)) {
        let record = next(engine, record.record);
        engine.apply(&[record]).unwrap();
    }
    let view = engine.state();
    for strategy in [Strategy::Greedy, Strategy::Thompson] {
        for user in ["person-1", "person-2", "unknown"] {
            rank_for(view, user, strategy);
        }
    }
    similar_items(view, ItemIndex::new(3), view.clock(), 10);
    let (filter, context) = (Filter::default(), UserContext::default());
    let eligible = Eligibility::new(view, &filter, "", &context, view.clock(), &[]);
    onboarding_items(view, &eligible, 5);
    let restored = Engine::restore(view.sections()).unwrap();
    assert_eq!(restored.state().digest(), view.digest());
}

fn rank_for(view: &View, user: &str, strategy: Strategy) {
    let user_id = user;
    let user = view.user_index(user_id).map(|index| view.user(index).as_ref());
    let context = UserContext::new(view, user);
    let (filter, give_up) = (Filter::default(), GiveUp::never());
    let eligible = Eligibility::new(view, &filter, user_id, &context, view.clock(), &[]);
    let choice = Choice {
        strategy,
        epsilon: 0.1,
        exploring: Exploring::of(&RankerSettings::default()),
        method: DiversityMethod::Dpp,
        diversity_weight: 0.3,
        serendipity_weight: 0.1,
        novelty_weight: 0.1,
        topic_threshold: 0.0,
        source_threshold: 0.0,
        max_per_topic: 0,
        max_per_source: 0,
        positions: 10,
    };
    let retrieval = Retrieval {
        view,
        user,
        context: &context,
        eligible: &eligible,
        values: RequestValues::NONE,
        now: view.clock(),
        seed_key: b"key",
        give_up: &give_up,
    };
    let found = retrieval.run(&Supply::of(&choice, &[], &[])).unwrap();
    let candidates: Vec<_> = found.iter().map(|&item| Candidate::known(view, item)).collect();
    let request = RankRequest {
        user,
        context: &context,
        request_context: RequestContext {
            now: view.clock(),
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
        give_up: &give_up,
    };
    let ranked = rank(view, &candidates, &request).unwrap();
    assert_eq!(ranked.items.len(), 10.min(candidates.len()));
    assert!(ranked.scores.iter().all(|score| score.is_finite()), "{:?}", ranked.scores);
}

/// What may happen to bytes.
#[derive(Debug, Clone)]
enum Damage {
    Byte(usize, u8),
    /// A number of four bytes instead of another.
    Number(usize, f32),
    /// A length of ten bytes, as long as it can be said.
    Length(usize),
    Cut(usize),
    Doubled(usize, usize),
}

fn damage() -> impl Generator<Value = Damage> {
    let numbers = [0.0, 1e6, -1e6, 1e-30, 1e30, f32::MAX, f32::NAN, f32::INFINITY, 3.7];
    let number = prop::sample::select(numbers.to_vec());
    prop_oneof![
        3 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        3 => (0..400_usize, any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        6 => (any::<usize>(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => (0..400_usize).prop_map(Damage::Length),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (any::<usize>(), 0..64_usize).prop_map(|(at, len)| Damage::Doubled(at, len)),
    ]
}

fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for one in damage {
        if bytes.len() < 16 {
            break;
        }
        let end = bytes.len() - 10;
        match one {
            Damage::Byte(at, byte) => bytes[at % end] = *byte,
            Damage::Number(at, number) => {
                bytes[at % end..][..4].copy_from_slice(&number.to_le_bytes());
            }
            Damage::Length(at) => bytes[at % end..][..10]
                .copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Damage::Cut(at) => bytes.truncate(at % end),
            Damage::Doubled(at, len) => {
                let part = bytes[at % end..(at % end + len).min(bytes.len())].to_vec();
                bytes.splice(at % end..at % end, part);
            }
        }
    }
    bytes
}

/// Numbers as large as a model may have, wherever they happen to fit.
#[test]
fn models_with_the_largest_numbers_are_taken_and_can_rank() {
    let Trained { engine, model, .. } = trained();
    let mut taken = 0;
    for at in (0..model.encoded.len()).step_by(model.encoded.len() / 150) {
        let damage = [Damage::Number(at, 1e6), Damage::Number(at + 4, -1e6)];
        let encoded = damaged(&model.encoded, &damage).into();
        let mut engine = engine.fork();
        let effect = publish(&mut engine, PublishedModel { encoded, ..model.clone() });
        if effect == (Effect::ModelSwitched { version: 1 }) {
            taken += 1;
            use_it(&mut engine);
        }
    }
    assert!(taken >= 10, "{taken} were taken");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn bytes_of_any_kind_are_refused_or_can_rank(
        damage in prop::collection::vec(damage(), 1..6),
        noise in prop::option::weighted(0.1, prop::collection::vec(any::<u8>(), 0..200)),
        version in prop::sample::select(vec![0, 1, 1, 1, 1, 1, 1, 1, 2, u64::MAX]),
        trained_at in prop::sample::select(vec![0, 1, 2, 500, 561, 562, u64::MAX]),
    ) {
        let Trained { engine, model, .. } = trained();
        let encoded = noise.unwrap_or_else(|| damaged(&model.encoded, &damage));
        let mut engine = engine.fork();
        let expected = untouched(&engine);
        let model = PublishedModel { version, trained_at, encoded: encoded.into() };
        match publish(&mut engine, model) {
            Effect::ModelRefused { .. } => prop_assert_eq!(engine.state().digest(), expected),
            effect => prop_assert_eq!(effect, Effect::ModelSwitched { version: 1 }),
        }
        use_it(&mut engine);
    }
}
