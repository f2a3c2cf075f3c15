//! Changes of users of any kind.

use std::fmt::Debug;

use super::*;
use engine::domain::AttributesChange;
use engine::domain::ListChange;
use engine::domain::Mute;
use engine::domain::RuleTarget;
use engine::domain::RulesChange;
use engine::domain::ScoreChange;
use engine::domain::UserBoost;
use engine::domain::UserUpdate;

fn target() -> impl Strategy<Value = RuleTarget> {
    prop_oneof![
        label().prop_map(RuleTarget::Item),
        label().prop_map(RuleTarget::Topic),
        label().prop_map(RuleTarget::Source),
    ]
}

fn list<T: Debug, K: Debug>(
    entry: impl Strategy<Value = T>,
    key: impl Strategy<Value = K>,
) -> impl Strategy<Value = ListChange<T, K>> {
    let lists = (prop::collection::vec(entry, 0..4), prop::collection::vec(key, 0..4));
    (any::<bool>(), lists).prop_map(|(replaces, (add, remove))| ListChange {
        replaces,
        add,
        remove,
    })
}

pub fn user_update() -> impl Strategy<Value = Record> {
    let mute =
        (target(), prop::option::of(time())).prop_map(|(target, until)| Mute { target, until });
    let change = prop_oneof![
        (-1.0..1.0).prop_map(ScoreChange::Add),
        (0.0..10.0).prop_map(ScoreChange::Multiply),
    ];
    let boost = (target(), change, prop::option::of(time()))
        .prop_map(|(target, change, until)| UserBoost { target, change, until });
    let attributes = (any::<bool>(), attributes(), prop::collection::vec(label(), 0..4));
    let attributes =
        attributes.prop_map(|(replaces, set, remove)| AttributesChange { replaces, set, remove });
    let names = || list(label(), label());
    let rules = (
        (names(), names(), names()),
        (list(mute, target()), list(boost, target())),
        prop::option::of(any::<bool>()),
    );
    let rules = rules.prop_map(|(names, (mutes, boosts), non_profiled)| RulesChange {
        blocked_items: names.0,
        blocked_sources: names.1,
        blocked_topics: names.2,
        mutes,
        boosts,
        non_profiled,
    });
    (id(UserId::parse), attributes, rules).prop_map(|(user_id, attributes, rules)| {
        Record::UserUpdated(UserUpdate { user_id, attributes, rules })
    })
}

#[test]
fn a_boost_that_is_not_finite_is_damage() {
    for bits in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let target = RuleTarget::Topic("t".into());
        let boost = UserBoost { target, change: ScoreChange::Add(bits), until: None };
        let boosts = ListChange { add: vec![boost], ..ListChange::default() };
        let rules = RulesChange { boosts, ..RulesChange::default() };
        let user_id = UserId::parse("u").unwrap();
        let attributes = AttributesChange::default();
        let record = Record::UserUpdated(UserUpdate { user_id, attributes, rules });
        let payload = written(&[record], Timestamp::default());
        assert!(matches!(read_all(&payload, 1), Err(Fault::Damaged(_))));
    }
}
