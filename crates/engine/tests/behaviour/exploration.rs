//! Exploration: it looks where little is known, goes on, and costs little.

use crate::harness::Answer;
use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Strategy;
use crate::harness::World;

/// Readers who were served for a while: much is known of the catalogue.
fn served(rounds: usize) -> Planted {
    let mut planted = Planted::topics(World::new(), 20, 60, 6);
    planted.browse(6, 0.8);
    planted.serve(rounds, 8, Strategy::EpsilonGreedy, 0.25);
    planted.world.pass_hours(20.0 * 24.0);
    planted
}

/// The deviation of an item for a reader, and those of all others in order.
fn deviations(world: &World, item: &str) -> (f64, Vec<f64>) {
    // Among all items: which of them retrieval draws is another matter.
    let items: Vec<String> = (0..60).map(|item| format!("item-{item}")).collect();
    let mut items: Vec<&str> = items.iter().map(String::as_str).collect();
    items.extend(["unknown", "shown", "not-shown"]);
    let answer = world.answer(&Ask::of("user-3", 8).plain().among(&items));
    let own = answer.candidate(item).deviation;
    let others = answer.candidates.iter().filter(|one| one.item != item);
    let mut others: Vec<f64> = others.map(|one| one.deviation).collect();
    others.sort_by(f64::total_cmp);
    (own, others)
}

#[test]
fn an_item_that_nobody_knows_is_among_the_most_uncertain() {
    let mut planted = served(10);
    planted.world.add(Described::new("unknown").topic("topic-2"));
    let (own, others) = deviations(&planted.world, "unknown");
    let below = others.iter().filter(|one| **one < own).count() as f64 / others.len() as f64;
    let middle = others[others.len() / 2];
    assert!(
        below >= 0.75,
        "its deviation is {own:.5}, above {below:.2} of the others; in their middle {middle:.5}"
    );
}

#[test]
fn what_is_shown_often_becomes_less_uncertain() {
    let mut planted = served(2);
    let world = &mut planted.world;
    for item in ["shown", "not-shown"] {
        world.add(Described::new(item).topic("topic-2"));
    }
    let before = deviations(world, "shown").0;
    for visit in 0..200 {
        let ask = Ask::of(&format!("visitor-{visit}"), 1).among(&["shown"]);
        let answer = world.decide(ask);
        world.reacts(&answer, "shown", Kind::Impression);
        world.pass_seconds(60.0);
    }
    let (shown, not_shown) = (deviations(world, "shown").0, deviations(world, "not-shown").0);
    assert!(
        shown <= 0.7 * not_shown,
        "shown 200 times {shown:.5}, never {not_shown:.5}, before {before:.5}"
    );
}

#[test]
fn exploration_of_unknown_items_goes_on_after_many_impressions() {
    let mut planted = served(2);
    let world = &mut planted.world;
    world.add(Described::new("unknown").topic("topic-2"));
    let early = deviations(world, "unknown").0;
    // What readers were shown is shown to many others.
    let answers: Vec<Answer> =
        (0..20).map(|user| world.decide(Ask::of(&format!("user-{user}"), 8).plain())).collect();
    for visit in 0..4_000 {
        let again = world.repeat_decision(&answers[visit % 20], &format!("visitor-{visit}"));
        for item in again.items() {
            world.reacts(&again, &item, Kind::Impression);
        }
        world.pass_seconds(20.0);
    }
    let late = deviations(world, "unknown").0;
    assert!(
        late >= 0.5 * early,
        "the deviation of an unknown item was {early:.5}, after 32,000 impressions of others it \
         is {late:.5}"
    );
}

#[test]
fn exploration_prefers_what_is_not_known_to_what_is_known_to_be_poor() {
    // Of one world and one reader the ratio is a matter of luck.
    let mut shown = [0, 0];
    for rounds in 4..8 {
        let mut planted = served(rounds);
        let world = &mut planted.world;
        for item in ["poor", "unknown"] {
            world.add(Described::new(item).topic("topic-3"));
        }
        for visit in 0..150 {
            let ask = Ask::of(&format!("visitor-{visit}"), 1).among(&["poor"]);
            let answer = world.decide(ask);
            world.reacts(&answer, "poor", Kind::Impression);
            world.pass_seconds(60.0);
        }
        // Neither is new any more.
        world.pass_hours(20.0 * 24.0);
        for draw in 0..400 {
            // One position for both: in a longer list of a reader who favours their topic there
            // would be one for each, whatever is known of them.
            let ask = Ask::of("user-3", 1).plain().among(&["poor", "unknown"]);
            let ask = ask.strategy(Strategy::Thompson).keyed(&format!("draw-{draw}"));
            let list = world.answer(&ask).items();
            shown[usize::from(list[0] == "unknown")] += 1;
        }
        println!("{rounds}: {shown:?}");
    }
    let [poor, unknown] = shown;
    assert!(2 * unknown >= 3 * poor, "{poor} lists show the poor item, {unknown} the unknown one");
}

#[test]
fn thompson_sampling_without_a_reward_costs_at_most_a_twentieth() {
    let mut planted = Planted::untold_topics(World::new(), 40, 300, 10);
    planted.browse(18, 0.7);
    planted.world.train().unwrap();
    let greedy = planted.ndcg(20, Strategy::Greedy, 1);
    let thompson = planted.ndcg(20, Strategy::Thompson, 4);
    assert!(thompson >= 0.95 * greedy, "NDCG@20 {thompson:.4}, greedy {greedy:.4}");
}
