//! What a user takes and passes over in lists of late, against what was expected of each position.
//!
//! A taste is learnt from clicks within weeks; that a taste is over shows in what is no longer clicked, within a
//! list or two. Only positions that the user looked at count, the newest above all.

use std::collections::BTreeMap;

use crate::consumption::User;
use crate::models::content::Centroid;
use crate::models::content::TermVectors;
use crate::numeric::math;
use crate::state::View;

/// The weight of each older position, relative to the next newer one.
const DECAY: f32 = 0.97;
/// Rewards that what was expected of a topic is mixed with: as many taken as expected.
const PRIOR: f32 = 0.5;

/// See the header.
#[derive(Debug, Default)]
pub struct ResponseTaste {
    /// `ln((taken + PRIOR) / (expected + PRIOR))` by topic, sorted by topic.
    topics: Vec<(u32, f32)>,
    content: Centroid,
    /// From 0, nothing known, to 1.
    strength: f32,
    is_empty: bool,
}

impl ResponseTaste {
    pub fn new(view: &View, user: Option<&User>) -> Self {
        let responses = user.map_or(&[][..], |user| user.responses.newest());
        let mut sums: BTreeMap<u32, (f32, f32)> = BTreeMap::new();
        let (mut parts, mut weight, mut strength) = (Vec::new(), 1.0, 0.0);
        for response in responses.iter().rev() {
            for &topic in &view.items.entries[response.item].topics {
                let sum = sums.entry(topic).or_default();
                sum.0 += weight * response.reward();
                sum.1 += weight * response.expected();
            }
            let surprise = weight * (response.reward() - response.expected());
            parts.push((surprise, view.items.terms[response.item].whole()));
            strength += surprise.abs();
            weight *= DECAY;
        }
        let topics = sums.into_iter().map(|(topic, (taken, expected))| {
            (topic, math::ln_f32((taken + PRIOR) / (expected + PRIOR)))
        });
        let topics = topics.collect();
        let strength = strength / (strength + 1.0);
        Self { topics, content: Centroid::new(parts), strength, is_empty: responses.is_empty() }
    }

    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The mean over topics; 0 for one that was not looked at.
    pub fn of_topics(&self, topics: &[u32]) -> f32 {
        let one = |topic: &u32| {
            let found = self.topics.binary_search_by_key(topic, |entry| entry.0);
            found.map_or(0.0, |position| self.topics[position].1)
        };
        topics.iter().map(one).sum::<f32>() / topics.len().max(1) as f32
    }

    pub fn of_content(&self, terms: &TermVectors) -> f32 {
        self.strength * self.content.score_best(terms)
    }
}
