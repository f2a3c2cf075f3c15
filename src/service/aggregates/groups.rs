//! The groups of an answer: from the catalogue and the question, never from what users did. A group that
//! no user is in is answered like the others.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::super::error::Error;
use super::query::AggregateQuery;
use super::query::GroupBy;
use engine::Entry;
use engine::View;
use engine::domain::Interaction;
use engine::domain::InteractionType;
use engine::domain::Timestamp;
use engine::domain::Violation;

/// Groups of one answer: kilobytes each once it is stored.
const GROUPS_MAX: usize = 5_000;

/// The groups of an answer, by number.
#[derive(Debug)]
pub struct Groups {
    pub keys: Vec<String>,
    by: By,
}

/// How the groups of an interaction are found.
#[derive(Debug)]
enum By {
    Nothing,
    /// By the engine's numbers of topics or sources.
    Label(GroupBy, HashMap<u32, u32>),
    Kind(Vec<InteractionType>),
    /// Days since 1970, from this one on.
    Day(i64),
}

impl Groups {
    /// # Errors
    /// `Invalid` when there is none, `TooMuchToCount`.
    pub fn of(view: &View, query: &AggregateQuery) -> Result<Self, Error> {
        let groups = match query.group_by {
            GroupBy::Nothing => Self { keys: vec![String::new()], by: By::Nothing },
            GroupBy::Topic | GroupBy::Source => Self::of_catalogue(view, query.group_by),
            GroupBy::InteractionType => {
                let all = InteractionType::ALL.to_vec();
                let kinds = if query.types.is_empty() { all } else { query.types.clone() };
                let keys = kinds.iter().map(|kind| kind.name().to_owned()).collect();
                Self { keys, by: By::Kind(kinds) }
            }
            GroupBy::Day => {
                let (first, last) = (day(query.from), day(query.until.plus_millis(-1)));
                let keys = (first..=last).map(date).collect();
                Self { keys, by: By::Day(first) }
            }
        };
        match groups.keys.len() {
            0 => {
                let reason = "there are no such groups: the catalogue has none";
                Err(Error::Invalid(vec![Violation::new("group_by", reason)]))
            }
            found if found > GROUPS_MAX => {
                let (found, most) = (found as u64, GROUPS_MAX as u64);
                Err(Error::TooMuchToCount { what: "groups", found, most })
            }
            _ => Ok(groups),
        }
    }

    fn of_catalogue(view: &View, by: GroupBy) -> Self {
        let mut labels = BTreeMap::new();
        let entries = view.item_indices().map(|index| view.entry(index));
        for entry in entries.filter(|entry| entry.item.is_some()) {
            for label in labels_of(entry, by) {
                let name = match by {
                    GroupBy::Topic => view.topic_name(*label),
                    _ => view.source_name(*label),
                };
                labels.extend(name.map(|name| (name, *label)));
            }
        }
        let keys = labels.keys().map(|name| (*name).to_owned()).collect();
        let numbers = labels.values().zip(0..).map(|(label, group)| (*label, group)).collect();
        Self { keys, by: By::Label(by, numbers) }
    }

    /// Tells `put` the groups that an interaction is in, each once.
    pub fn each_of(&self, view: &View, interaction: &Interaction, mut put: impl FnMut(u32)) {
        match &self.by {
            By::Nothing => put(0),
            By::Label(by, numbers) => {
                let entry = view.catalogue_item(interaction.item_id.as_str());
                let labels = entry.map_or(&[][..], |entry| labels_of(entry, *by));
                labels.iter().filter_map(|label| numbers.get(label)).for_each(|group| put(*group));
            }
            By::Kind(kinds) => {
                kinds
                    .iter()
                    .zip(0..)
                    .filter(|(kind, _)| **kind == interaction.kind)
                    .for_each(|(_, group)| put(group));
            }
            By::Day(first) => {
                let group = u32::try_from(day(interaction.occurred_at) - first).ok();
                group.filter(|group| (*group as usize) < self.keys.len()).into_iter().for_each(put);
            }
        }
    }
}

fn labels_of(entry: &Entry, by: GroupBy) -> &[u32] {
    match by {
        GroupBy::Topic => &entry.topics,
        _ => entry.source.as_slice(),
    }
}

fn day(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(Timestamp::DAY_MS)
}

fn date(day: i64) -> String {
    let (year, month, day) = Timestamp::from_millis(day * Timestamp::DAY_MS).date();
    format!("{year:04}-{month:02}-{day:02}")
}
