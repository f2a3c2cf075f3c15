//! Round trips of every kind of record, and bytes that nobody wrote.

mod decisions;
mod experiments;
mod users;

use std::collections::BTreeMap;

use proptest::prelude::*;

use self::decisions::decision;
use self::decisions::takeover_change;
use self::experiments::backfill_chunk;
use self::experiments::experiment_change;
use self::experiments::exposure;
use self::users::user_update;
use super::*;
use engine::domain::ArmContext;
use engine::domain::ArmName;
use engine::domain::ArmOutcome;
use engine::domain::ArmReward;
use engine::domain::ArmSelection;
use engine::domain::ArmSetName;
use engine::domain::ArmStrategy;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::CandidateScores;
use engine::domain::ConfidenceTable;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LanguageTag;
use engine::domain::ListOrigin;
use engine::domain::LocalizedText;
use engine::domain::OfferedArm;
use engine::domain::SessionId;
use engine::domain::Settings;
use engine::domain::SettingsChange;
use engine::domain::ShownItem;
use engine::domain::Strategy as Choice;
use engine::domain::TakeoverChange;
use engine::domain::TakeoverTrial;
use engine::domain::UserId;

fn id<T: std::fmt::Debug>(parse: impl Fn(String) -> Result<T, String>) -> impl Strategy<Value = T> {
    // Up to the longest id, so that lengths of one and of two bytes occur.
    "[a-zé0-9:-]{1,120}".prop_map(move |text| parse(text).unwrap())
}

fn label() -> impl Strategy<Value = Box<str>> {
    ".{0,20}".prop_map(Box::from)
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![1_600_000_000_000..1_700_000_000_000_i64, any::<i64>()]
        .prop_map(Timestamp::from_millis)
}

fn number() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("NaN equals nothing", |value| !value.is_nan())
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        ".{0,30}".prop_map(AttributeValue::Text),
        any::<f64>()
            .prop_filter("numbers are finite", |value| value.is_finite())
            .prop_map(AttributeValue::Number),
        any::<bool>().prop_map(AttributeValue::Flag),
        prop::collection::vec(".{0,10}", 0..4).prop_map(AttributeValue::List),
    ];
    prop::collection::btree_map("[a-z]{1,8}", value, 0..5)
        .prop_map(|values: BTreeMap<_, _>| Attributes::new(values).unwrap())
}

fn interaction() -> impl Strategy<Value = Record> {
    let ids = (id(EventId::parse), id(UserId::parse), id(ItemId::parse));
    let about = (
        prop::sample::select(&InteractionType::ALL[..]),
        time(),
        prop::option::of(number()),
        prop::option::of(id(SessionId::parse)),
        prop::option::of(id(DecisionId::parse)),
        prop::option::of(any::<u32>()),
    );
    let context = (
        prop::collection::vec(label(), 0..4),
        prop::option::of(label()),
        prop::option::of(label()),
        attributes(),
        prop::option::of(label()),
        prop::option::of(any::<i32>()),
    );
    (ids, about, context).prop_map(|(ids, about, context)| {
        Record::Interaction(Interaction {
            event_id: ids.0,
            user_id: ids.1,
            item_id: ids.2,
            kind: about.0,
            occurred_at: about.1,
            value: about.2,
            session_id: about.3,
            decision_id: about.4,
            position: about.5,
            context: InteractionContext {
                topics: context.0,
                source: context.1,
                device_type: context.2,
                attributes: context.3,
                location: context.4,
                utc_offset_minutes: context.5,
            },
        })
    })
}

fn item() -> impl Strategy<Value = Record> {
    catalogue_item().prop_map(Record::ItemUpserted)
}

fn catalogue_item() -> impl Strategy<Value = Item> {
    let texts = (".{0,40}", ".{0,300}", prop::collection::vec(label(), 0..4));
    let options = (prop::option::of(label()), prop::option::of(time()), prop::option::of(label()));
    let vector = prop::collection::vec(number(), 0..20);
    let shown = (any::<bool>(), any::<bool>(), prop::option::of(time()));
    let text = (".{0,20}", ".{0,50}").prop_map(|(title, content)| LocalizedText { title, content });
    let localized = prop::collection::btree_map(language(), text, 0..4);
    (id(ItemId::parse), texts, options, attributes(), vector, shown, localized).prop_map(
        |(item_id, texts, options, attributes, embedding, shown, localized)| Item {
            item_id,
            title: texts.0,
            content: texts.1,
            topics: texts.2,
            source: options.0,
            published_at: options.1,
            embedding,
            embedding_is_computed: shown.0,
            attributes,
            language: options.2,
            hidden: shown.1,
            expires_at: shown.2,
            localized,
        },
    )
}

fn language() -> impl Strategy<Value = LanguageTag> {
    "[a-z]{2,3}(-[A-Z]{2})?".prop_map(|tag| LanguageTag::parse(&tag).unwrap())
}

fn patch() -> impl Strategy<Value = Record> {
    let fields = prop::sample::subsequence(&ItemField::ALL[..], 0..=ItemField::ALL.len());
    let attributes = prop::collection::btree_set(label(), 0..3);
    let localized = prop::collection::btree_set(language(), 0..3);
    (fields, attributes, localized, catalogue_item()).prop_map(
        |(fields, attributes, localized, values)| {
            let fields = fields.into_iter().collect();
            let mask = ItemMask { fields, attributes, localized };
            Record::ItemPatched(ItemPatch { mask, values })
        },
    )
}

fn settings() -> impl Strategy<Value = Record> {
    (any::<u64>(), -1e6_f32..1e6, any::<bool>(), -100.0_f32..100.0, any::<u64>()).prop_map(
        |(seed, epsilon, recommend_seen, confidence, replaces)| {
            let settings = Settings {
                seed,
                epsilon,
                recommend_seen: Some(recommend_seen),
                confidences: ConfidenceTable::default().with(InteractionType::Save, confidence),
                own: [Box::from("epsilon")].into(),
                ..Settings::default()
            };
            Record::SettingsSet(SettingsChange { settings, replaces })
        },
    )
}

fn model() -> impl Strategy<Value = Record> {
    (any::<u64>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..20_000)).prop_map(
        |(version, trained_at, encoded)| {
            let encoded = Arc::from(encoded);
            Record::ModelPublished(PublishedModel { version, trained_at, encoded })
        },
    )
}

fn arm_selection() -> impl Strategy<Value = Record> {
    let figure = || number().prop_map(f64::from);
    let context = || {
        (prop::collection::vec(number(), 0..6), attributes())
            .prop_map(|(numbers, attributes)| ArmContext { numbers, attributes })
    };
    let offered = (id(ArmName::parse), context(), figure(), figure(), figure()).prop_map(
        |(name, features, propensity, mean, deviation)| OfferedArm {
            name,
            features,
            propensity,
            mean,
            deviation,
        },
    );
    let ids = (id(DecisionId::parse), id(ArmSetName::parse), time());
    let numbers = (any::<u64>(), any::<u64>(), number());
    let strategy = prop::sample::select(&ArmStrategy::ALL[..]);
    let offered = prop::collection::vec(offered, 1..5);
    (ids, strategy, numbers, context(), offered, any::<prop::sample::Index>()).prop_map(
        |(ids, strategy, numbers, context, offered, chosen)| {
            Record::ArmSelected(ArmSelection {
                decision_id: ids.0,
                set: ids.1,
                chosen: chosen.index(offered.len()) as u32,
                offered,
                context,
                strategy,
                epsilon: numbers.2,
                selected_at: ids.2,
                watermark: numbers.0,
                seed: numbers.1,
            })
        },
    )
}

fn arm_reward() -> impl Strategy<Value = Record> {
    let outcome = prop_oneof![
        number().prop_map(ArmOutcome::Reward),
        number().prop_map(ArmOutcome::Correction),
        Just(ArmOutcome::Withdrawal),
    ];
    (id(EventId::parse), id(DecisionId::parse), outcome, time()).prop_map(
        |(event_id, decision_id, outcome, occurred_at)| {
            Record::ArmRewarded(ArmReward { event_id, decision_id, outcome, occurred_at })
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        interaction(),
        decision(),
        item(),
        patch(),
        id(ItemId::parse).prop_map(Record::ItemDeleted),
        user_update(),
        settings(),
        model(),
        arm_selection(),
        arm_reward(),
        takeover_change(),
        (id(UserId::parse), id(UserId::parse))
            .prop_map(|(from, into)| Record::UsersMerged { from, into }),
        experiment_change(),
        exposure(),
        backfill_chunk(),
    ]
}

fn written(records: &[Record], base: Timestamp) -> Vec<u8> {
    let mut payload = Vec::new();
    begin(&mut payload, base);
    for record in records {
        put(&mut payload, record, base);
    }
    payload
}

fn read_all(payload: &[u8], count: u32) -> Result<Vec<LogRecord>, Fault> {
    let mut records = Vec::new();
    read(payload, 1, count, Timestamp::from_millis(5), &mut records).map(|()| records)
}

/// A payload of one record with this kind and body.
fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = written(&[], Timestamp::default());
    payload.push(kind);
    put_varint(&mut payload, body.len() as u64);
    payload.extend_from_slice(body);
    payload
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_written(
        records in prop::collection::vec(record(), 0..8),
        base in time(),
    ) {
        let payload = written(&records, base);
        let read = read_all(&payload, records.len() as u32).unwrap();
        for (read, sequence) in read.iter().zip(1..) {
            prop_assert_eq!(read.sequence, sequence);
            prop_assert_eq!(read.recorded_at, Timestamp::from_millis(5));
        }
        let read: Vec<_> = read.into_iter().map(|read| read.record).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn a_cut_payload_is_damaged(
        records in prop::collection::vec(record(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let payload = written(&records, Timestamp::default());
        let cut = cut.index(payload.len());
        let read = read_all(&payload[..cut], records.len() as u32);
        prop_assert!(matches!(read, Err(Fault::Damaged(_))), "{:?}", read);
    }

    #[test]
    fn flipped_bits_never_panic(
        records in prop::collection::vec(record(), 1..4),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
    ) {
        let mut payload = written(&records, Timestamp::default());
        for (index, bit) in flips {
            let index = index.index(payload.len());
            payload[index] ^= 1 << bit;
        }
        let _ = read_all(&payload, records.len() as u32);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        kind in 0..=LAST_KIND + 1,
        body in prop::collection::vec(any::<u8>(), 0..300),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = read_all(&framed(kind, &body), 1);
        let _ = read_all(&bytes, u32::MAX);
    }

    /// What a newer version may add behind a body's last field is not passed over. The JSON
    /// of settings and of experiments ends by itself.
    #[test]
    fn bytes_behind_the_last_field_of_a_body_are_too_new(
        record in record().prop_filter("read by itself", |record| {
            ![SETTINGS_SET, DECISION, EXPERIMENT_CHANGED].contains(&kind(record))
        }),
        added in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut body = Vec::new();
        put_body(&mut body, &record, Timestamp::default());
        let known = body.len() as u64;
        body.extend_from_slice(&added);
        let expected = Fault::TooNew {
            what: "length of a log record",
            found: body.len() as u64,
            known,
        };
        prop_assert_eq!(read_all(&framed(kind(&record), &body), 1), Err(expected));
    }
}

#[test]
fn what_a_newer_version_wrote_is_too_new() {
    let mut newer_format = written(&[], Timestamp::default());
    newer_format[0] = FORMAT + 1;
    let unknown_type = [12, 0, 1, b'e', 1, b'u', 1, b'i', 0];
    for (payload, what) in [
        (newer_format, "log batch format"),
        (framed(LAST_KIND + 1, b"body"), "log record kind"),
        (framed(INTERACTION, &unknown_type), "interaction type"),
        (framed(INTERACTION, &[1, 0x80, 0x08]), "fields of an interaction"),
        (framed(ITEM_UPSERTED, &[0x80, 1, b'i']), "fields of an item"),
        (framed(ITEM_PATCHED, &[1, 12]), "field of an item"),
        (framed(DECISION, &[Choice::ALL.len() as u8 + 1]), "strategy"),
        (framed(USER_UPDATED, &[1, b'u', 0, 1, 1, b'n', 5, 0]), "attribute type"),
    ] {
        match read_all(&payload, 1) {
            Err(Fault::TooNew { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn an_id_that_its_type_refuses_is_damage() {
    for body in [&[0][..], &[2, b'a', b'\n'], &[1, 0xff]] {
        assert!(matches!(read_all(&framed(ITEM_DELETED, body), 1), Err(Fault::Damaged(_))));
    }
}

#[test]
fn records_beyond_the_count_are_damage() {
    let payload = framed(ITEM_DELETED, &[1, b'i']);
    assert!(read_all(&payload, 1).is_ok());
    assert!(matches!(read_all(&payload, 0), Err(Fault::Damaged(_))));
    assert!(matches!(read_all(&payload, 2), Err(Fault::Damaged(_))));
}

#[test]
fn a_length_that_is_too_large_is_damage_and_allocates_nothing() {
    // 2^60 floats of an embedding behind an otherwise complete item.
    let mut body = vec![0, 1, b'i', 0, 0, 0, 0];
    put_varint(&mut body, 1 << 60);
    assert!(matches!(read_all(&framed(ITEM_UPSERTED, &body), 1), Err(Fault::Damaged(_))));
}

#[test]
fn the_encoding_of_an_interaction_is_the_one_that_logs_hold() {
    let interaction = Interaction {
        event_id: EventId::parse("e1").unwrap(),
        user_id: UserId::parse("u1").unwrap(),
        item_id: ItemId::parse("i1").unwrap(),
        kind: InteractionType::Rating,
        value: Some(4.0),
        occurred_at: Timestamp::from_millis(999),
        session_id: None,
        decision_id: None,
        position: Some(300),
        context: InteractionContext {
            topics: vec!["a".into()],
            attributes: Attributes::new(BTreeMap::from([(
                "n".to_owned(),
                AttributeValue::Number(0.5),
            )]))
            .unwrap(),
            ..InteractionContext::default()
        },
    };
    let base = Timestamp::from_millis(1_000);
    let payload = written(&[Record::Interaction(interaction.clone())], base);
    let expected =
        b"\x01\xd0\x0f\x01\x22\x0b\x99\x01\x02e1\x02u1\x02i1\x01\x00\x00\x80\x40\xac\x02\
        \x01\x01a\x01\x01n\x02\x00\x00\x00\x00\x00\x00\xe0\x3f";
    assert_eq!(payload, expected);
    let mut somewhere = interaction;
    somewhere.context.location = Some("DE".into());
    somewhere.context.utc_offset_minutes = Some(-90);
    let payload = written(&[Record::Interaction(somewhere)], base);
    let mut longer = expected.to_vec();
    longer[4] += 5;
    // The bits of both.
    longer[7] = 0x07;
    longer.extend(b"\x02DE\xb3\x01");
    assert_eq!(payload, longer);
}
