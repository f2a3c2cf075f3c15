//! What is known about a user, in the terms of the API.

use std::sync::Arc;

use super::error::Error;
use crate::storage::Partition;
use engine::DecayTime;
use engine::DecayedRow;
use engine::ExperimentEntry;
use engine::Impressions;
use engine::View;
use engine::domain::Attributes;
use engine::domain::InteractionType;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::UserRules;

/// The key of a profile in the shared cache. It names the log and not only its namespace.
pub fn profile_key(partition: &Partition, user_id: &UserId) -> String {
    let Partition { namespace, incarnation } = partition;
    format!("profile/{namespace}/{incarnation}/{user_id}")
}

/// Recent items reported.
const RECENT: usize = 20;
/// Decayed mass at which half of a preference is believed.
const CONFIDENCE_MASS: f32 = 3.0;

/// A preference for a topic, source or device.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfilePart {
    pub name: String,
    /// Share of the user's decayed interactions, -1 to 1.
    pub weight: f64,
    /// 0 to 1: how much evidence there is.
    pub confidence: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TimePart {
    pub day_of_week: u32,
    pub hour: u32,
    pub weight: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RecentItem {
    pub item_id: String,
    pub title: String,
    pub kind: InteractionType,
    pub occurred_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct ProfileReport {
    pub user_id: String,
    /// Ids that were merged into the user, the latest first.
    pub merged_user_ids: Vec<String>,
    /// Live experiments that the user was exposed to, with the index of the variant.
    pub exposures: Vec<(Arc<ExperimentEntry>, u8)>,
    pub topics: Vec<ProfilePart>,
    pub sources: Vec<ProfilePart>,
    pub devices: Vec<ProfilePart>,
    pub times: Vec<TimePart>,
    /// Of types that there are any of, in the order of all types.
    pub interaction_counts: Vec<(InteractionType, u64)>,
    pub recent_items: Vec<RecentItem>,
    pub cohort: String,
    pub attributes: Attributes,
    pub rules: Arc<UserRules>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// Reports on the user that an id answers as.
///
/// # Errors
/// `NoUser` for a user never seen.
pub fn profile(view: &View, user_id: &str) -> Result<ProfileReport, Error> {
    let index = view.user_index(user_id).ok_or_else(|| Error::NoUser(user_id.to_owned()))?;
    let user = view.user(index);
    let impressions = view.impressions(index);
    let impression_events = impressions.map_or(0, Impressions::events);
    if user.changed_at == 0 && impression_events == 0 {
        // Only ranked for so far: that is our doing, not theirs.
        return Err(Error::NoUser(user_id.to_owned()));
    }
    let counts = InteractionType::ALL.into_iter().filter_map(|kind| {
        let count = match kind {
            InteractionType::Impression => impression_events,
            _ => user.counts[kind.index()],
        };
        (count > 0).then_some((kind, u64::from(count)))
    });
    // Of what the user did and of what they were shown.
    let did = (user.interactions() > 0).then_some((user.first_seen, user.last_seen));
    let seen = [did, impressions.and_then(Impressions::between)];
    let seen = seen.into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (first_seen, last_seen) = seen.unwrap_or_default();
    let recent = user.history.entries().iter().rev().filter_map(|entry| {
        let item = view.entry(entry.item).item.as_ref();
        Some(RecentItem {
            item_id: view.item_id(entry.item)?.to_owned(),
            title: item.map_or_else(String::new, |item| item.title.clone()),
            kind: entry.kind(),
            occurred_at: entry.at(),
        })
    });
    let now = view.profile_time(user);
    let aliases = view.aliases();
    let exposures = view.exposures_of(user_id).into_iter();
    Ok(ProfileReport {
        user_id: aliases.resolve(user_id).to_owned(),
        merged_user_ids: aliases.of(user_id).map(str::to_owned).collect(),
        exposures: exposures.map(|(entry, variant)| (entry.clone(), variant)).collect(),
        topics: parts(&user.topics, now, |topic| view.topic_name(topic)),
        sources: parts(&user.sources, now, |source| view.source_name(source)),
        devices: parts(&user.devices, now, |device| view.device_name(device)),
        times: times(&user.slots),
        interaction_counts: counts.collect(),
        recent_items: recent.take(RECENT).collect(),
        cohort: view.cohort_names(user).join(", "),
        attributes: user.attributes.clone(),
        rules: user.rules.clone(),
        first_seen,
        last_seen,
    })
}

/// The entries of a row as shares, the strongest first.
fn parts<'v>(
    row: &DecayedRow,
    now: DecayTime,
    name: impl Fn(u32) -> Option<&'v str>,
) -> Vec<ProfilePart> {
    let scale = row.scale(now);
    let total = row.total();
    let mut parts: Vec<ProfilePart> = row
        .entries()
        .iter()
        .filter(|_| total > 0.0)
        .filter_map(|&(key, stored)| {
            let mass = stored.abs() * scale;
            Some(ProfilePart {
                name: name(key)?.to_owned(),
                weight: f64::from(stored / total),
                confidence: f64::from(mass / (mass + CONFIDENCE_MASS)),
            })
        })
        .collect();
    parts.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
    parts
}

fn times(slots: &DecayedRow) -> Vec<TimePart> {
    let total = slots.total();
    let part = |&(slot, stored): &(u32, f32)| TimePart {
        day_of_week: slot / 24,
        hour: slot % 24,
        weight: f64::from(stored / total),
    };
    slots.entries().iter().filter(|_| total > 0.0).map(part).collect()
}
