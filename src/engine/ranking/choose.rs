//! From scored candidates to a list: relevance, diversity, exploration.
//!
//! The list is filled place by place. At each place the best by maximal marginal
//! relevance (Carbonell and Goldstein 1998) is the greedy choice; under
//! epsilon-greedy any other admissible candidate takes the place with probability
//! epsilon. Diversity is thus inside the sampling step, and the propensity noted
//! for a place is exactly the probability of what was done there, given the places
//! above it.
//!
//! Cost: pool x places similarity updates; the pool is bounded.

use rand_chacha::ChaCha8Rng;

use super::features::Candidate;
use crate::domain::Strategy;
use crate::engine::seed;

/// Best candidates that stand to choose from: enough for variety, few enough that
/// an exploring choice is still a sensible one.
const POOL_PER_PLACE: usize = 5;
const POOL_MIN: usize = 50;

/// How to choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    pub strategy: Strategy,
    /// Probability per place of an exploring choice.
    pub epsilon: f64,
    /// Weight of dissimilarity against relevance, 0 to 1.
    pub diversity_weight: f64,
    /// The most frequent topic takes at most 1 - this share of the places.
    pub topic_threshold: f64,
    /// The same for sources.
    pub source_threshold: f64,
    pub places: usize,
}

/// A place of the list: which candidate, with which probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub candidate: usize,
    pub propensity: f64,
}

struct Pool<'a> {
    candidates: &'a [Candidate<'a>],
    /// Candidates left, best score first, with their relevance in 0..=1 and their
    /// greatest similarity to a chosen one.
    left: Vec<(usize, f64, f64)>,
    topics: Cap<'a>,
    sources: Cap<'a>,
}

/// Counts labels of the chosen and refuses those that reached their cap.
struct Cap<'a> {
    most: usize,
    taken: Vec<(&'a str, usize)>,
}

impl<'a> Cap<'a> {
    /// A threshold of 0 is no cap. At least one place is always allowed.
    fn new(threshold: f64, places: usize) -> Self {
        // A hair more, so that 1 - 0.8 of ten places are two and not one.
        let most = ((1.0 - threshold) * places as f64 + 1e-9).floor() as usize;
        let most = if threshold <= 0.0 { usize::MAX } else { most.max(1) };
        Self { most, taken: Vec::new() }
    }

    fn allows(&self, label: &str) -> bool {
        !self.taken.iter().any(|(taken, count)| *taken == label && *count >= self.most)
    }

    fn take(&mut self, label: &'a str) {
        match self.taken.iter_mut().find(|(taken, _)| *taken == label) {
            Some((_, count)) => *count += 1,
            None => self.taken.push((label, 1)),
        }
    }
}

/// Fills up to `choice.places` places from `candidates` with their `scores`. Always
/// fills as many as there are candidates: caps yield when nothing else is left.
pub fn choose(
    candidates: &[Candidate<'_>],
    scores: &[f64],
    choice: &Choice,
    rng: &mut ChaCha8Rng,
) -> Vec<Chosen> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate((choice.places * POOL_PER_PLACE).max(POOL_MIN));
    let best = order.first().map_or(0.0, |&first| scores[first]);
    let worst = order.last().map_or(0.0, |&last| scores[last]);
    let spread = (best - worst).max(f64::MIN_POSITIVE);
    let mut pool = Pool {
        candidates,
        left: order.iter().map(|&c| (c, (scores[c] - worst) / spread, 0.0)).collect(),
        topics: Cap::new(choice.topic_threshold, choice.places),
        sources: Cap::new(choice.source_threshold, choice.places),
    };
    let mut chosen = Vec::with_capacity(choice.places);
    while chosen.len() < choice.places && !pool.left.is_empty() {
        chosen.push(pool.fill_place(choice, rng));
    }
    chosen
}

impl<'a> Pool<'a> {
    fn fill_place(&mut self, choice: &Choice, rng: &mut ChaCha8Rng) -> Chosen {
        let mut admissible: Vec<usize> =
            (0..self.left.len()).filter(|&place| self.admits(self.left[place].0)).collect();
        if admissible.is_empty() {
            admissible = (0..self.left.len()).collect();
        }
        let weight = choice.diversity_weight;
        let marginal = |&place: &usize| {
            let (_, relevance, similarity) = self.left[place];
            (1.0 - weight) * relevance - weight * similarity
        };
        let greedy = *admissible
            .iter()
            .max_by(|a, b| marginal(a).total_cmp(&marginal(b)).then(b.cmp(a)))
            .expect("a place is only filled while candidates are left");
        let epsilon = match choice.strategy {
            Strategy::Greedy => 0.0,
            Strategy::EpsilonGreedy => choice.epsilon,
        };
        let place = if epsilon > 0.0 && seed::unit(rng) < epsilon {
            admissible[seed::below(rng, admissible.len())]
        } else {
            greedy
        };
        let exploring = epsilon / admissible.len() as f64;
        let propensity = if place == greedy { 1.0 - epsilon + exploring } else { exploring };
        let candidate = self.take(place, weight > 0.0);
        Chosen { candidate, propensity }
    }

    fn admits(&self, candidate: usize) -> bool {
        let (topics, source) = self.labels(candidate);
        topics.iter().all(|topic| self.topics.allows(topic))
            && source.is_none_or(|source| self.sources.allows(source))
    }

    fn labels(&self, candidate: usize) -> (&'a [Box<str>], Option<&'a str>) {
        let item = self.candidates[candidate].entry.item.as_ref();
        item.map_or((&[], None), |item| (&item.topics, item.source.as_deref()))
    }

    /// Moves a candidate from the pool to the list.
    fn take(&mut self, place: usize, diversify: bool) -> usize {
        let (candidate, _, _) = self.left.remove(place);
        let (topics, source) = self.labels(candidate);
        topics.iter().for_each(|topic| self.topics.take(topic));
        if let Some(source) = source {
            self.sources.take(source);
        }
        if diversify {
            let terms = self.candidates[candidate].terms;
            for (other, _, similarity) in &mut self.left {
                let with = f64::from(terms.cosine(self.candidates[*other].terms));
                *similarity = similarity.max(with);
            }
        }
        candidate
    }
}
