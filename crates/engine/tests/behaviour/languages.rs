//! Items in several languages: what they say in each counts, and none for more than another.

use crate::harness::Described;
use crate::harness::World;

/// Words of three subjects in three languages.
const SUBJECTS: [[&str; 3]; 3] = [
    [
        "mountains glaciers hiking summit",
        "Berge Gletscher Wandern Gipfel",
        "montagnes glaciers randonnée sommet",
    ],
    ["kitchen recipe baking bread", "Küche Rezept Backen Brot", "cuisine recette cuisson pain"],
    [
        "engine carburettor gearbox clutch",
        "Motor Vergaser Getriebe Kupplung",
        "moteur carburateur embrayage vitesse",
    ],
];

/// An item about a subject in these languages, the first being its own.
fn about(id: &str, subject: usize, languages: &[&str]) -> Described {
    let text = |tag: &str| {
        let known = ["en", "de", "fr"].iter().position(|one| *one == tag).expect("a language");
        SUBJECTS[subject][known]
    };
    let item = Described::new(id).language(languages[0]).titled(text(languages[0]));
    languages[1..].iter().fold(item, |item, tag| item.in_language(tag, text(tag)))
}

/// Nine items of each subject in each of the three languages alone.
fn library() -> World {
    let mut world = World::new();
    for number in 0..3 {
        for subject in 0..3 {
            for tag in ["en", "de", "fr"] {
                world.add(about(&format!("{tag}-{subject}-{number}"), subject, &[tag]));
            }
        }
    }
    world
}

#[test]
fn two_items_with_one_language_in_common_match_though_their_own_differ() {
    let mut world = library();
    world.add(about("one", 0, &["en", "de"]));
    world.add(about("other", 0, &["fr", "de"]));
    world.add(about("elsewhere", 1, &["fr", "de"]));
    let similar = world.similarities("one", 40);
    let content = |id: &str| similar.iter().find(|one| one.0 == id).map_or(0.0, |one| one.1);
    assert!(content("other") > 0.2, "by German: {similar:?}");
    assert!(content("elsewhere") < 0.05, "{similar:?}");
    // Once a record says it, and once a patch does.
    world.patch_language("de", Described::new("other"));
    assert!(!world.similar("one", 40).contains(&"other".to_owned()));
    world.patch_language("de", about("other", 0, &["fr", "de"]));
    assert_eq!(world.similarities("one", 40), similar);
}

#[test]
fn an_item_in_several_languages_is_neither_behind_nor_before_the_same_in_one() {
    let mut world = library();
    world.add(about("single", 0, &["en"]));
    world.add(about("several", 0, &["en", "de", "fr"]));
    for (query, languages) in [("query-en", &["en"][..]), ("query-all", &["de", "en", "fr"])] {
        world.add(about(query, 0, languages));
        let similar = world.similarities(query, 60);
        let content = |id: &str| similar.iter().find(|one| one.0 == id).map_or(0.0, |one| one.1);
        let (single, several) = (content("single"), content("several"));
        assert!((single - several).abs() < 0.01, "{query}: {single} alone, {several} in three");
        assert!(single > 0.2, "{query}: {similar:?}");
    }
}

#[test]
fn readers_of_one_language_find_items_in_several_as_well_as_those_in_theirs() {
    let mut world = library();
    for subject in 0..3 {
        world.add(about(&format!("several-{subject}"), subject, &["fr", "de", "en"]));
    }
    world.click("reader", "en-0-0");
    world.click("reader", "en-0-1");
    let list = world.best("reader", 2);
    assert!(list.contains(&"en-0-2".to_owned()), "{list:?}");
    assert!(list.contains(&"several-0".to_owned()), "{list:?}");
}

#[test]
fn a_reader_of_several_languages_prefers_none_for_being_in_more() {
    let mut world = library();
    for number in 0..3 {
        world.add(about(&format!("read-{number}"), 0, &["en", "de", "fr"]));
        world.click("reader", &format!("read-{number}"));
    }
    world.add(about("several", 1, &["en", "de", "fr"]));
    let list = world.best("reader", 9);
    let alike: Vec<_> = list.iter().filter(|item| item.contains("-0-")).collect();
    assert_eq!(alike.len(), 9, "of the subject in one language before others in three: {list:?}");
}

#[test]
fn texts_in_several_languages_survive_a_snapshot() {
    let mut world = library();
    world.add(about("several", 2, &["de", "en", "fr"]));
    let restored = world.restored();
    assert_eq!(restored.view().digest(), world.view().digest());
    assert_eq!(restored.similarities("several", 20), world.similarities("several", 20));
    let item = restored.described("several").expect("it is there");
    assert_eq!(item.title_in("fr-CA"), SUBJECTS[2][2]);
    assert_eq!(item.title_in("it"), SUBJECTS[2][1]);
}
