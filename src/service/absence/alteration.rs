//! Single changes of a request that may bring an item in.

use crate::service::personalize::PersonalizeCall;
use engine::Boost;
use engine::Exclusion;
use engine::Filter;
use engine::Target;
use engine::domain::DiversityMethod;
use engine::domain::ItemId;
use engine::domain::ScoreChange;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Alteration {
    /// Do without a rule of the filter; the item is taken off the list of those left out.
    Without(Exclusion),
    /// Name it among the candidates.
    AddCandidate,
    /// Ask for this many results.
    MaxResults(usize),
    /// Add this to the item's score.
    Boost(f64),
    /// Do without the largest share of a topic.
    NoTopicThreshold,
    NoSourceThreshold,
    NoMaxPerTopic,
    NoMaxPerSource,
    /// Do without volume or calibration.
    NoDiversityWeight,
    NoSerendipity,
    NoNovelty,
    /// Do without any of the rules of variety.
    NoDiversity,
    NoPins,
}

impl Alteration {
    /// What of a call's variety and pins may stand in the way, one by one and then all
    /// rules of variety together.
    pub fn of_choice(call: &PersonalizeCall) -> Vec<Self> {
        let choice = &call.choice;
        let has_weight = choice.diversity_weight > 0.0 && choice.method != DiversityMethod::None;
        let single = [
            (Self::NoTopicThreshold, choice.topic_threshold > 0.0),
            (Self::NoSourceThreshold, choice.source_threshold > 0.0),
            (Self::NoMaxPerTopic, choice.max_per_topic > 0),
            (Self::NoMaxPerSource, choice.max_per_source > 0),
            (Self::NoDiversityWeight, has_weight),
            (Self::NoSerendipity, choice.serendipity_weight > 0.0),
            (Self::NoNovelty, choice.novelty_weight > 0.0),
            (Self::NoPins, !call.pins.is_empty()),
        ];
        let mut found: Vec<Self> =
            single.into_iter().filter(|entry| entry.1).map(|entry| entry.0).collect();
        if found.iter().filter(|one| **one != Self::NoPins).count() > 1 {
            found.push(Self::NoDiversity);
        }
        found
    }

    /// Whether it is about which of the candidates are chosen, not about their scores
    /// nor their number.
    pub fn is_about_choice(self) -> bool {
        !matches!(
            self,
            Self::Without(_) | Self::AddCandidate | Self::MaxResults(_) | Self::Boost(_)
        )
    }

    pub fn apply(self, call: &mut PersonalizeCall, item_id: &ItemId) {
        let choice = &mut call.choice;
        match self {
            Self::Without(rule) => without(&mut call.filter, rule, item_id),
            Self::AddCandidate => call.candidates.ids.push(item_id.clone()),
            Self::MaxResults(positions) => choice.positions = positions,
            Self::Boost(addend) => {
                let target = Target::Item(item_id.as_str().into());
                call.boosts.push(Boost { target, change: ScoreChange::Add(addend) });
            }
            Self::NoTopicThreshold => choice.topic_threshold = 0.0,
            Self::NoSourceThreshold => choice.source_threshold = 0.0,
            Self::NoMaxPerTopic => choice.max_per_topic = 0,
            Self::NoMaxPerSource => choice.max_per_source = 0,
            Self::NoDiversityWeight => choice.diversity_weight = 0.0,
            Self::NoSerendipity => choice.serendipity_weight = 0.0,
            Self::NoNovelty => choice.novelty_weight = 0.0,
            Self::NoDiversity => {
                (choice.diversity_weight, choice.topic_threshold) = (0.0, 0.0);
                (choice.serendipity_weight, choice.novelty_weight) = (0.0, 0.0);
                choice.source_threshold = 0.0;
                (choice.max_per_topic, choice.max_per_source) = (0, 0);
            }
            Self::NoPins => call.pins.clear(),
        }
    }
}

fn without(filter: &mut Filter, rule: Exclusion, item_id: &ItemId) {
    match rule {
        // No field of a request lifts these.
        Exclusion::NotInCatalogue
        | Exclusion::Withheld(_)
        | Exclusion::BlockedItem
        | Exclusion::BlockedSource
        | Exclusion::BlockedTopic
        | Exclusion::EarlierPage
        | Exclusion::HiddenByUser => {}
        Exclusion::Topics => filter.topics.clear(),
        Exclusion::Sources => filter.sources.clear(),
        Exclusion::PublishedAfter => filter.published_after = None,
        Exclusion::Listed => filter.exclude.retain(|id| **id != *item_id.as_str()),
        Exclusion::Attributes => filter.attributes = Default::default(),
        Exclusion::Expression => filter.expression = None,
        Exclusion::Seen => filter.include_seen = true,
        Exclusion::SeenCooldown => filter.seen_cooldown_hours = 0.0,
        Exclusion::SeenAfterSessions => filter.seen_after_sessions = 0,
        Exclusion::FrequencyCap => filter.frequency_cap_per_day = 0,
    }
}
