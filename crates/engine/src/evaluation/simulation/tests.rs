//! Small worlds in which what must come out is known.

use super::*;

fn settings(kind: Kind) -> Settings {
    Settings {
        kind,
        people: 150,
        items: 120,
        rounds: 8,
        positions: 8,
        drift: None,
        taste: 1.0,
        seed: 1,
    }
}

fn tally(world: &World, policy: &mut dyn Policy) -> Tally {
    run(world, policy, 4)
}

fn rate(world: &World, policy: &mut dyn Policy) -> f64 {
    tally(world, policy).rate_from(0).unwrap()
}

#[test]
fn the_oracle_earns_the_most_and_random_lists_the_least() {
    for kind in [Kind::News, Kind::Shop] {
        let world = World::new(settings(kind));
        let [random, popular, decaying, newest, oracle] = [
            rate(&world, &mut Random),
            rate(&world, &mut Popular::new(&world, None)),
            rate(&world, &mut Popular::new(&world, Some(2.0))),
            rate(&world, &mut Newest(&world)),
            rate(&world, &mut Oracle),
        ];
        // What was popular once is no news.
        let simple = if kind == Kind::News { newest } else { popular };
        assert!(1.2 * random < simple, "{kind:?}: {random} {simple}");
        for other in [random, popular, decaying, newest] {
            assert!(1.5 * other < oracle, "{kind:?}: {other} {oracle}");
        }
    }
}

#[test]
fn a_world_follows_from_its_settings_alone() {
    let [world, same] = [(), ()].map(|()| World::new(settings(Kind::News)));
    assert_eq!(tally(&world, &mut Oracle), tally(&same, &mut Oracle));
    assert_eq!(world.items(), same.items());
    let other = World::new(Settings { seed: 2, ..settings(Kind::News) });
    assert_ne!(tally(&world, &mut Oracle), tally(&other, &mut Oracle));
}

#[test]
fn fewer_people_click_further_down_the_list() {
    let world = World::new(settings(Kind::Shop));
    let positions = tally(&world, &mut Random).positions;
    let rates: Vec<f64> = positions.iter().map(|count| count.rate().unwrap()).collect();
    let (top, bottom) = (rates[..2].iter().sum::<f64>(), rates[6..].iter().sum::<f64>());
    // 1 and 0.71 against 0.38 and 0.35.
    assert!((1.7..3.3).contains(&(top / bottom)), "{rates:?}");
}

#[test]
fn whether_an_item_is_clicked_does_not_depend_on_the_list_it_is_in() {
    let world = World::new(settings(Kind::Shop));
    let visit = &world.visits(0)[0];
    let respond = |list: &[usize]| Audience::new(&world).show(visit, list)[0];
    for item in 1..100 {
        assert_eq!(respond(&[item, 0]), respond(&[item]));
    }
}

#[test]
fn news_appear_each_round_and_grow_old() {
    let world = World::new(settings(Kind::News));
    assert_eq!((0..8).map(|round| world.available(round).len()).collect::<Vec<_>>(), [120; 8]);
    assert_eq!((world.appearing(0).len(), world.appearing(1).len()), (120, 10));
    let visit = &world.visits(0)[0];
    let later = Visit { round: 2, ..visit.clone() };
    let [now, then] = [visit, &later].map(|visit| world.chance(visit, 5));
    assert!((now / then - 2.0_f64.powf(2.0 / 1.5)).abs() < 1e-9, "{now} {then}");
}

#[test]
fn an_article_is_read_once_and_some_goods_are_needed_again() {
    let world = World::new(settings(Kind::Shop));
    let mut audience = Audience::new(&world);
    let items: Vec<usize> = world.available(0).collect();
    let visits = world.visits(0);
    let bought = visits.iter().find_map(|visit| {
        let responses = audience.show(visit, &items);
        let is_it = |at: &usize| responses[*at].is_bought && world.items()[*at].is_repeated;
        items.iter().copied().find(is_it).map(|item| (visit, item))
    });
    let (visit, item) = bought.unwrap();
    assert_eq!(audience.chance(visit, item), 0.0);
    assert!(audience.is_done_with(visit, item));
    let later = Visit { round: 4, ..visit.clone() };
    assert!(audience.chance(&later, item) > 0.0);

    let news = World::new(settings(Kind::News));
    let mut audience = Audience::new(&news);
    let items: Vec<usize> = news.available(0).collect();
    for visit in news.visits(0) {
        let responses = audience.show(visit, &items);
        for (item, _) in items.iter().zip(responses).filter(|(_, it)| it.is_clicked) {
            assert_eq!(audience.chance(visit, *item), 0.0);
        }
    }
}

#[test]
fn people_arrive_and_come_at_their_own_pace() {
    let world = World::new(settings(Kind::Shop));
    let rounds: Vec<_> = (0..8).map(|round| world.visits(round)).collect();
    let new = |visits: &[Visit]| visits.iter().filter(|visit| visit.earlier == 0).count();
    assert!(rounds.iter().all(|visits| new(visits) > 0));
    assert!(rounds[7].len() > rounds[0].len(), "more and more have arrived");
    let most = rounds.iter().flat_map(|visits| visits.iter()).map(|visit| visit.earlier).max();
    assert!(most > Some(10), "{most:?}");
    let numbers = rounds.iter().flat_map(|visits| visits.iter()).map(|visit| visit.number);
    assert!(numbers.eq(0..rounds.iter().map(|visits| visits.len() as u64).sum()));
}

#[test]
fn after_a_drift_tastes_differ_and_the_oracle_knows() {
    let drift = Some(Drift { share: 0.5, round: 5 });
    let world = World::new(Settings { people: 400, drift, ..settings(Kind::Shop) });
    let changed: Vec<&Visit> = world.visits(5).iter().filter(|visit| visit.drifts).collect();
    let share = changed.len() as f64 / world.visits(5).len() as f64;
    assert!((0.35..0.65).contains(&share), "{share}");
    let before = Visit { since_drift: None, ..changed[0].clone() };
    assert_ne!(world.chance(changed[0], 3), world.chance(&before, 3));
    let recovery = tally(&world, &mut Oracle).recovery.unwrap();
    assert!(recovery.former.shown > 0 && recovery.since[0].shown > 0);
    let first = recovery.relative()[0].unwrap();
    assert!((0.7..1.4).contains(&first), "{first}");
    assert_eq!(Tally::new(&settings(Kind::Shop)).recovery, None);
}

#[test]
fn figures_are_told_in_tables_and_a_sentence() {
    let drift = Some(Drift { share: 0.5, round: 5 });
    let world = World::new(Settings { drift, ..settings(Kind::Shop) });
    let mut policies: [Box<dyn Policy>; 2] = [Box::new(Random), Box::new(Oracle)];
    let outcomes = policies.each_mut().map(|policy| Outcome {
        policy: policy.name().to_owned(),
        tally: run(&world, &mut **policy, 1),
    });
    let rows = by_round(&outcomes);
    assert_eq!(rows[0], ["round", "random", "oracle"]);
    assert_eq!(rows.len(), 1 + 8 + 2, "a head, rounds, all rounds, and its share of the oracle");
    assert_eq!(rows[10][2], "100 %");
    assert_eq!(by_earlier_visits(&outcomes)[0][1..], ["0", "1-2", "3-5", "6-11", "12+"]);
    assert_eq!(by_age(&outcomes)[0][1..], ["0", "1", "2-3", "4-7", "8+"]);
    let [random, oracle] = [0, 1].map(|at| outcomes[at].tally.share_of_most_shown(20).unwrap());
    assert!(random < oracle, "the oracle shows what has appeal: {random} {oracle}");
    assert_eq!(of_items(&outcomes)[1][1], outcomes[0].tally.items_shown().to_string());
    let recovery = of_recovery(&outcomes).unwrap();
    assert_eq!((recovery.len(), recovery[0].len()), (3, 7));
    let said = verdict(&outcomes);
    assert!(said.starts_with("Of 100 positions, random has") && said.contains("of the oracle"));
}
