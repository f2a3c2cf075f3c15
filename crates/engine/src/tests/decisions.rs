//! What is known of decisions, and what they leave behind.

use super::*;
use crate::bandit::PENDING_DECISIONS_MAX;
use crate::domain::ArmContext;
use crate::domain::ArmName;
use crate::domain::ArmSelection;
use crate::domain::ArmSetName;
use crate::domain::ArmStrategy;
use crate::domain::OfferedArm;

fn selection(id: &str) -> ArmSelection {
    let offered = ["red", "blue"].map(|name| OfferedArm {
        name: ArmName::parse(name).unwrap(),
        propensity: 0.5,
        mean: 0.0,
    });
    ArmSelection {
        decision_id: DecisionId::parse(id).unwrap(),
        set: ArmSetName::parse("colours").unwrap(),
        offered: offered.into(),
        chosen: 0,
        context: ArmContext::default(),
        strategy: ArmStrategy::Thompson,
        epsilon: 0.0,
        selected_at: Timestamp::from_seconds(1_700_000_000),
        watermark: 0,
        seed: 0,
    }
}

#[test]
fn decisions_and_selections_are_known_as_long_as_they_can_be_rewarded() {
    let mut world = World::new(2);
    world.catalogue();
    world.decision();
    world.push(Record::ArmSelected(selection("chosen")));
    let mut engine = applied(&world.records);
    let knows = |engine: &Engine, id: &str| engine.state().knows_decision(decision_key(id));
    assert!(knows(&engine, "decision-0") && knows(&engine, "chosen"));
    assert!(!knows(&engine, "decision-1") && !knows(&engine, ""));
    let restored = Engine::restore(engine.state().sections()).unwrap();
    assert!(knows(&restored, "decision-0") && knows(&restored, "chosen"));
    let learnt = world.records.len();
    for _ in 0..PENDING_DECISIONS_MAX {
        world.decision();
    }
    engine.apply(&world.records[learnt..]).unwrap();
    assert!(!knows(&engine, "decision-0") && knows(&engine, "chosen"));
    assert!(knows(&engine, "decision-1") && knows(&engine, "decision-16384"));
}
