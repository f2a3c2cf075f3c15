//! A change of what a user has set, as JSON: what it removes and what it adds.

use serde::Serialize;

use super::values::AttributesJson;
use super::values::Instant;
use engine::domain::ListChange;
use engine::domain::Mute;
use engine::domain::RuleTarget;
use engine::domain::ScoreChange;
use engine::domain::UserBoost;
use engine::domain::UserUpdate;

#[derive(Serialize)]
pub struct UpdateJson<'a> {
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<AttributesChangeJson<'a>>,
    #[serde(skip_serializing_if = "RulesJson::is_empty")]
    rules: RulesJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    non_profiled: Option<bool>,
}

#[derive(Serialize)]
struct AttributesChangeJson<'a> {
    replaces: bool,
    set: AttributesJson<'a>,
    remove: &'a [Box<str>],
}

/// Lists that change.
#[derive(Serialize)]
struct RulesJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_item_ids: Option<NamesJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_sources: Option<NamesJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_topics: Option<NamesJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutes: Option<ListJson<RuleJson<'a>, TargetJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boosts: Option<ListJson<RuleJson<'a>, TargetJson<'a>>>,
}

type NamesJson<'a> = ListJson<&'a str, &'a str>;

#[derive(Serialize)]
struct ListJson<T, K> {
    replaces: bool,
    add: Vec<T>,
    remove: Vec<K>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum TargetJson<'a> {
    ItemId(&'a str),
    Topic(&'a str),
    Source(&'a str),
}

#[derive(Serialize)]
struct RuleJson<'a> {
    #[serde(flatten)]
    target: TargetJson<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    change: Option<ScoreChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Instant>,
}

impl<'a> UpdateJson<'a> {
    pub fn new(update: &'a UserUpdate) -> Self {
        let (attributes, rules) = (&update.attributes, &update.rules);
        Self {
            user_id: update.user_id.as_str(),
            attributes: (!attributes.is_empty()).then(|| AttributesChangeJson {
                replaces: attributes.replaces,
                set: AttributesJson(&attributes.set),
                remove: &attributes.remove,
            }),
            rules: RulesJson {
                blocked_item_ids: names(&rules.blocked_items),
                blocked_sources: names(&rules.blocked_sources),
                blocked_topics: names(&rules.blocked_topics),
                mutes: list(&rules.mutes, mute, target),
                boosts: list(&rules.boosts, boost, target),
            },
            non_profiled: rules.non_profiled,
        }
    }
}

impl RulesJson<'_> {
    fn is_empty(&self) -> bool {
        let names = [&self.blocked_item_ids, &self.blocked_sources, &self.blocked_topics];
        names.iter().all(|list| list.is_none()) && self.mutes.is_none() && self.boosts.is_none()
    }
}

fn names(change: &ListChange<Box<str>>) -> Option<NamesJson<'_>> {
    list(change, |name| &**name, |name| &**name)
}

/// `None` where the list does not change.
fn list<'a, T, K, A, R>(
    change: &'a ListChange<T, K>,
    added: impl Fn(&'a T) -> A,
    removed: impl Fn(&'a K) -> R,
) -> Option<ListJson<A, R>> {
    let ListChange { replaces, add, remove } = change;
    let changes = *replaces || !add.is_empty() || !remove.is_empty();
    changes.then(|| ListJson {
        replaces: *replaces,
        add: add.iter().map(added).collect(),
        remove: remove.iter().map(removed).collect(),
    })
}

fn target(target: &RuleTarget) -> TargetJson<'_> {
    match target {
        RuleTarget::Item(id) => TargetJson::ItemId(id),
        RuleTarget::Topic(topic) => TargetJson::Topic(topic),
        RuleTarget::Source(source) => TargetJson::Source(source),
    }
}

fn mute(mute: &Mute) -> RuleJson<'_> {
    RuleJson { target: target(&mute.target), change: None, until: mute.until.map(Instant) }
}

fn boost(boost: &UserBoost) -> RuleJson<'_> {
    let (change, until) = (Some(boost.change), boost.until.map(Instant));
    RuleJson { target: target(&boost.target), change, until }
}
