//! Which value of a record is in which column, and what becomes of values that
//! PostgreSQL cannot hold.

use engine::domain::AttributeValue;
use engine::domain::AttributesChange;
use engine::domain::Decision;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LanguageTag;
use engine::domain::ListChange;
use engine::domain::LocalizedText;
use engine::domain::Record;
use engine::domain::RuleTarget;
use engine::domain::RulesChange;
use engine::domain::ScoreChange;
use engine::domain::Settings;
use engine::domain::SettingsChange;
use engine::domain::Timestamp;
use engine::domain::UserBoost;

use super::database::Database;
use super::database::Session;
use super::project;
use super::records::NOW;
use super::records::attributes;
use super::records::click;
use super::records::decision;
use super::records::full_interaction;
use super::records::item;
use super::records::item_deleted;
use super::records::log;
use super::records::model;
use super::records::text;
use super::records::user_attributes;
use super::records::user_update;

/// The session of a database where these were projected.
fn after(records: impl IntoIterator<Item = Record>) -> (Database, Session) {
    let database = Database::new();
    project(&database.store(), &log(records));
    let session = database.session();
    (database, session)
}

#[test]
fn an_interaction_is_a_row_with_all_its_fields() {
    let (_database, session) = after([
        Record::Interaction(full_interaction(1, "ann", InteractionType::Rating)),
        Record::Interaction(click(2, "bob", "item2", NOW)),
    ]);
    assert_eq!(
        session.rows("SELECT * FROM interactions ORDER BY sequence"),
        [
            "1|1|event1|ann|item1|rating|4.5|2023-11-14 22:13:19.999+00|2023-11-14 22:13:21+00\
             |visit|decision1|3|{news,\"a \\\"quoted\\\", {braced} one\"}|wire|phone\
             |{\"paid\": true, \"tags\": [\"x\", \"y\"], \"price\": 9.75, \"campaign\": \"spring\"}\
             |Vienna|-210",
            "1|2|event2|bob|item2|click|NULL|2023-11-14 22:13:20+00|2023-11-14 22:13:22+00\
             |NULL|NULL|NULL|{}|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[test]
fn every_type_of_interaction_has_its_name_and_its_count() {
    let of_each_type = (0..).zip(InteractionType::ALL).map(|(number, kind)| {
        Record::Interaction(Interaction { kind, ..click(number, "ann", "item1", NOW) })
    });
    let (_database, session) = after(of_each_type);
    let names = InteractionType::ALL.map(InteractionType::name);
    assert_eq!(session.rows("SELECT type FROM interactions ORDER BY sequence"), names);
    for name in names {
        let column = if name == "dislike" { "dislikes".to_owned() } else { plural(name) };
        assert_eq!(session.one(&format!("SELECT {column} FROM profiles")), "1", "{column}");
    }
}

fn plural(name: &str) -> String {
    format!("{name}s")
}

#[test]
fn a_decision_is_a_row_with_arrays_of_what_was_shown() {
    let mut ragged = decision(2, "ann", &["c", "d"]);
    ragged.shown[1].features.push(9.0);
    let (_database, session) = after([
        Record::Decision(decision(1, "ann", &["a", "b"])),
        Record::Decision(ragged),
        Record::Decision(Decision { model_version: 0, ..decision(3, "bob", &[]) }),
    ]);
    let of_ann = "|ann|2023-11-14 22:13:20+00|";
    let numbers = "|epsilon_greedy|0.1|7|41|100|";
    assert_eq!(
        session.rows("SELECT * FROM decisions ORDER BY sequence"),
        [
            format!(
                "1|1|decision1{of_ann}2023-11-14 22:13:21+00{numbers}{{a,b}}|{{0.5,0.25}}\
                 |{{0.75,0.75}}|{{{{1,0}},{{1,1}}}}"
            ),
            format!(
                "1|2|decision2{of_ann}2023-11-14 22:13:22+00{numbers}{{c,d}}|{{0.5,0.25}}\
                 |{{0.75,0.75}}|{{{{1,0,NULL}},{{1,1,9}}}}"
            ),
            "1|3|decision3|bob|2023-11-14 22:13:20+00|2023-11-14 22:13:23+00|epsilon_greedy|0.1\
             |0|41|100|{}|{}|{}|{}"
                .to_owned(),
        ]
    );
}

#[test]
fn the_catalogue_is_as_its_last_records_left_it() {
    let (database, session) = after([
        Record::ItemUpserted(item("a", "old")),
        Record::ItemUpserted(item("b", "gone")),
        Record::ItemUpserted(item("a", "new")),
        item_deleted("b"),
        item_deleted("never seen"),
    ]);
    let item_a = "1|a|new|some content|{news,sport}|wire|2023-11-14 22:13:20+00\
        |{\"lang\": \"de\", \"pages\": 3}|en|f|NULL|f|f|NULL|3|2023-11-14 22:13:23+00";
    assert_eq!(session.rows("SELECT * FROM items"), [item_a]);

    let bare = Item {
        title: String::new(),
        content: String::new(),
        topics: Vec::new(),
        source: None,
        published_at: None,
        attributes: Default::default(),
        language: None,
        ..item("b", "")
    };
    let mut later = log([Record::ItemUpserted(bare), item_deleted("a")]);
    for record in &mut later {
        record.sequence += 5;
    }
    project(&database.store(), &later);
    let item_b = "1|b|||{}|NULL|NULL|NULL|NULL|f|NULL|f|f|NULL|6|2023-11-14 22:13:21+00";
    assert_eq!(session.rows("SELECT * FROM items"), [item_b]);
}

fn patched(mask: ItemMask, values: Item) -> Record {
    Record::ItemPatched(ItemPatch { mask, values })
}

fn fields<const N: usize>(fields: [ItemField; N]) -> ItemMask {
    ItemMask { fields: fields.into(), ..ItemMask::default() }
}

#[test]
fn changes_of_items_are_merged_with_what_the_tables_or_the_records_say() {
    let german = || LanguageTag::parse("de").unwrap();
    let texts = LocalizedText { title: "alt".to_owned(), content: "Inhalt \u{fffd}".to_owned() };
    // One bit more than a tenth: a number that is read from its digits must be exact.
    let exact = f64::from_bits(0x3fb9_9999_9999_999b);
    let described = Item {
        attributes: attributes([
            ("exact", AttributeValue::Number(exact)),
            ("list", AttributeValue::List(vec!["a, \"b\"".to_owned(), String::new()])),
            ("flag", AttributeValue::Flag(true)),
            ("text", text("12")),
        ]),
        localized: [(german(), texts)].into(),
        embedding: vec![1.0, 2.0],
        embedding_is_computed: true,
        ..item("a", "old")
    };
    let (database, session) =
        after([Record::ItemUpserted(described.clone()), Record::ItemUpserted(item("b", "b"))]);
    let french = LanguageTag::parse("fr").unwrap();
    let one_attribute = ItemMask {
        attributes: ["new".into(), "flag".into()].into(),
        localized: [french.clone()].into(),
        ..ItemMask::default()
    };
    let values = Item {
        attributes: attributes([("new", AttributeValue::Number(7.0))]),
        localized: [(french, LocalizedText { title: "neuf".to_owned(), content: String::new() })]
            .into(),
        ..item("a", "not read")
    };
    let early = Item { expires_at: Some(NOW.plus_millis(-1)), ..item("a", "refused") };
    let hidden = Item { hidden: true, expires_at: Some(NOW.plus_millis(1)), ..item("a", "") };
    let patches = [
        patched(one_attribute, values),
        patched(fields([ItemField::Title, ItemField::ExpiresAt]), early),
        patched(fields([ItemField::Hidden, ItemField::ExpiresAt]), hidden),
        patched(fields([ItemField::Title]), item("never seen", "x")),
        item_deleted("b"),
        patched(fields([ItemField::Title]), item("b", "x")),
        Record::ItemUpserted(item("c", "c")),
        patched(fields([ItemField::Title]), item("c", "c2")),
    ];
    let mut later = log(patches);
    for record in &mut later {
        record.sequence += 2;
    }
    project(&database.store(), &later);
    let query = "SELECT item_id, title, hidden, expires_at, embedding_is_computed, localized,
        updated_sequence FROM items ORDER BY item_id";
    let localized = "{\"de\": {\"title\": \"alt\", \"content\": \"Inhalt \u{fffd}\"}, \
        \"fr\": {\"title\": \"neuf\", \"content\": \"\"}}";
    assert_eq!(
        session.rows(query),
        [
            format!("a|old|t|2023-11-14 22:13:20.001+00|t|{localized}|5"),
            "c|c2|f|NULL|f|NULL|10".to_owned(),
        ]
    );
    let expected =
        format!(r#"{{"new": 7, "list": ["a, \"b\"", ""], "text": "12", "exact": {exact}}}"#);
    assert_eq!(session.one("SELECT attributes FROM items WHERE item_id = 'a'"), expected);
}

#[test]
fn a_profile_counts_and_keeps_the_attributes_set_last() {
    let days = |days| NOW.plus_millis(days * Timestamp::DAY_MS);
    let (_database, session) = after([
        user_attributes("ann", attributes([("country", text("AT")), ("old", text("yes"))])),
        Record::Interaction(click(1, "ann", "item1", days(0))),
        Record::Interaction(click(2, "ann", "item1", days(-2))),
        Record::Decision(decision(1, "ann", &["a"])),
        user_attributes("ann", attributes([("country", text("CH"))])),
        user_attributes("bob", Default::default()),
        Record::Interaction(full_interaction(3, "cleo", InteractionType::Purchase)),
    ]);
    let counts = "impressions, clicks, purchases, ratings, decisions";
    let query = format!(
        "SELECT user_id, attributes, first_seen, last_seen, {counts}, updated_sequence
        FROM profiles ORDER BY user_id"
    );
    let seen = "2023-11-14 22:13:19.999+00|2023-11-14 22:13:19.999+00";
    assert_eq!(
        session.rows(&query),
        [
            "ann|{\"country\": \"CH\"}|2023-11-12 22:13:20+00|2023-11-14 22:13:20+00|0|2|0|0|1|5"
                .to_owned(),
            "bob|{}|NULL|NULL|0|0|0|0|0|6".to_owned(),
            format!("cleo|NULL|{seen}|0|0|1|0|0|7"),
        ]
    );
}

#[test]
fn changes_of_single_attributes_and_rules_add_up_in_the_row() {
    let name = |name: &str| Box::<str>::from(name);
    let attributes = |set, remove: &[&str]| AttributesChange {
        replaces: false,
        set,
        remove: remove.iter().map(|one| name(one)).collect(),
    };
    let blocks = |add: &[&str], remove: &[&str]| RulesChange {
        blocked_topics: ListChange {
            replaces: false,
            add: add.iter().map(|one| name(one)).collect(),
            remove: remove.iter().map(|one| name(one)).collect(),
        },
        ..RulesChange::default()
    };
    let country = self::attributes([("country", text("AT")), ("old", text("yes"))]);
    let (database, session) = after([
        user_update("ann", attributes(country, &[]), blocks(&["tennis", "golf"], &[])),
        user_update("ann", AttributesChange::default(), blocks(&["\0"], &["golf"])),
        Record::Interaction(click(1, "ann", "item1", NOW)),
        user_update("bob", AttributesChange::default(), blocks(&["golf"], &[])),
    ]);
    let boost = UserBoost {
        target: RuleTarget::Source(name("wire")),
        change: ScoreChange::Multiply(2.0),
        until: None,
    };
    let boosts = ListChange { add: vec![boost], ..ListChange::default() };
    let rules = RulesChange { boosts, non_profiled: Some(true), ..RulesChange::default() };
    let set = self::attributes([("country", text("CH")), ("age", AttributeValue::Number(3.0))]);
    let mut later = log([user_update("bob", attributes(set, &["old"]), rules)]);
    later[0].sequence = 5;
    project(&database.store(), &later);
    let query = "SELECT user_id, attributes, rules -> 'blocked_topics', rules -> 'boosts',
        rules -> 'non_profiled' FROM profiles ORDER BY user_id";
    assert_eq!(
        session.rows(query),
        [
            "ann|{\"old\": \"yes\", \"country\": \"AT\"}|[\"\u{fffd}\", \"tennis\"]|[]|false",
            "bob|{\"age\": 3, \"country\": \"CH\"}|[\"golf\"]|[{\"until\": null, \"change\": \
             {\"multiply\": 2.0}, \"target\": {\"source\": \"wire\"}}]|true",
        ]
    );
}

#[test]
fn models_and_settings_are_rows_in_the_order_of_the_log() {
    let set = |epsilon, replaces| {
        let settings = Settings { epsilon, seed: u64::MAX, ..Settings::default() };
        Record::SettingsSet(SettingsChange { settings, replaces })
    };
    let set = [set(0.25, 0), set(0.5, 0), set(0.75, 2)];
    let [first, late, second] = set;
    let (_database, session) = after([model(1, 1_000), first, model(u64::MAX, 0), late, second]);
    assert_eq!(
        session.rows("SELECT * FROM models ORDER BY sequence"),
        [
            "1|1|1|3|2023-11-14 22:13:21+00|1000",
            "1|3|9223372036854775807|3|2023-11-14 22:13:23+00|0",
        ]
    );
    let query = "SELECT sequence, settings -> 'epsilon', settings -> 'seed' FROM settings
        ORDER BY sequence";
    assert_eq!(session.rows(query), ["2|0.25|18446744073709551615", "5|0.75|18446744073709551615"]);
}

#[test]
fn text_of_any_kind_survives_and_nul_becomes_the_replacement_character() {
    let nasty =
        "'; DROP TABLE items; -- \"\\ \\x00 \\u0000 {,} \u{1}\t\r\n\u{7f} ä 漢 🦀 \u{202e} ";
    let (damaged, stored) = (format!("{nasty}\0 end"), format!("{nasty}\u{fffd} end"));
    let long = "long 🦀 ".repeat(120_000);
    let attributes = attributes([
        ("text", text(&damaged)),
        ("list", AttributeValue::List(vec![damaged.clone(), String::new()])),
    ]);
    let context = InteractionContext {
        topics: vec![damaged.as_str().into(), "".into(), "NULL".into()],
        source: Some(damaged.as_str().into()),
        device_type: Some("\0".into()),
        attributes: attributes.clone(),
        ..InteractionContext::default()
    };
    let (_database, session) = after([
        Record::ItemUpserted(Item {
            content: long.clone(),
            attributes: attributes.clone(),
            topics: vec![damaged.as_str().into()],
            ..item("it's \"one\" 🦀", &damaged)
        }),
        Record::Interaction(Interaction { context, ..click(1, "o'neill \\", "ü", NOW) }),
        user_attributes("o'neill \\", attributes),
    ]);
    assert_eq!(session.one("SELECT title FROM items"), stored);
    assert_eq!(session.one("SELECT content FROM items"), long);
    assert_eq!(session.one("SELECT topics[1] FROM items"), stored);
    assert_eq!(session.one("SELECT item_id FROM items"), "it's \"one\" 🦀");
    assert_eq!(session.one("SELECT user_id FROM interactions"), "o'neill \\");
    let topics = "SELECT topics[1], topics[2] = '', topics[3] = 'NULL' FROM interactions";
    assert_eq!(session.one(topics), format!("{stored}|t|t"));
    assert_eq!(session.one("SELECT source FROM interactions"), stored);
    assert_eq!(session.one("SELECT device_type FROM interactions"), "\u{fffd}");
    for table in ["items", "interactions", "profiles"] {
        let text = format!("SELECT attributes ->> 'text' FROM {table}");
        assert_eq!(session.one(&text), stored, "{table}");
        let list = format!("SELECT attributes #>> '{{list,0}}' FROM {table}");
        assert_eq!(session.one(&list), stored, "{table}");
    }
}

#[test]
fn numbers_and_times_out_of_range_stop_nothing() {
    let largest = attributes([
        ("large", AttributeValue::Number(f64::MAX)),
        ("small", AttributeValue::Number(f64::from_bits(1))),
    ]);
    let mut shown = decision(1, "ann", &["a", "b"]);
    (shown.watermark, shown.candidates) = (u64::MAX, u32::MAX);
    (shown.shown[0].score, shown.shown[1].score) = (f32::NAN, f32::NEG_INFINITY);
    let (database, session) = after([
        Record::Interaction(Interaction {
            value: Some(f32::INFINITY),
            position: Some(u32::MAX),
            context: InteractionContext { attributes: largest, ..InteractionContext::default() },
            ..click(1, "ann", "a", Timestamp::from_millis(i64::MIN))
        }),
        Record::Interaction(click(2, "ann", "a", Timestamp::from_millis(i64::MAX))),
        Record::Decision(shown),
    ]);
    let query = "SELECT value, position, occurred_at, (attributes ->> 'large')::float8,
        (attributes ->> 'small')::float8 FROM interactions ORDER BY sequence";
    assert_eq!(
        session.rows(query),
        [
            "Infinity|2147483647|0001-01-01 00:00:00+00|1.7976931348623157e+308|5e-324",
            "NULL|NULL|9999-12-31 23:59:59.999+00|NULL|NULL",
        ]
    );
    assert_eq!(
        session.one("SELECT first_seen, last_seen FROM profiles"),
        "0001-01-01 00:00:00+00|9999-12-31 23:59:59.999+00"
    );
    assert_eq!(
        session.one("SELECT watermark, candidates, scores FROM decisions"),
        "9223372036854775807|2147483647|{NaN,-Infinity}"
    );
    let mut last = log([Record::Interaction(click(4, "ann", "a", NOW))]);
    (last[0].sequence, last[0].recorded_at) = (4, Timestamp::from_millis(i64::MAX));
    assert_eq!(project(&database.store(), &last), 4);
}
