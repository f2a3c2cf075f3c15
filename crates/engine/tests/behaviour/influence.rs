//! Influence: what one user does moves what others get only a little.

use crate::harness::Answer;
use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Strategy;
use crate::harness::World;
use crate::harness::mean;
use crate::harness::share_in;
use crate::harness::share_unchanged;

/// Readers with a trained model, of whose lists nobody has reported anything yet.
fn readers() -> Planted {
    let mut planted = Planted::untold_topics(World::new(), 100, 400, 20);
    planted.browse(24, 0.6);
    planted.world.train().unwrap();
    planted.browse(4, 0.6);
    planted
}

/// What others get before and after something that a visitor does with a list of ten.
fn moved_by(act: impl FnOnce(&mut World, &Answer)) -> String {
    let mut planted = readers();
    let (before, share_before) = (planted.lists(10), planted.share_of_favourites(10));
    assert!(share_before >= 0.7, "{share_before:.3} of the first ten are favourites to begin with");
    let answer = planted.world.decide(Ask::of("visitor", 10).strategy(Strategy::EpsilonGreedy));
    act(&mut planted.world, &answer);
    let (after, share) = (planted.lists(10), planted.share_of_favourites(10));
    let same = share_unchanged(&before, &after);
    let figures = format!(
        "{same:.3} of the positions of others are as they were, \
         {share:.3} of the first ten are favourites, before {share_before:.3}"
    );
    assert!(same >= 0.9 && share >= share_before - 0.03, "{figures}");
    figures
}

#[test]
fn ten_impressions_of_a_visitor_without_a_click_leave_the_lists_of_others_as_they_were() {
    moved_by(|world, answer| {
        for item in answer.items() {
            world.reacts(answer, &item, Kind::Impression);
        }
    });
}

#[test]
fn one_hide_of_a_visitor_leaves_the_lists_of_others_as_they_were() {
    moved_by(|world, answer| {
        let item = answer.items()[4].clone();
        world.reacts(answer, &item, Kind::Hide);
    });
}

#[test]
fn one_like_of_a_visitor_leaves_the_lists_of_others_as_they_were() {
    moved_by(|world, answer| {
        let item = answer.items()[4].clone();
        world.reacts(answer, &item, Kind::Like);
    });
}

#[test]
fn a_visitor_who_reloads_all_day_without_a_click_leaves_the_lists_of_others_as_good_as_they_were() {
    let mut planted = readers();
    let before = planted.share_of_favourites(10);
    for _ in 0..50 {
        let ask = Ask::of("visitor", 10).strategy(Strategy::EpsilonGreedy);
        let answer = planted.world.decide(ask);
        for item in answer.items() {
            planted.world.reacts(&answer, &item, Kind::Impression);
        }
        planted.world.pass_seconds(600.0);
    }
    let after = planted.share_of_favourites(10);
    assert!(after >= before - 0.03, "favourites: {before:.3} before, {after:.3} after");
}

#[test]
fn the_evidence_of_many_moves_the_ranking_of_all() {
    // Where favourites are clicked on and others are not, lists get better than before.
    let mut planted = Planted::topics(World::new(), 30, 200, 10);
    planted.browse(3, 0.6);
    let before = planted.share_of_favourites(10);
    planted.serve(6, 10, Strategy::EpsilonGreedy, 0.4);
    let after = planted.share_of_favourites(10);
    assert!(
        after >= before + 0.05 || after >= 0.9,
        "favourites: {before:.3} before, {after:.3} after"
    );
}

/// Readers of two days and a bot that makes three in ten of all events. What `bot` does is one
/// event.
fn with_bot(bot: impl Fn(&mut World, usize)) -> (Planted, Vec<String>) {
    let mut planted = Planted::topics(World::new(), 30, 200, 10);
    let junk: Vec<String> = (0..20).map(|number| format!("junk-{number}")).collect();
    for item in &junk {
        planted.world.add(Described::new(item).topic("junk"));
    }
    let mut done = 0;
    for _ in 0..16 {
        planted.browse_every(2.5, 1, 0.8);
        for _ in 0..13 {
            bot(&mut planted.world, done);
            planted.world.pass_seconds(40.0);
            done += 1;
        }
    }
    (planted, junk)
}

fn assert_junk_is_rare(planted: &Planted, junk: &[String]) {
    let share = mean(planted.lists(10).iter().map(|list| share_in(list, junk)));
    assert!(share <= 0.05, "{share:.3} of what readers get is the bot's");
    let stranger = planted.world.best("stranger", 10);
    let share = share_in(&stranger, junk);
    assert!(share <= 0.2, "{share} of what a new user gets is the bot's: {stranger:?}");
}

#[test]
fn a_bot_that_likes_the_same_items_all_day_does_not_get_them_to_others() {
    let (planted, junk) = with_bot(|world, done| {
        world.like("bot", &format!("junk-{}", done % 20));
    });
    assert_junk_is_rare(&planted, &junk);
}

#[test]
fn a_bot_that_likes_what_it_was_shown_does_not_get_it_to_others() {
    let (planted, junk) = with_bot(|world, done| {
        let item = format!("junk-{}", done % 20);
        let ask = Ask::of("bot", 1).among(&[&item]).include_seen(true);
        let answer = world.decide(ask);
        world.happens(Event::of("bot", &item, Kind::Like).to(&answer));
    });
    assert_junk_is_rare(&planted, &junk);
}
