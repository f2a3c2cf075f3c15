//! Embeddings: in a table where the server has pgvector, nowhere else without it.

use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LogRecord;
use engine::domain::Record;
use personalization::storage::NamespaceStore;
use personalization::storage::Projection;

use super::create;
use super::database::Database;
use super::database::Session;
use super::partition;
use super::project;
use super::records::item;
use super::records::item_deleted;
use super::records::log;
use super::records::mixture;

const AVAILABLE: &str = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'";
const ROWS: &str = "SELECT namespace_id, item_id, embedding FROM item_embeddings ORDER BY 1, 2";
const INDEXES: &str = "SELECT indexname FROM pg_indexes
    WHERE tablename = 'item_embeddings' AND indexdef LIKE '%hnsw%' ORDER BY 1";

/// Whether this server has the extension; without it, that there is no table.
fn has_extension(session: &Session) -> bool {
    let available = session.one(AVAILABLE) == "1";
    if !available {
        assert_eq!(session.one("SELECT to_regclass('item_embeddings') IS NULL"), "t");
    }
    available
}

fn embedded_item(id: &str, embedding: &[f32]) -> Item {
    Item { embedding: embedding.to_vec(), ..item(id, "a title") }
}

fn embedded(id: &str, embedding: &[f32]) -> Record {
    Record::ItemUpserted(embedded_item(id, embedding))
}

fn catalogue() -> Vec<LogRecord> {
    log([
        embedded("a", &[1.0, 0.0, -0.5]),
        embedded("b", &[0.1, f32::MIN_POSITIVE, 1e30]),
        embedded("c", &[0.0, 1.0, 0.0]),
        embedded("d", &[0.0, 1.0]),
        embedded("not a number", &[0.0, f32::NAN]),
        embedded("long", &vec![0.5; 2_001]),
        Record::ItemUpserted(item("none", "a title")),
        embedded("c", &[0.0, 0.0, 1.0]),
        item_deleted("d"),
        embedded("long", &[]),
    ])
}

#[test]
fn the_embeddings_of_the_catalogue_are_there_with_an_index_for_each_dimension() {
    let database = Database::new();
    let store = database.store();
    let records = catalogue();
    let session = database.session();
    project(&store, &records[..6]);
    if has_extension(&session) {
        let dimensions = "SELECT item_id, vector_dims(embedding) FROM item_embeddings ORDER BY 1";
        assert_eq!(session.rows(dimensions), ["a|3", "b|3", "c|3", "d|2", "long|2001"]);
    }
    assert_eq!(project(&store, &records), 10);
    assert_eq!(session.one("SELECT count(*) FROM items"), "6");
    if has_extension(&session) {
        let expected = ["1|a|[1,0,-0.5]", "1|b|[0.1,1.1754944e-38,1e+30]", "1|c|[0,0,1]"];
        assert_eq!(session.rows(ROWS), expected);
        assert_eq!(session.rows(INDEXES), ["item_embeddings_2", "item_embeddings_3"]);
    }
}

#[test]
fn nearest_neighbours_come_from_the_index() {
    let database = Database::new();
    let store = database.store();
    let many = (0..600_u16).map(|number| {
        let angle = f32::from(number) / 600.0;
        embedded(&format!("item{number}"), &[angle.cos(), angle.sin()])
    });
    assert_eq!(project(&store, &log(many)), 600);
    let session = database.session();
    if has_extension(&session) {
        let nearest = "SELECT item_id FROM item_embeddings WHERE vector_dims(embedding) = 2
            ORDER BY embedding::vector(2) <=> '[1,0]' LIMIT 3";
        session.run("SET enable_seqscan = off");
        assert_eq!(session.rows(nearest), ["item0", "item1", "item2"]);
        let plan = session.rows(&format!("EXPLAIN {nearest}")).join("\n");
        assert!(plan.contains("item_embeddings_2"), "{plan}");
    }
}

#[test]
fn a_clear_and_a_deletion_remove_embeddings_too() {
    let database = Database::new();
    let store = database.store();
    project(&store, &catalogue());
    let other = create(&store, "other");
    store.project(&other, &catalogue()).unwrap();
    let session = database.session();
    if has_extension(&session) {
        assert_eq!(session.rows(ROWS).len(), 6);
        let before = session.rows(ROWS);
        store.clear(&partition()).unwrap();
        assert_eq!(session.rows(ROWS), before[3..]);
        project(&store, &catalogue());
        assert_eq!(session.rows(ROWS), before);
    }
    store.delete(&other).unwrap();
    if has_extension(&session) {
        assert_eq!(session.rows(ROWS).len(), 3);
    }
}

#[test]
fn a_computed_embedding_never_takes_the_place_of_one_that_a_caller_gave() {
    let database = Database::new();
    let store = database.store();
    let made = Item { embedding_is_computed: true, ..embedded_item("made", &[0.0, 1.0]) };
    let mut records = log([
        Record::ItemUpserted(embedded_item("given", &[0.0, 1.0])),
        Record::ItemUpserted(made),
        Record::ItemUpserted(item("none", "a title")),
    ]);
    project(&store, &records);
    let titled = ["given", "made", "none"].map(|id| {
        let mask = ItemMask { fields: [ItemField::Title].into(), ..ItemMask::default() };
        let computed = embedded_item(id, &[1.0, 0.0]);
        let values = Item { title: "new".to_owned(), embedding_is_computed: true, ..computed };
        Record::ItemPatched(ItemPatch { mask, values })
    });
    for (at, mut record) in log(titled).into_iter().enumerate() {
        record.sequence = 4 + at as u64;
        records.push(record);
    }
    project(&store, &records);
    let session = database.session();
    let query = "SELECT item_id, title, has_embedding, embedding_is_computed FROM items ORDER BY 1";
    assert_eq!(session.rows(query), ["given|new|t|f", "made|new|t|t", "none|new|t|t"]);
    if has_extension(&session) {
        let numbers = "SELECT item_id, embedding FROM item_embeddings ORDER BY 1";
        assert_eq!(session.rows(numbers), ["given|[0,1]", "made|[1,0]", "none|[1,0]"]);
    }
}

/// As after a restore on a server without it, or by an administrator.
#[test]
fn an_extension_that_goes_away_stops_nothing_and_is_used_again_after_a_rebuild() {
    let database = Database::new();
    let store = database.store();
    let mut records = catalogue();
    let session = database.session();
    project(&store, &records);
    if !has_extension(&session) {
        return;
    }
    session.run("DROP EXTENSION vector CASCADE");
    records.extend(mixture(30).into_iter().skip(10));
    assert_eq!(project(&store, &records), 30);
    store.clear(&partition()).unwrap();
    project(&store, &records);
    assert_eq!(session.rows(ROWS).len(), 3);
    assert_eq!(session.rows(INDEXES), ["item_embeddings_2", "item_embeddings_3"]);
}
