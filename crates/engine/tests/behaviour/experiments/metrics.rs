//! Means with caps and adjustment, and slices of time.

use super::a_day_passes;
use super::user;
use super::world;
use crate::harness::Ask;
use crate::harness::Cap;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Plans;
use crate::harness::World;

#[test]
fn what_users_spent_before_makes_the_lift_of_revenue_more_exact() {
    let spread = |history: bool| {
        let mut world = world();
        // Every fifth user spends much, the others little: before and after.
        let worth = |number: usize| if number.is_multiple_of(5) { 40.0 } else { 2.0 };
        for number in (0..1_500).filter(|_| history) {
            let event = Event::of(&user(number), "item-1", Kind::Purchase);
            world.happens(event.value(worth(number)));
        }
        world.start(&Plans::new("money").on_revenue(Cap::None));
        for number in 0..1_500 {
            let user = user(number);
            world.visits(&user);
            let value = worth(number) * (0.9 + 0.2 * world.random.unit() as f32);
            world.happens(Event::of(&user, "item-2", Kind::Purchase).value(value));
            world.pass_seconds(10.0);
        }
        a_day_passes(&mut world);
        world.impression("nobody", "item-0");
        let treatment = world.results("money").metrics[0].treatments[0].clone();
        treatment.comparison.difference.unwrap().interval.width()
    };
    let (adjusted, plain) = (spread(true), spread(false));
    assert!(adjusted < 0.3 * plain, "{adjusted} against {plain}");
}

#[test]
fn a_cap_is_learnt_from_the_first_buyers_of_all_variants_and_nothing_counts_before() {
    let mut world = world();
    world.start(&Plans::new("money").on_revenue(Cap::Learnt));
    let spend = |world: &mut World, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let user = user(number);
            world.visits(&user);
            let value = if number == 7 { 100_000.0 } else { (number % 50) as f32 + 1.0 };
            world.happens(Event::of(&user, "item-2", Kind::Purchase).value(value));
            world.pass_seconds(10.0);
        }
        a_day_passes(world);
    };
    spend(&mut world, 0..400);
    let metric = world.results("money").metrics[0].clone();
    assert_eq!((metric.learning_cap, metric.arms[0].units), (Some((400, 500)), 0));
    assert!(world.advice("money").1.contains("400 of 500"));
    spend(&mut world, 400..600);
    let metric = world.results("money").metrics[0].clone();
    let cap = metric.cap.unwrap();
    assert!((49.0..=51.0).contains(&cap), "{cap}");
    assert_eq!(metric.arms[0].units + metric.arms[1].units, 600);
    assert!(
        metric.arms.iter().all(|arm| arm.mean < 30.0),
        "one large sum moves no mean: {metric:?}"
    );
}

#[test]
fn slices_of_time_are_compared_where_users_cannot_be_split() {
    let mut world = world();
    world.start(&Plans::new("prices").by_the_hour());
    let mut seen = [0; 2];
    // Some days of visits, a list each two minutes; more clicks while the treatment is on.
    for visit in 0..9_000 {
        let variant = world.variant("visitor", "prices").unwrap();
        seen[variant] += 1;
        let answer = world.decide(Ask::of(&user(visit), 3));
        if world.random.chance([0.2, 0.4][variant]) {
            world.reacts(&answer, &answer.items()[0].clone(), Kind::Click);
        }
        world.pass_seconds(120.0);
    }
    assert!(seen.iter().all(|seen| *seen > 3_000), "{seen:?}");
    let metric = world.results("prices").metrics[0].clone();
    let slices = metric.arms[0].units + metric.arms[1].units;
    assert!((290..=300).contains(&slices), "{slices} hours");
    let lift = metric.treatments[0].comparison.lift.unwrap();
    assert!(lift.interval.contains(1.0) && lift.interval.low > 0.0, "{lift:?}");
}

#[test]
fn a_slice_that_a_pause_breaks_does_not_count() {
    let mut world = world();
    world.start(&Plans::new("prices").by_the_hour());
    let list_and_click = |world: &mut World| {
        let answer = world.decide(Ask::of("ada", 3));
        world.reacts(&answer, &answer.items()[0].clone(), Kind::Click);
    };
    world.pass_hours(1.2);
    list_and_click(&mut world);
    world.pause("prices");
    list_and_click(&mut world);
    world.pass_hours(0.2);
    world.go_on("prices");
    list_and_click(&mut world);
    world.pass_hours(1.0);
    list_and_click(&mut world);
    a_day_passes(&mut world);
    let units: u64 = world.counted("prices").iter().map(|arm| arm.0).sum();
    assert_eq!(units, 1, "the hour after the pause");
}
