//! Recommending without a profile: nothing that was learnt about the user is used, and nothing more is
//! learnt.

use crate::harness::Answer;
use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::SetFor;
use crate::harness::World;
use crate::harness::everything_is_finite;

const USERS: usize = 60;

/// Users of two tastes with a trained model; `even` and `odd` have the opposite ones and live in
/// different countries, whose people have these tastes.
fn two_tastes() -> Planted {
    let mut planted = Planted::checkerboard(World::new(), USERS, 80);
    for user in 0..USERS {
        let country = ["AT", "NZ"][user % 2];
        planted
            .world
            .update(&format!("user-{user}"), SetFor::default().attribute("country", country));
    }
    planted.browse(14, 0.95);
    planted.world.train().expect("enough to train on");
    planted
}

fn ask(user: &str) -> Ask {
    Ask::of(user, 20).plain().include_seen(true)
}

fn without_profile(world: &mut World, users: &[&str]) {
    users.iter().for_each(|user| world.update(user, SetFor::default().profiled(false)));
}

fn numbers(answer: &Answer) -> Vec<(String, f64)> {
    answer.list.iter().map(|one| (one.item.clone(), one.score)).collect()
}

#[test]
fn users_of_opposite_tastes_get_one_list_and_their_own_ones_again_with_a_profile() {
    let Planted { mut world, .. } = two_tastes();
    let (even, odd) = (world.answer(&ask("user-2")), world.answer(&ask("user-3")));
    let shared = even.items().iter().filter(|item| odd.items().contains(item)).count();
    assert!(shared <= 10, "their lists share {shared} of 20 items");
    without_profile(&mut world, &["user-2", "user-3"]);
    let lists = [world.answer(&ask("user-2")), world.answer(&ask("user-3"))];
    assert_eq!(numbers(&lists[0]), numbers(&lists[1]));
    let vectors =
        lists.each_ref().map(|list| list.features().map(<[f32]>::to_vec).collect::<Vec<_>>());
    assert_eq!(vectors[0], vectors[1], "what the ranker learns from holds nothing personal");
    let stranger = world.answer(&ask("a stranger"));
    assert_eq!(numbers(&lists[0]), numbers(&stranger), "as that of a user who is not known");
    let restored = world.restored();
    assert_eq!(numbers(&restored.answer(&ask("user-2"))), numbers(&lists[0]));
    world.update("user-2", SetFor::default().profiled(true));
    assert_eq!(
        numbers(&world.answer(&ask("user-2"))),
        numbers(&even),
        "what was known is used again"
    );
}

#[test]
fn the_context_of_the_request_and_the_users_own_rules_count_without_a_profile() {
    let Planted { mut world, .. } = two_tastes();
    without_profile(&mut world, &["user-2"]);
    for number in 0..10 {
        let item = format!("beach-{number}");
        world.add(Described::new(&item).topic("beach"));
        for user in 0..6 {
            let event = Event::of(&format!("tourist-{user}"), &item, Kind::Like);
            world.happens(event.location("Rio"));
        }
        world.pass_hours(1.0);
    }
    let beaches = |answer: Answer| {
        let scores = answer.candidates.iter().filter(|one| one.item.starts_with("beach"));
        scores.map(|one| one.score).sum::<f64>()
    };
    let at = |place: &str| beaches(world.answer(&ask("user-2").location(place)));
    assert!(at("Rio") > at("Oslo"), "{} in Rio, {} elsewhere", at("Rio"), at("Oslo"));
    world.update("user-2", SetFor::default().block_topic("beach"));
    assert_eq!(beaches(world.answer(&ask("user-2").location("Rio"))), 0.0);
}

#[test]
fn events_without_a_profile_make_items_popular_and_teach_nothing_about_the_user() {
    let Planted { mut world, .. } = two_tastes();
    without_profile(&mut world, &["user-2"]);
    let had = world.had("user-2");
    let score = |answer: &Answer, item: &str| answer.candidate(item).score;
    let everything = || Ask::of("a stranger", 80).plain();
    let stranger = world.answer(&everything());
    for _ in 0..30 {
        world.like("user-2", "item-7");
        world.pass_hours(1.0);
    }
    assert_eq!(world.had("user-2"), had);
    let now = world.answer(&everything());
    assert!(score(&now, "item-7") > score(&stranger, "item-7"), "it is more popular");
    assert_eq!(everything_is_finite(&world, &["user-2"]), Ok(()));
    world.update("user-2", SetFor::default().profiled(true));
    assert_eq!(world.had("user-2"), had, "also with a profile again");
}

#[test]
fn a_training_reads_no_history_of_users_who_are_not_profiled() {
    let mut planted = Planted::checkerboard(World::new(), USERS, 80);
    planted.browse(14, 0.95);
    let Planted { mut world, users, .. } = planted;
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    assert!(world.fork().train().is_ok());
    without_profile(&mut world, &users);
    let found = world.train();
    assert!(found.is_err(), "nobody is left to learn from: {found:?}");
}

#[test]
fn what_was_hidden_stays_hidden_without_a_profile_until_it_is_liked() {
    let Planted { mut world, .. } = two_tastes();
    world.hide("user-2", "item-1");
    without_profile(&mut world, &["user-2"]);
    world.hide("user-2", "item-2");
    let shows = |world: &World, item: &str| {
        let all = world.answer(&Ask::of("user-2", 80).plain().include_seen(true));
        all.items().contains(&item.to_owned())
    };
    assert!(!shows(&world, "item-1") && !shows(&world, "item-2") && shows(&world, "item-3"));
    world.like("user-2", "item-2");
    assert!(shows(&world, "item-2"), "a later yes holds");
    let seen = world.answer(&Ask::of("user-2", 80).plain().include_seen(false));
    assert!(seen.list.len() >= 78, "without a history nothing counts as seen: {}", seen.list.len());
}

#[test]
fn decisions_without_a_profile_earn_rewards() {
    let Planted { mut world, .. } = two_tastes();
    without_profile(&mut world, &["user-2"]);
    let answer = world.decide(Ask::of("user-2", 5).plain());
    let shown = answer.items()[0].clone();
    let before = world.answer(&Ask::of("a stranger", 80).plain());
    world.reacts(&answer, &shown, Kind::Like);
    let after = world.answer(&Ask::of("a stranger", 80).plain());
    let score = |answer: &Answer| answer.candidate(&shown).score;
    assert!(score(&after) > score(&before), "{} after {}", score(&after), score(&before));
}
