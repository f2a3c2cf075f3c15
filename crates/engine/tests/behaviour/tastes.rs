//! Tastes: users get what users like them want, new interests are followed, new items are
//! found.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Planted;
use crate::harness::World;
use crate::harness::share_in;

fn checkerboard() -> Planted {
    let mut planted = Planted::checkerboard(World::new(), 40, 100);
    planted.browse(16, 1.0);
    planted
}

#[test]
fn users_of_a_checkerboard_get_their_own_colour_before_any_training() {
    let planted = checkerboard();
    let share = planted.share_of_favourites(10);
    assert!(share >= 0.9, "{share:.3} of the first ten are of the own colour");
}

#[test]
fn users_of_a_checkerboard_get_their_own_colour_after_a_training() {
    let mut planted = checkerboard();
    planted.world.train().unwrap();
    planted.browse(2, 1.0);
    let share = planted.share_of_favourites(10);
    assert!(share >= 0.95, "{share:.3} of the first ten are of the own colour");
}

#[test]
fn users_get_the_topics_that_they_read() {
    let mut planted = Planted::topics(World::new(), 40, 200, 8);
    planted.browse(12, 0.8);
    planted.world.train().unwrap();
    planted.browse(2, 0.8);
    let share = planted.share_of_favourites(10);
    assert!(share >= 0.8, "{share:.3} of the first ten are of favourite topics, a quarter of all");
}

#[test]
fn a_user_whose_taste_changes_is_followed_within_ten_clicks() {
    let mut planted = Planted::topics(World::new(), 40, 200, 8);
    planted.browse(10, 0.8);
    // Item n has topic n % 8.
    let of_topic = |topic: usize| -> Vec<String> {
        (0..200).filter(|item| item % 8 == topic).map(|item| format!("item-{item}")).collect()
    };
    let (old, new) = (of_topic(2), of_topic(5));
    let world = &mut planted.world;
    for item in &old[..12] {
        world.click("changing", item);
        world.pass_hours(24.0);
    }
    let before = world.best("changing", 10);
    let share = share_in(&before, &old);
    assert!(share >= 0.6, "before: {share} of the old topic in {before:?}");
    world.pass_hours(30.0 * 24.0);
    for item in &new[..10] {
        world.click("changing", item);
        world.pass_hours(3.0);
    }
    let after = world.best("changing", 10);
    let share = share_in(&after, &new);
    assert!(share >= 0.5, "after: {share} of the new topic in {after:?}");
}

/// Readers of a paper of six topics with 300 old articles.
fn paper() -> World {
    let mut world = World::new();
    for article in 0..300 {
        let at = world.in_hours(-24.0 * (20.0 + article as f64 / 10.0));
        let topic = ["sport", "politics", "music", "science", "travel", "food"][article % 6];
        let title = format!("{topic} report {article}");
        let id = format!("old-{article}");
        world.add(Described::new(&id).titled(&title).topic(topic).published(at));
    }
    for day in 0..15 {
        for reader in 0..30 {
            // A reader has one topic.
            let article = (reader * 13 + day * 7) % 50 * 6 + reader % 6;
            world.click(&format!("reader-{reader}"), &format!("old-{article}"));
            world.pass_seconds(60.0);
        }
        world.pass_hours(23.0);
    }
    world
}

#[test]
fn a_new_article_among_old_ones_reaches_the_readers_of_its_topic() {
    let mut world = paper();
    let at = world.in_hours(-1.0);
    let title = "music report of tonight";
    world.add(Described::new("new").titled(title).topic("music").published(at));
    world.pass_hours(1.0);
    let rank = |reader: usize| {
        let list = world.top(&format!("reader-{reader}"), 20);
        list.iter().position(|item| item == "new")
    };
    // Readers 2, 8, 14, ... read music.
    let music: Vec<Option<usize>> = (0..30).filter(|n| n % 6 == 2).map(rank).collect();
    let others: Vec<Option<usize>> = (0..30).filter(|n| n % 6 != 2).map(rank).collect();
    let found = music.iter().flatten().count();
    assert!(found >= 4, "its index in twenty: {music:?} for music, {others:?} for other topics");
    let share =
        |ranks: &[Option<usize>]| ranks.iter().flatten().count() as f64 / ranks.len() as f64;
    let (own, all) = (share(&music), share(&others));
    assert!(own > all, "in twenty: {own} of music readers, {all} of others: {others:?}");
}

#[test]
fn a_new_user_gets_what_most_users_like() {
    let mut world = World::new();
    for film in 0..120 {
        world.add(Described::new(&format!("film-{film}")));
    }
    // 30 - n users like film n; one user likes each of those after film 30.
    for user in 0..30 {
        for film in (0..30 - user).chain([30 + user * 3]) {
            world.like(&format!("user-{user}"), &format!("film-{film}"));
            world.pass_seconds(20.0);
        }
        world.pass_hours(5.0);
    }
    let best: Vec<String> = (0..10).map(|film| format!("film-{film}")).collect();
    let list = world.answer(&Ask::of("stranger", 10).plain()).items();
    let share = share_in(&list, &best);
    assert!(share >= 0.8, "{share} of the ten most liked in {list:?}");
}
