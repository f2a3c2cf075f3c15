//! A visitor who signs in: two ids become one user, who is served as the one person they are.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Settings;
use crate::harness::World;
use crate::harness::quick_settings;
use crate::harness::share_in;

const VISITOR: &str = "visit-4711";

fn records(taste: &str) -> Vec<String> {
    (0..20).map(|number| format!("{taste}-{number:02}")).collect()
}

/// Twenty records of each taste, and ten fans of each who like a third of them.
fn shop() -> World {
    let mut world = World::with(quick_settings());
    for taste in ["jazz", "metal"] {
        records(taste).iter().for_each(|id| world.add(Described::new(id).topic(taste)));
    }
    for (taste, fan) in ["jazz", "metal"].into_iter().flat_map(|t| (0..10).map(move |f| (t, f))) {
        for number in 0..7 {
            let item = format!("{taste}-{:02}", (fan + 3 * number) % 20);
            world.like(&format!("{taste}-fan-{fan}"), &item);
        }
        world.pass_hours(0.5);
    }
    world
}

/// A visitor who likes jazz.
fn browsed(world: &mut World) {
    ["jazz-01", "jazz-08", "jazz-15"].iter().for_each(|item| world.like(VISITOR, item));
}

#[test]
fn after_a_sign_in_the_account_is_served_what_the_visitor_liked_under_either_id() {
    for had_account in [false, true] {
        let mut world = shop();
        if had_account {
            world.click("ada", "metal-03");
            world.pass_hours(200.0);
        }
        browsed(&mut world);
        let (known, before) = (world.users_known(), world.best("ada", 10));
        world.merge(VISITOR, "ada");
        let after = world.best("ada", 10);
        let share = share_in(&after, &records("jazz"));
        assert!(share >= 0.8, "had an account: {had_account}: {before:?}, then {after:?}");
        assert_eq!(world.best(VISITOR, 10), after, "both ids give the same list");
        assert!(!after.iter().any(|item| item == "jazz-08"), "the visitor had it: {after:?}");
        assert_eq!(world.top(VISITOR, 20), world.top("ada", 20), "random candidates, too");
        let expected = if had_account { known - 1 } else { known };
        assert_eq!(world.users_known(), expected);
        assert_eq!(world.times("ada", Kind::Like), 3);
        assert_eq!(world.merged_ids("ada"), [VISITOR]);
        assert_eq!(world.restored().best("ada", 10), after, "after a snapshot");
    }
}

#[test]
fn events_of_the_old_id_that_come_late_or_for_the_first_time_count_for_the_account() {
    let mut world = shop();
    world.merge(VISITOR, "ada");
    let known = world.users_known();
    browsed(&mut world);
    world.happens(Event::of(VISITOR, "jazz-02", Kind::Purchase).at(world.in_hours(-30.0)));
    assert_eq!(world.users_known(), known);
    assert_eq!((world.times("ada", Kind::Like), world.times("ada", Kind::Purchase)), (3, 1));
    let list = world.best("ada", 10);
    assert!(share_in(&list, &records("jazz")) >= 0.8, "{list:?}");
}

#[test]
fn what_the_visitor_was_shown_counts_for_the_caps_of_the_account() {
    // Of one who did something, and of one of whom nothing but requests is known.
    for did_something in [true, false] {
        let mut world = shop();
        if did_something {
            browsed(&mut world);
            world.impression(VISITOR, "metal-19");
        }
        let ask = |user: &str| Ask::of(user, 8).plain().capped(1);
        let of_visitor = world.decide(ask(VISITOR)).items();
        let of_account = world.decide(ask("ada")).items();
        world.merge(VISITOR, "ada");
        for user in ["ada", VISITOR] {
            let next = world.answer(&ask(user)).items();
            let again = |item: &&String| of_visitor.contains(item) || of_account.contains(item);
            let again: Vec<_> = next.iter().filter(again).collect();
            assert!(again.is_empty() && next.len() == 8, "{again:?} again in {next:?}");
            assert!(!did_something || !next.iter().any(|item| item == "metal-19"), "{next:?}");
        }
        // What is decided under the old id afterwards counts as well.
        let third = world.decide(ask(VISITOR)).items();
        let fourth = world.answer(&ask("ada")).items();
        assert!(fourth.iter().all(|item| !third.contains(item)), "{third:?} and {fourth:?}");
        world.pass_hours(25.0);
        assert!(!world.answer(&ask("ada")).items().is_empty(), "the next day");
    }
}

#[test]
fn what_either_id_hid_stays_hidden() {
    let mut world = shop();
    world.hide(VISITOR, "jazz-04");
    world.hide("ada", "jazz-05");
    world.like("ada", "jazz-04");
    world.pass_hours(1.0);
    world.hide(VISITOR, "jazz-06");
    world.like(VISITOR, "jazz-05");
    world.merge(VISITOR, "ada");
    let list = world.answer(&Ask::of("ada", 40).include_seen(true)).items();
    let has = |item: &str| list.iter().any(|one| one == item);
    assert!(!has("jazz-06"), "{list:?}");
    assert!(has("jazz-05"), "a later like of the other id takes the hide back: {list:?}");
    assert!(!has("jazz-04"), "of the same moment the hide holds: {list:?}");
}

#[test]
fn a_reward_for_a_list_of_the_visitor_teaches_whichever_id_sends_it() {
    for sender in ["ada", VISITOR] {
        let mut world = shop();
        let (first, second) = (world.decide(Ask::of(VISITOR, 5)), world.decide(Ask::of("ada", 5)));
        let item = first.items()[1].clone();
        let before = world.rewards_learnt();
        world.happens(Event::of("ada", &item, Kind::Click).to(&first));
        assert_eq!(world.rewards_learnt(), before, "the list of another user, so far");
        world.merge(VISITOR, "ada");
        world.happens(Event::of(sender, &first.items()[2], Kind::Click).to(&first));
        world.happens(Event::of(sender, &second.items()[0], Kind::Click).to(&second));
        assert_eq!(world.rewards_learnt(), before + 2, "sent by {sender}");
        world.happens(Event::of("metal-fan-1", &first.items()[3], Kind::Click).to(&first));
        assert_eq!(world.rewards_learnt(), before + 2, "of someone else it is none");
    }
}

#[test]
fn a_merge_that_comes_again_or_in_a_circle_changes_nothing() {
    let mut world = shop();
    browsed(&mut world);
    world.like("ada", "jazz-09");
    world.merge(VISITOR, "ada");
    let mut digests = Vec::new();
    for (from, into) in [(VISITOR, "ada"), ("ada", VISITOR), ("ada", "ada"), (VISITOR, "bert")] {
        let mut other = world.fork();
        other.merge(from, into);
        assert_eq!(other.derived_key("ada"), world.derived_key("ada"), "{from} into {into}");
        assert_eq!(other.best("ada", 10), world.best("ada", 10));
        assert_eq!(other.merged_ids("ada"), [VISITOR]);
        digests.push(other.digest());
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "no bit differs");
    assert_eq!(world.derived_key("bert"), None);
}

#[test]
fn users_who_were_merged_into_one_who_is_merged_go_along() {
    let mut world = shop();
    browsed(&mut world);
    world.merge(VISITOR, "ada@work");
    world.merge("another-visit", "ada@work");
    world.like("ada", "jazz-02");
    world.merge("ada@work", "ada");
    world.like(VISITOR, "jazz-03");
    assert_eq!(world.times("ada", Kind::Like), 5);
    assert_eq!(world.merged_ids(VISITOR), ["ada@work", "another-visit", VISITOR]);
    let list = world.best("ada", 10);
    for id in [VISITOR, "another-visit", "ada@work"] {
        assert_eq!(world.best(id, 10), list, "{id}");
    }
    // Merging into a name of a user is merging into the user.
    world.like("phone", "jazz-05");
    world.merge("phone", VISITOR);
    assert_eq!((world.times("ada", Kind::Like), world.times("phone", Kind::Like)), (6, 6));
}

#[test]
fn others_are_served_as_if_there_had_been_no_merge() {
    let mut world = shop();
    browsed(&mut world);
    world.like("ada", "jazz-09");
    let before = world.fork();
    world.merge(VISITOR, "ada");
    for user in ["jazz-fan-1", "metal-fan-1", "a-stranger"] {
        let (one, other) = (before.answer(&Ask::of(user, 10)), world.answer(&Ask::of(user, 10)));
        let scores = |answer: &crate::harness::Answer| {
            answer.list.iter().map(|one| (one.item.clone(), one.score)).collect::<Vec<_>>()
        };
        assert_eq!(scores(&one), scores(&other), "{user}");
    }
    assert_eq!(world.weights(), before.weights());
}

#[test]
fn an_account_that_was_evicted_is_still_the_one_that_its_old_id_answers_as() {
    let mut world = World::with(Settings { users_max: 100, ..quick_settings() });
    world.like(VISITOR, "film-1");
    world.merge(VISITOR, "ada");
    for number in 0..400 {
        let user = format!("user-{}", number % 200);
        world.like(&user, &format!("film-{}", number % 7));
        world.pass_seconds(1.0);
    }
    assert_eq!(world.derived_key("ada"), None, "evicted");
    world.like(VISITOR, "film-2");
    assert_eq!(world.times("ada", Kind::Like), 1);
    assert_eq!(world.merged_ids("ada"), [VISITOR]);
}
