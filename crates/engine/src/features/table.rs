//! The features: one row each. Names of score components, groups of ablations, reasons, masks
//! and the table of `docs/features.md` come from here.
//!
//! - To add a feature, write its function in [`Describer`] and a row with a number that was never
//!   used. To remove one, delete both; its number is not used again.
//! - Learnt state is stored by number, so it survives either change.

use crate::domain::FeatureId;
use crate::domain::FeatureLayout;
use crate::features::describer::Describer;
use crate::features::describer::Needs;
use crate::features::describer::Subject;
use crate::features::reason::Cause;
use crate::features::reason::ReasonKind;
use crate::models::cold_start::Scales;
use crate::models::hybrid::Prior;
use crate::models::hybrid::ScaleOf;

/// The numbers of the values before the features in the ranker's vector.
pub const BIAS: FeatureId = 0;
pub const HYBRID: FeatureId = 1;

/// One feature of a user and a candidate.
#[derive(Debug)]
pub struct Feature {
    /// Its permanent number; 2 or more.
    pub id: FeatureId,
    /// Also the name of its score component.
    pub name: &'static str,
    /// The features that an ablation leaves out together.
    pub group: &'static str,
    /// What must be known for it to be other than 0.
    pub needs: Needs,
    /// What its values are divided by: the root mean square of those that are not 0.
    pub scale: ScaleOf,
    /// Weight per unit before anything was learnt.
    pub prior_weight: f64,
    /// The reason that it gives for an item, and the cause that this names.
    pub reason: (ReasonKind, Cause),
    /// A sentence for the documentation.
    pub help: &'static str,
    /// Its value, without a scale; NaN counts as nothing known.
    pub extract: fn(&Describer<'_>, &Subject<'_>) -> f32,
}

type Extract = fn(&Describer<'_>, &Subject<'_>) -> f32;

const fn row(
    (id, name, group): (FeatureId, &'static str, &'static str),
    needs: Needs,
    (scale, prior_weight): (ScaleOf, f64),
    reason: (ReasonKind, Cause),
    extract: Extract,
    help: &'static str,
) -> Feature {
    Feature { id, name, group, needs, scale, prior_weight, reason, help, extract }
}

use ReasonKind as Kind;
use ScaleOf::Fitted;
use ScaleOf::Fixed;
use ScaleOf::Learnt;

/// All features, in the order of vectors.
#[rustfmt::skip]
pub static FEATURES: [Feature; 39] = [
    row((2, "collaborative", "collaborative"), Needs::Model, (Learnt(1.5), 0.9), (Kind::SharedTaste, Cause::Factors),
        |of, one| of.collaborative(one), "How much users of the same taste consume it, by the factors of the model."),
    row((3, "cooccurrence", "co-occurrence"), Needs::History, (Learnt(2.0), 1.0), (Kind::ConsumedTogether, Cause::Together),
        |of, one| of.cooccurrence(one), "How often it is consumed soon before or after the user's latest items."),
    row((4, "content", "content"), Needs::History, (Learnt(0.2), 0.2), (Kind::SimilarContent, Cause::SimilarLiked),
        |of, one| of.content(one), "Cosine of its words with those of the items that the user likes."),
    row((5, "topic_affinity", "profile"), Needs::History, (Learnt(0.2), 0.2), (Kind::LikedTopic, Cause::LikedTopic),
        |of, one| of.topic_affinity(one), "Share of its topics in what the user consumes."),
    row((6, "source_affinity", "profile"), Needs::History, (Learnt(0.3), 0.1), (Kind::LikedSource, Cause::Source),
        |of, one| of.source_affinity(one), "Share of its source in what the user consumes."),
    row((7, "popularity", "popularity"), Needs::Nothing, (Learnt(2.5), 0.75), (Kind::Popular, Cause::Topic),
        |of, one| of.popularity(one), "Positives of all users over the long run, decayed."),
    row((8, "popularity_all_time", "popularity"), Needs::Nothing, (Learnt(3.0), 0.9), (Kind::Popular, Cause::Topic),
        |of, one| of.popularity_all_time(one), "Positives of all users ever."),
    row((9, "trend", "popularity"), Needs::Nothing, (Learnt(1.0), 0.2), (Kind::Trending, Cause::Topic),
        |of, one| of.trend(one), "Positives of all users just now, decayed fast."),
    row((10, "cohort", "cohort"), Needs::Cohort, (Learnt(0.3), 0.1), (Kind::PopularInCohort, Cause::Cohort),
        |of, one| of.cohort(one), "How much more users with the user's attributes consume it than all do."),
    row((11, "time_of_day", "context"), Needs::Nothing, (Learnt(0.2), 0.05), (Kind::TimeOfWeek, Cause::Topic),
        |_, one| one.lifts.time, "How much more its topics are consumed at this time of the week."),
    row((12, "device", "context"), Needs::Device, (Learnt(0.2), 0.02), (Kind::Device, Cause::Device),
        |_, one| one.lifts.device, "How much more its topics are consumed on this kind of device."),
    row((13, "freshness", "popularity"), Needs::Nothing, (Learnt(0.4), 0.08), (Kind::New, Cause::Topic),
        |of, one| of.freshness(one), "1 for what was just published, half after a half-life."),
    row((14, "popularity_for_newcomers", "popularity"), Needs::Nothing, (Fixed(2.5), 0.75), (Kind::Popular, Cause::Topic),
        |of, one| of.popularity_for_newcomers(one), "Popularity, the less the more is known of the user."),
    row((15, "repeat", "repeat"), Needs::History, (Learnt(1.0), 0.0), (Kind::Repeat, Cause::Itself),
        |of, one| of.repeat(one), "How often the user had it."),
    row((16, "personal_time", "context"), Needs::History, (Learnt(0.2), 0.05), (Kind::OwnTimeOfWeek, Cause::Topic),
        |_, one| one.lifts.personal_time,
        "How much more the user consumes its topics at this time of the week than others do."),
    row((18, "location", "context"), Needs::Location, (Learnt(0.2), 0.05), (Kind::PopularAtLocation, Cause::Location),
        |_, one| one.lifts.location, "How much more its topics are consumed at this location."),
    row((19, "location_popularity", "context"), Needs::Location, (Learnt(0.3), 0.06), (Kind::PopularAtLocation, Cause::Location),
        |of, one| of.location_popularity(one), "How much more it is consumed at this location than overall."),
    row((20, "session_content", "session"), Needs::Session, (Learnt(0.2), 0.06), (Kind::SessionContent, Cause::SimilarInSession),
        |of, one| of.session_content(one), "Cosine of its words with those of the items of the session."),
    row((21, "session_topics", "session"), Needs::Session, (Learnt(0.4), 0.12), (Kind::SessionTopic, Cause::SessionTopic),
        |of, one| of.session_topics(one), "Share of its topics in what the user consumes in this session."),
    row((22, "item_item", "item-item"), Needs::Model, (Learnt(1.5), 0.75), (Kind::ConsumedTogether, Cause::Neighbour),
        |of, one| of.together(one, 0), "What the user's items say of it by the item-item weights of the model, the newest above all."),
    row((23, "succession", "co-occurrence"), Needs::History, (Learnt(1.5), 0.3), (Kind::ConsumedTogether, Cause::Before),
        |of, one| of.succession(one), "How often it comes next after the user's latest items."),
    row((24, "activity", "popularity"), Needs::Nothing, (Learnt(2.0), 0.2), (Kind::Popular, Cause::Topic),
        |of, one| of.activity(one, Scales::activity), "Positives of all users, decayed by their number and not by time."),
    row((25, "repeat_recency", "repeat"), Needs::History, (Learnt(0.4), 0.0), (Kind::Repeat, Cause::Itself),
        |of, one| of.repeat_recency(one), "How long ago the user had it, negative."),
    row((26, "embedding", "content"), Needs::History, (Learnt(0.3), 0.15), (Kind::SimilarContent, Cause::SimilarLiked),
        |of, one| of.embedding(one), "Cosine of its embedding with those of the items that the user likes."),
    row((27, "attributes", "context"), Needs::Attributes, (Learnt(0.2), 0.05), (Kind::Attributes, Cause::Attributes),
        |_, one| one.lifts.attributes, "How much more its topics are consumed under the attributes of the context; the mean over them."),
    row((28, "attribute_popularity", "context"), Needs::Attributes, (Learnt(0.3), 0.06), (Kind::Attributes, Cause::Attributes),
        |of, one| of.attribute_popularity(one), "How much more it is consumed under the attributes of the context than overall; the mean over them."),
    row((29, "item_item_slow", "item-item"), Needs::Model, (Fitted, 0.0), (Kind::ConsumedTogether, Cause::Neighbour),
        |of, one| of.together(one, 1), "The same, the newest a little more."),
    row((30, "item_item_all", "item-item"), Needs::Model, (Fitted, 0.0), (Kind::ConsumedTogether, Cause::Neighbour),
        |of, one| of.together(one, 2), "The same, all of the user's items alike."),
    row((31, "sequence", "sequence"), Needs::Model, (Learnt(1.5), 0.3), (Kind::ConsumedTogether, Cause::Next),
        |of, one| of.sequence(one), "How likely it comes next, by weights of the model over the order of histories."),
    row((32, "overlap", "item-item"), Needs::Model, (Fitted, 0.0), (Kind::ConsumedTogether, Cause::Overlap),
        |of, one| of.overlap(one), "How much its users have in common with those of all of the user's items."),
    row((33, "repeat_due", "repeat"), Needs::History, (Fitted, 0.0), (Kind::Repeat, Cause::Itself),
        |of, one| of.repeat_due(one), "How far the time since the user had it is from the usual interval, negative."),
    row((34, "repeat_share", "repeat"), Needs::History, (Fitted, 0.0), (Kind::Repeat, Cause::Itself),
        |of, one| of.repeat_share(one), "Its share of everything that the user had."),
    row((35, "activity_short", "popularity"), Needs::Nothing, (Fitted, 0.0), (Kind::Popular, Cause::Topic),
        |of, one| of.activity(one, Scales::activity_short), "Positives of all users, decayed by their number four times as fast."),
    row((36, "activity_long", "popularity"), Needs::Nothing, (Fitted, 0.0), (Kind::Popular, Cause::Topic),
        |of, one| of.activity(one, Scales::activity_long), "Positives of all users, decayed by their number a fifth as fast."),
    row((37, "popularity_fortnight", "popularity"), Needs::Nothing, (Fitted, 0.0), (Kind::Popular, Cause::Topic),
        |of, one| of.popularity_fortnight(one), "Positives of all users, decayed by half in 14 days."),
    row((40, "latest_topics", "latest"), Needs::History, (Fitted, 0.0), (Kind::LikedTopic, Cause::LikedTopic),
        |of, one| of.latest_topics(one), "Share of its topics in the latest dozen items that the user likes, the newest above all."),
    row((41, "latest_content", "latest"), Needs::History, (Fitted, 0.0), (Kind::SimilarContent, Cause::SimilarLiked),
        |of, one| of.latest_content(one), "Cosine of its words with those of the latest dozen items that the user likes, the newest above all."),
    row((42, "topic_response", "response"), Needs::Responses, (Learnt(0.4), 0.15), (Kind::LikedTopic, Cause::LikedTopic),
        |of, one| of.topic_response(one), "How often the user takes its topics in lists of late, against what was expected; a logarithm."),
    row((43, "content_response", "response"), Needs::Responses, (Learnt(0.1), 0.1), (Kind::SimilarContent, Cause::SimilarLiked),
        |of, one| of.content_response(one), "Cosine of its words with what the user takes in lists of late, against those of what is passed over."),
];

pub const FEATURE_COUNT: usize = FEATURES.len();

/// The name of a value in the ranker's vector; `None` for a number of another version.
pub fn feature_name(id: FeatureId) -> Option<&'static str> {
    match id {
        BIAS => Some("base"),
        HYBRID => Some("hybrid"),
        _ => FEATURES.iter().find(|feature| feature.id == id).map(|feature| feature.name),
    }
}

/// The feature of this name.
pub fn feature(name: &str) -> Option<(usize, &'static Feature)> {
    FEATURES.iter().enumerate().find(|(_, feature)| feature.name == name)
}

/// All groups with the names of their features, in the order of the table.
pub fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
    for feature in &FEATURES {
        match groups.iter_mut().find(|(group, _)| *group == feature.group) {
            Some((_, names)) => names.push(feature.name),
            None => groups.push((feature.group, vec![feature.name])),
        }
    }
    groups
}

/// The prior of the hybrid.
pub fn hybrid_prior() -> Prior {
    Prior {
        layout: FeatureLayout::new(FEATURES.iter().map(|feature| feature.id)),
        scales: FEATURES.iter().map(|feature| feature.scale).collect(),
        weights: FEATURES.iter().map(|feature| feature.prior_weight).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The features as the table of the documentation.
    fn table_of_documentation() -> String {
        let mut table =
            "| feature | group | needs | what it says |\n| --- | --- | --- | --- |\n".to_owned();
        for Feature { name, group, needs, help, .. } in &FEATURES {
            let needs = needs.words();
            writeln!(table, "| `{name}` | {group} | {needs} | {help} |")
                .expect("a string takes all");
        }
        table
    }

    #[test]
    fn numbers_and_names_are_unique_and_every_row_is_sane() {
        let mut ids: Vec<FeatureId> = FEATURES.iter().map(|feature| feature.id).collect();
        let mut names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
        ids.sort_unstable();
        names.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && ids[0] > HYBRID, "{ids:?}");
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for feature in &FEATURES {
            let is_sane = feature.prior_weight >= 0.0;
            assert!(is_sane && feature.help.ends_with('.'), "{feature:?}");
        }
        assert_eq!(groups().iter().map(|group| group.1.len()).sum::<usize>(), FEATURE_COUNT);
    }

    #[test]
    fn the_documentation_has_the_table() {
        let documentation = include_str!("../../../../docs/features.md");
        let table = table_of_documentation();
        assert!(documentation.contains(&table), "docs/features.md should hold\n{table}");
    }
}
