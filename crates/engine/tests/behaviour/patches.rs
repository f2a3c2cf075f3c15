//! Changes of some fields of items: what is named changes, everywhere at once, and the rest stays.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::World;

fn shop() -> World {
    let mut world = World::new();
    for number in 0..30 {
        let topic = ["tools", "toys", "books"][number % 3];
        let item = Described::new(&format!("item-{number}")).titled(&format!("{topic} number"));
        world.add(item.topic(topic).source("maker").number("price", number as f64));
    }
    world
}

fn found(world: &World, expression: &str) -> Vec<String> {
    let mut items = world.answer(&Ask::of("stranger", 30).expression(expression)).items();
    items.sort();
    items
}

#[test]
fn a_patch_keeps_what_it_does_not_name() {
    let mut world = shop();
    world.patch(&["source"], Described::new("item-4").source("other").titled("not read"));
    let expected = Described::new("item-4").titled("toys number").topic("toys");
    assert_eq!(world.described("item-4"), Some(expected.source("other").number("price", 4.0)));
}

#[test]
fn patches_of_different_fields_both_stay_in_whatever_order_they_come() {
    let patches: [fn(&mut World); 3] = [
        |world| world.patch(&["title"], Described::new("item-4").titled("new")),
        |world| world.patch_attribute("price", Described::new("item-4").number("price", 0.5)),
        |world| world.patch(&["hidden"], Described::new("item-4").hidden(true)),
    ];
    let expected = Described::new("item-4").titled("new").topic("toys").source("maker");
    let expected = expected.number("price", 0.5).hidden(true);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut world = shop();
        order.iter().for_each(|&one: &usize| patches[one](&mut world));
        assert_eq!(world.described("item-4").as_ref(), Some(&expected), "{order:?}");
    }
}

#[test]
fn searches_follow_a_patch_at_once() {
    let mut world = shop();
    world.patch_attribute("price", Described::new("item-4").number("price", 99.0));
    assert_eq!(found(&world, "price > 50"), ["item-4"]);
    world.patch_attribute("price", Described::new("item-4"));
    assert_eq!(found(&world, "price > 50 or price = 4"), Vec::<String>::new());
    world.patch(&["topics", "source"], Described::new("item-4").topic("rare"));
    assert_eq!(found(&world, "'rare' in topics and not has(source)"), ["item-4"]);
    world.add(Described::new("near").titled("zeppelin over the sea"));
    world.patch(&["title"], Described::new("item-5").titled("zeppelin over the mountains"));
    assert_eq!(world.similar("near", 1), ["item-5"]);
}

#[test]
fn a_patch_of_an_item_that_is_not_in_the_catalogue_changes_nothing() {
    let mut world = shop();
    world.click("reader", "known from an event");
    world.delete("item-4");
    for id in ["never seen", "known from an event", "item-4"] {
        world.patch(&["title"], Described::new(id).titled("new"));
        assert_eq!(world.described(id), None, "{id}");
    }
    assert_eq!(world.top("stranger", 40).len(), 29);
}

#[test]
fn a_patch_with_which_an_item_would_be_out_of_bounds_changes_nothing() {
    let mut world = shop();
    let (early, late) = (world.in_hours(-10.0), world.in_hours(-5.0));
    world.patch(&["published_at"], Described::new("item-4").published(late));
    let before = world.described("item-4");
    world.patch(&["expires_at", "title"], Described::new("item-4").titled("new").expires(early));
    assert_eq!(world.described("item-4"), before);
    // With both times it holds.
    let both = Described::new("item-4").published(early).expires(late);
    world.patch(&["published_at", "expires_at"], both);
    assert_ne!(world.described("item-4"), before);
}

#[test]
fn a_patch_of_all_fields_is_an_upsert() {
    let fields = [
        "title",
        "content",
        "topics",
        "source",
        "published_at",
        "embedding",
        "attributes",
        "language",
        "hidden",
        "expires_at",
        "localized",
    ];
    let new = || Described::new("item-4").titled("all new").topic("rare").in_language("de", "neu");
    let (mut patched, mut upserted) = (shop(), shop());
    patched.patch(&fields, new());
    upserted.add(new());
    assert_eq!(patched.view().digest(), upserted.view().digest());
    assert_eq!(patched.top("stranger", 30), upserted.top("stranger", 30));
}
