//! What each component of the ranker is worth: the engine ranks once more with the
//! features of one component at 0, "nothing known", and all weights as learnt with it.
//!
//! So the loss is what the component does now. An engine that had learnt without it
//! would lean on others and lose less.

use crate::evaluation::engine_recommender::EngineRecommender;
use crate::evaluation::protocols::Case;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Split;

/// Components of the ranker and their features.
pub const COMPONENTS: [(&str, &[&str]); 10] = [
    ("collaborative", &["collaborative"]),
    ("item-item", &["item_item"]),
    ("co-occurrence", &["cooccurrence", "succession"]),
    ("content", &["content", "embedding"]),
    ("session", &["session_content", "session_topics"]),
    ("profile", &["topic_affinity", "source_affinity"]),
    (
        "popularity",
        &[
            "popularity",
            "popularity_all_time",
            "trend",
            "activity",
            "popularity_for_newcomers",
            "freshness",
        ],
    ),
    ("cohort", &["cohort"]),
    ("context", &["time_of_day", "device", "personal_time", "location", "location_popularity"]),
    ("repeat", &["repeat", "repeat_recency"]),
];

/// The cases of the split without each component in turn, by its name.
pub fn ablate(
    engine: &EngineRecommender,
    split: &Split,
    items: usize,
    k: usize,
    progress: Progress<'_>,
) -> Vec<(String, Vec<Case>)> {
    let total = COMPONENTS.len() as u64;
    let mut ablated = Vec::with_capacity(COMPONENTS.len());
    for (done, (component, features)) in (0..).zip(COMPONENTS) {
        progress(done, total);
        let without = engine.without(component, features);
        ablated.push((component.to_owned(), split.test(&without, items, k, &mut |_, _| {})));
    }
    progress(total, total);
    ablated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FEATURES;

    #[test]
    fn every_feature_belongs_to_one_component() {
        let mut named: Vec<&str> =
            COMPONENTS.iter().flat_map(|(_, names)| *names).copied().collect();
        let mut features = FEATURES.to_vec();
        named.sort_unstable();
        features.sort_unstable();
        assert_eq!(named, features);
    }
}
