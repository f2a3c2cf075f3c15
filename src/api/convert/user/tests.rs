//! Masks, additions and removals of UpdateUser, and what is refused.

use std::collections::BTreeMap;

use prost_types::Struct;
use prost_types::Value;
use prost_types::value::Kind;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn structure(fields: &[(&str, f64)]) -> Struct {
    let value = |number| Value { kind: Some(Kind::NumberValue(number)) };
    let fields = fields.iter().map(|&(name, number)| (name.to_owned(), value(number)));
    Struct { fields: fields.collect() }
}

fn blocked(topics: &[&str]) -> Option<proto::UserRules> {
    let blocked_topics = topics.iter().map(|&topic| topic.to_owned()).collect();
    Some(proto::UserRules { blocked_topics, ..Default::default() })
}

fn mute(topic: &str, seconds: Option<i64>) -> proto::Mute {
    let target = Some(proto::mute::Target::Topic(topic.to_owned()));
    let until = seconds.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
    proto::Mute { target, until }
}

fn boost(topic: &str, change: proto::user_boost::Change) -> proto::UserBoost {
    let target = Some(proto::user_boost::Target::Topic(topic.to_owned()));
    proto::UserBoost { target, change: Some(change), until: None }
}

/// With all there is.
fn ada() -> proto::User {
    proto::User {
        user_id: "ada".to_owned(),
        attributes: Some(structure(&[("age", 34.0), ("floor", 2.0)])),
        rules: Some(proto::UserRules {
            blocked_item_ids: vec!["i".to_owned()],
            blocked_sources: vec!["s".to_owned()],
            blocked_topics: vec!["t".to_owned()],
            mutes: vec![mute("m", Some(1_800_000_000))],
            boosts: vec![boost("b", proto::user_boost::Change::Multiply(2.0))],
        }),
        non_profiled: Some(true),
    }
}

fn request(user: proto::User, paths: &[&str]) -> proto::UpdateUserRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    proto::UpdateUserRequest {
        user: Some(user),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    }
}

/// What is set for a user after the change, of one with two attributes and a blocked topic.
fn after(request: proto::UpdateUserRequest) -> proto::User {
    let update = user_update(request).unwrap();
    let before = attributes(Some(structure(&[("age", 20.0), ("rooms", 3.0)]))).unwrap();
    let mut rules = UserRules::default();
    let add: Vec<Box<str>> = vec!["old".into()];
    let blocked_topics = ListChange { add, ..ListChange::default() };
    RulesChange { blocked_topics, ..RulesChange::default() }.apply_to(&mut rules, NOW);
    update.rules.apply_to(&mut rules, NOW);
    user_message("ada", &update.attributes.applied_to(&before), &rules, NOW)
}

#[test]
fn without_a_mask_what_is_set_is_replaced_and_the_rest_stays() {
    let empty = Default::default();
    let same = after(proto::UpdateUserRequest { user: Some(ada()), ..empty });
    assert_eq!(same, ada(), "all of it is replaced");
    let user = proto::User { user_id: "ada".to_owned(), non_profiled: Some(false), ..ada() };
    let user = proto::User { attributes: None, rules: None, ..user };
    let kept = after(request(user, &[]));
    assert_eq!(kept.attributes, Some(structure(&[("age", 20.0), ("rooms", 3.0)])));
    assert_eq!((kept.rules, kept.non_profiled), (blocked(&["old"]), Some(false)));
}

#[test]
fn a_mask_names_single_attributes_and_lists_and_removes_what_is_unset() {
    let changed = after(request(ada(), &["attributes.age", "attributes.rooms"]));
    assert_eq!(changed.attributes, Some(structure(&[("age", 34.0)])), "floor is not named");
    assert_eq!((changed.rules, changed.non_profiled), (blocked(&["old"]), Some(false)));
    let changed = after(request(ada(), &["rules.mutes", "rules.boosts"])).rules.unwrap();
    let of_ada = ada().rules.unwrap();
    assert_eq!((&changed.mutes, &changed.boosts), (&of_ada.mutes, &of_ada.boosts));
    assert_eq!(
        (changed.blocked_topics, changed.blocked_item_ids),
        (vec!["old".to_owned()], vec![])
    );
    let bare = || proto::User { user_id: "ada".to_owned(), ..Default::default() };
    assert_eq!(after(request(bare(), &["rules"])).rules, None);
    assert_eq!(after(request(bare(), &["attributes"])).attributes, None);
    let nothing = proto::User { non_profiled: Some(false), ..bare() };
    assert_eq!(after(request(bare(), &["*"])), nothing);
    assert_eq!(after(request(ada(), &["*"])), ada());
}

#[test]
fn single_entries_are_added_and_removed_and_the_others_stay() {
    let user = || proto::User { user_id: "ada".to_owned(), ..Default::default() };
    let (add, remove) = (blocked(&["new", "both"]), blocked(&["old", "both", "never there"]));
    let changed = after(proto::UpdateUserRequest { add, remove, ..request(user(), &[]) });
    assert_eq!(changed.rules, blocked(&["both", "new"]), "what is added stays");
    let add = blocked(&["new"]);
    let changed = after(proto::UpdateUserRequest { add, ..request(user(), &["rules"]) });
    assert_eq!(changed.rules, blocked(&["new"]), "a list is replaced first");
}

#[test]
fn rules_of_the_past_are_not_told() {
    let mutes = vec![mute("a", Some(1_600_000_000)), mute("b", None)];
    let user =
        proto::User { rules: Some(proto::UserRules { mutes, ..Default::default() }), ..ada() };
    assert_eq!(after(request(user, &["rules"])).rules.unwrap().mutes, [mute("b", None)]);
}

#[test]
fn all_wrong_fields_are_told_together() {
    let nan = boost("t", proto::user_boost::Change::Add(f64::NAN));
    let large = boost("", proto::user_boost::Change::Multiply(10.5));
    let bare = proto::UserBoost::default();
    let user = proto::User {
        user_id: String::new(),
        attributes: Some(structure(&[("n", f64::INFINITY)])),
        rules: Some(proto::UserRules {
            blocked_item_ids: vec!["x".repeat(257)],
            boosts: vec![nan, large, bare],
            ..Default::default()
        }),
        non_profiled: None,
    };
    let add = Some(proto::UserRules {
        blocked_sources: vec!["s".to_owned(); limits::USER_BLOCKED_LABELS + 1],
        mutes: vec![proto::Mute::default(), mute("\n", Some(-1))],
        ..Default::default()
    });
    let remove = blocked(&["fine", ""]);
    let request = proto::UpdateUserRequest { add, remove, ..request(user, &[]) };
    let violations = user_update(request).unwrap_err();
    let mut fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "add.blocked_sources",
            "add.mutes[0].target",
            "add.mutes[1].topic",
            "add.mutes[1].until",
            "remove.blocked_topics[1]",
            "user.attributes[\"n\"]",
            "user.rules.blocked_item_ids[0]",
            "user.rules.boosts[0].add",
            "user.rules.boosts[1].multiply",
            "user.rules.boosts[1].topic",
            "user.rules.boosts[2].change",
            "user.rules.boosts[2].target",
            "user.user_id",
        ]
    );
}

#[test]
fn a_path_that_names_nothing_is_told() {
    let paths = [
        "attributes.a.b",
        "attributes.",
        "rules.",
        "blocked_topics",
        "rules.x",
        "",
        "user_id",
        "*.x",
    ];
    let violations = user_update(request(ada(), &paths)).unwrap_err();
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, [1, 2, 3, 4, 5, 6, 7].map(|n| format!("update_mask.paths[{n}]")));
    let dotted = structure(&[("a.b", 1.0)]);
    let user = proto::User { attributes: Some(dotted.clone()), ..ada() };
    let changed = after(request(user, &["attributes.a.b"])).attributes.unwrap();
    let expected: BTreeMap<_, _> = dotted
        .fields
        .into_iter()
        .chain(structure(&[("age", 20.0), ("rooms", 3.0)]).fields)
        .collect();
    assert_eq!(changed.fields, expected);
}

mod properties {
    use proptest::collection::btree_map;
    use proptest::collection::vec;
    use proptest::num;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![9 => "[a-z.]{1,8}", 1 => any::<String>(), 1 => Just("é".repeat(200))]
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![9 => -1.0..1.0, 1 => num::f64::ANY]
    }

    fn time() -> impl Strategy<Value = Option<prost_types::Timestamp>> {
        let time = prop_oneof![9 => 0..2_000_000_000_i64, 1 => any::<i64>()];
        option::of(time.prop_map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }))
    }

    prop_compose! {
        fn rules()(
            (blocked_item_ids, blocked_sources) in (vec(text(), 0..3), vec(text(), 0..3)),
            blocked_topics in vec(text(), 0..3),
            mutes in vec((option::weighted(0.9, text()), time()), 0..3),
            boosts in vec((text(), option::weighted(0.9, number()), any::<bool>(), time()), 0..3),
        ) -> proto::UserRules {
            use proto::user_boost::Change;
            let mutes = mutes.into_iter().map(|(topic, until)| {
                proto::Mute { target: topic.map(proto::mute::Target::Topic), until }
            });
            let boosts = boosts.into_iter().map(|(source, value, adds, until)| {
                let change = value.map(|value| {
                    if adds { Change::Add(value) } else { Change::Multiply(value) }
                });
                let target = Some(proto::user_boost::Target::Source(source));
                proto::UserBoost { target, change, until }
            });
            let (mutes, boosts) = (mutes.collect(), boosts.collect());
            proto::UserRules { blocked_item_ids, blocked_sources, blocked_topics, mutes, boosts }
        }
    }

    proptest! {
        #[test]
        fn a_change_of_a_user_is_within_the_limits_and_comes_back_or_its_violations_are_named(
            user_id in text(),
            fields in btree_map(text(), number(), 0..3),
            lists in vec(option::of(rules()), 3),
            non_profiled in option::of(any::<bool>()),
            paths in vec(prop_oneof![
                Just("*".to_owned()),
                Just("rules.mutes".to_owned()),
                text().prop_map(|name| format!("attributes.{name}")),
                text(),
            ], 0..3),
        ) {
            let fields: Vec<(&str, f64)> =
                fields.iter().map(|(name, number)| (&**name, *number)).collect();
            let attributes = Some(structure(&fields));
            let [rules, add, remove] = <[_; 3]>::try_from(lists).unwrap();
            let user = Some(proto::User { user_id, attributes, rules, non_profiled });
            let update_mask = Some(FieldMask { paths });
            let namespace = String::new();
            let request = proto::UpdateUserRequest { namespace, user, update_mask, add, remove };
            match user_update(request) {
                Err(violations) => {
                    prop_assert!(!violations.is_empty());
                    prop_assert!(violations.iter().all(|one| !one.field.is_empty()));
                }
                Ok(update) => {
                    let (mut rules, none) = (UserRules::default(), Attributes::default());
                    prop_assert_eq!(update.rules.apply_to(&mut rules, NOW), []);
                    let attributes = update.attributes.applied_to(&none);
                    let told = user_message("u", &attributes, &rules, NOW);
                    let request = proto::UpdateUserRequest { user: Some(told), ..Default::default() };
                    let again = user_update(request).unwrap();
                    let mut same = UserRules::default();
                    again.rules.apply_to(&mut same, NOW);
                    prop_assert_eq!(same, rules);
                    prop_assert_eq!(again.attributes.applied_to(&none), attributes);
                }
            }
        }
    }
}
