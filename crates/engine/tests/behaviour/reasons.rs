//! What is said about why an item is there.

use engine::ReasonKind;

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Strategy;
use crate::harness::World;

const BONUS: &str = "exploration_bonus";

#[test]
fn that_an_item_is_new_is_its_last_reason_and_said_of_those_alone_that_are_newer_than_others() {
    let mut world = World::new();
    for item in 0..20 {
        world.add(Described::new(&format!("item-{item}")).topic("any"));
    }
    for user in 0..60 {
        for item in 0..12 {
            world.impression(&format!("user-{user}"), &format!("item-{item}"));
        }
        world.click(&format!("user-{user}"), &format!("item-{}", user % 12));
        world.pass_seconds(60.0);
    }
    let (mut new, mut drawn) = (0, 0);
    for key in 0..20 {
        let ask = Ask::of("reader", 20).plain().strategy(Strategy::EpsilonGreedy);
        for one in world.answer(&ask.keyed(&format!("key-{key}"))).list {
            let says = |kind| one.reasons.iter().filter(|reason| reason.kind == kind).count();
            let is_drawn = one.propensity < 0.5;
            assert_eq!(says(ReasonKind::Exploration), usize::from(is_drawn), "{one:?}");
            assert!(says(ReasonKind::New) <= 1, "{one:?}");
            drawn += usize::from(is_drawn);
            let number: usize = one.item["item-".len()..].parse().unwrap();
            let of_bonus = one.reasons.iter().position(|reason| reason.component == Some(BONUS));
            if let Some(place) = of_bonus {
                assert!(number >= 12 && !is_drawn, "{one:?}");
                assert_eq!(
                    (place + 1, one.reasons[place].kind),
                    (one.reasons.len(), ReasonKind::New)
                );
                new += 1;
            }
        }
    }
    assert!(new > 0 && drawn > 0, "{new} new, {drawn} drawn");
}
