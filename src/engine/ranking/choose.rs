//! From scored candidates to a list: relevance, diversity, exploration.
//!
//! The list is filled place by place. At each place the best by maximal marginal
//! relevance (Carbonell and Goldstein 1998) is the greedy choice; under
//! epsilon-greedy any other admissible candidate takes the place with probability
//! epsilon. Diversity is thus inside the sampling step, and the propensity noted
//! for a place is exactly the probability of what was done there, given the places
//! above it. Places for new items ([`super::exploration`]) are drawn in the same step.
//!
//! Cost: pool x places similarity updates; the pool is bounded.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use super::exploration::Exploration;
use super::features::Candidate;
use crate::domain::Strategy;
use crate::engine::seed;

/// Best candidates that stand to choose from: enough for variety, few enough that
/// an exploring choice is still a sensible one.
const POOL_PER_PLACE: usize = 5;
const POOL_MIN: usize = 50;
/// New items that stand to choose from although they score too low.
const POOL_NEW: usize = 20;

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
    exploration: &'a Exploration,
    /// Candidates left, best score first.
    left: Vec<Left>,
    topics: Cap,
    sources: Cap,
}

/// A candidate that is not in the list yet.
struct Left {
    candidate: usize,
    /// 0 for the worst of the pool to 1 for the best; below 0 for a new item that
    /// would not be in it.
    relevance: f64,
    /// Greatest similarity to a chosen candidate.
    similarity: f64,
    topics: Vec<u32>,
    sources: Vec<u32>,
}

/// Counts labels of the chosen and refuses those that reached their cap. Labels are
/// numbered by the pool, so that a place costs no comparison of texts.
struct Cap {
    most: u32,
    taken: Vec<u32>,
}

impl Cap {
    /// A threshold of 0 is no cap. At least one place is always allowed.
    fn new(threshold: f64, places: usize, labels: usize) -> Self {
        // A hair more, so that 1 - 0.8 of ten places are two and not one.
        let most = ((1.0 - threshold) * places as f64 + 1e-9).floor() as u32;
        let most = if threshold <= 0.0 { u32::MAX } else { most.max(1) };
        Self { most, taken: vec![0; labels] }
    }

    fn allows(&self, labels: &[u32]) -> bool {
        labels.iter().all(|&label| self.taken[label as usize] < self.most)
    }

    fn take(&mut self, labels: &[u32]) {
        for &label in labels {
            self.taken[label as usize] += 1;
        }
    }
}

/// Numbers texts in the order they are first seen.
#[derive(Default)]
struct Labels<'a>(BTreeMap<&'a str, u32>);

impl<'a> Labels<'a> {
    fn number(&mut self, label: &'a str) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(label).or_insert(next)
    }
}

/// Fills up to `choice.places` places from `candidates` with their `scores`. Always
/// fills as many as there are candidates: caps yield when nothing else is left.
pub fn choose(
    candidates: &[Candidate<'_>],
    scores: &[f64],
    choice: &Choice,
    exploration: &Exploration,
    rng: &mut ChaCha8Rng,
) -> Vec<Chosen> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let below = order.split_off(order.len().min((choice.places * POOL_PER_PLACE).max(POOL_MIN)));
    let best = order.first().map_or(0.0, |&first| scores[first]);
    let worst = order.last().map_or(0.0, |&last| scores[last]);
    order.extend(below.into_iter().filter(|&one| exploration.has_share(one)).take(POOL_NEW));
    let spread = (best - worst).max(f64::MIN_POSITIVE);
    let (mut topics, mut sources) = (Labels::default(), Labels::default());
    let left = order.iter().map(|&candidate| {
        let item = candidates[candidate].entry.item.as_ref();
        let item_topics = item.map_or(&[][..], |item| &item.topics);
        Left {
            candidate,
            relevance: (scores[candidate] - worst) / spread,
            similarity: 0.0,
            topics: item_topics.iter().map(|topic| topics.number(topic)).collect(),
            sources: item
                .and_then(|item| item.source.as_deref())
                .map(|source| sources.number(source))
                .into_iter()
                .collect(),
        }
    });
    let left: Vec<Left> = left.collect();
    let mut pool = Pool {
        candidates,
        exploration,
        left,
        topics: Cap::new(choice.topic_threshold, choice.places, topics.0.len()),
        sources: Cap::new(choice.source_threshold, choice.places, sources.0.len()),
    };
    let mut chosen = Vec::with_capacity(choice.places);
    while chosen.len() < choice.places && !pool.left.is_empty() {
        chosen.push(pool.fill_place(choice, rng));
    }
    chosen
}

impl Pool<'_> {
    fn fill_place(&mut self, choice: &Choice, rng: &mut ChaCha8Rng) -> Chosen {
        let mut admissible: Vec<usize> =
            (0..self.left.len()).filter(|&place| self.admits(&self.left[place])).collect();
        if admissible.is_empty() {
            admissible = (0..self.left.len()).collect();
        }
        let weight = choice.diversity_weight;
        let marginal = |&place: &usize| {
            let left = &self.left[place];
            (1.0 - weight) * left.relevance - weight * left.similarity
        };
        let greedy = *admissible
            .iter()
            .max_by(|a, b| marginal(a).total_cmp(&marginal(b)).then(b.cmp(a)))
            .expect("a place is only filled while candidates are left");
        let epsilon = match choice.strategy {
            Strategy::Greedy => 0.0,
            Strategy::EpsilonGreedy => choice.epsilon,
        };
        let candidate_of = |&place: &usize| (place, self.left[place].candidate);
        let for_new = self.exploration.at_place(admissible.iter().map(candidate_of));
        let place = match for_new.draw(rng) {
            Some(new) => new,
            None if epsilon > 0.0 && seed::unit(rng) < epsilon => {
                admissible[seed::below(rng, admissible.len())]
            }
            None => greedy,
        };
        let exploring = epsilon / admissible.len() as f64;
        let otherwise = if place == greedy { 1.0 - epsilon + exploring } else { exploring };
        let propensity = for_new.propensity(place, otherwise);
        let candidate = self.take(place, weight > 0.0);
        Chosen { candidate, propensity }
    }

    fn admits(&self, left: &Left) -> bool {
        self.topics.allows(&left.topics) && self.sources.allows(&left.sources)
    }

    /// Moves a candidate from the pool to the list.
    fn take(&mut self, place: usize, diversify: bool) -> usize {
        let taken = self.left.remove(place);
        self.topics.take(&taken.topics);
        self.sources.take(&taken.sources);
        if diversify {
            let terms = self.candidates[taken.candidate].terms;
            for left in &mut self.left {
                let with = f64::from(terms.cosine(self.candidates[left.candidate].terms));
                left.similarity = left.similarity.max(with);
            }
        }
        taken.candidate
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::Attributes;
    use crate::domain::Item;
    use crate::domain::ItemId;
    use crate::engine::content::SparseVector;
    use crate::engine::view::Entry;

    const CHOICE: Choice = Choice {
        strategy: Strategy::Greedy,
        epsilon: 0.3,
        diversity_weight: 0.0,
        topic_threshold: 0.0,
        source_threshold: 0.0,
        places: 4,
    };

    /// Items of two topics in turn, each with terms of its topic only.
    fn world(count: usize) -> (Vec<Entry>, Vec<SparseVector>) {
        let entry = |number: usize| Entry {
            item: Some(Arc::new(Item {
                item_id: ItemId::parse(number.to_string()).unwrap(),
                title: String::new(),
                content: String::new(),
                topics: vec![["even", "odd"][number % 2].into()],
                source: Some("one".into()),
                published_at: None,
                embedding: Vec::new(),
                attributes: Attributes::default(),
            })),
            ..Entry::default()
        };
        let terms = |number: usize| SparseVector::new(vec![(number as u32 % 2, 1.0)]);
        ((0..count).map(entry).collect(), (0..count).map(terms).collect())
    }

    fn chosen(choice: &Choice, key: &[u8]) -> Vec<Chosen> {
        chosen_with(&Exploration::default(), choice, key)
    }

    /// Chooses among items of which the even ones score best.
    fn chosen_with(exploration: &Exploration, choice: &Choice, key: &[u8]) -> Vec<Chosen> {
        let (entries, terms) = world(10);
        let candidates: Vec<Candidate<'_>> = entries
            .iter()
            .zip(&terms)
            .map(|(entry, terms)| Candidate { index: None, entry, terms })
            .collect();
        let scores: Vec<f64> =
            (0..10).map(|n| if n % 2 == 0 { 1.0 } else { 0.5 } - f64::from(n) / 100.0).collect();
        let mut rng = seed::stream(1, seed::Purpose::Choose, key);
        choose(&candidates, &scores, choice, exploration, &mut rng)
    }

    fn order(chosen: &[Chosen]) -> Vec<usize> {
        chosen.iter().map(|chosen| chosen.candidate).collect()
    }

    #[test]
    fn greedy_takes_the_best_scores_with_certainty() {
        let list = chosen(&CHOICE, b"a");
        assert_eq!(order(&list), [0, 2, 4, 6]);
        assert!(list.iter().all(|chosen| chosen.propensity == 1.0));
    }

    #[test]
    fn dissimilarity_brings_in_the_other_topic() {
        let list = order(&chosen(&Choice { diversity_weight: 0.6, ..CHOICE }, b"a"));
        assert_eq!(list[..2], [0, 1]);
    }

    #[test]
    fn a_topic_takes_no_more_than_its_share_and_caps_yield_to_a_full_list() {
        let half = Choice { topic_threshold: 0.5, ..CHOICE };
        assert_eq!(order(&chosen(&half, b"a")), [0, 2, 1, 3]);
        let sources = Choice { source_threshold: 0.9, ..CHOICE };
        assert_eq!(chosen(&sources, b"a").len(), 4);
    }

    /// 20,000 draws: a share of p = 0.3 has a standard deviation of 0.0032, so five
    /// of them are passed by chance once in two million runs; the seeds are fixed.
    #[test]
    fn propensities_are_the_frequencies_of_what_is_chosen() {
        assert_calibrated(&Exploration::default());
    }

    #[test]
    fn with_places_for_new_items_they_are_so_too_and_new_items_get_their_share() {
        let is_new: Vec<bool> = (0..10).map(|n| n >= 7).collect();
        let propensities = assert_calibrated(&Exploration::marking(0.2, &is_new));
        let new: f64 = propensities[7..].iter().sum();
        assert!((new - (0.2 + 0.8 * 0.3 * 3.0 / 10.0)).abs() < 1e-9, "{propensities:?}");
    }

    #[test]
    fn a_new_item_may_take_a_place_however_low_it_scores() {
        let (entries, terms) = world(200);
        let described = entries.iter().zip(&terms);
        let candidates: Vec<Candidate<'_>> =
            described.map(|(entry, terms)| Candidate { index: None, entry, terms }).collect();
        let scores: Vec<f64> = (0..200).map(|n| -f64::from(n)).collect();
        let is_new: Vec<bool> = (0..200).map(|n| n == 199).collect();
        let exploration = Exploration::marking(0.5, &is_new);
        let took_place = |key: u32| {
            let mut rng = seed::stream(1, seed::Purpose::Choose, &key.to_le_bytes());
            let list = choose(&candidates, &scores, &CHOICE, &exploration, &mut rng);
            assert_eq!(list.len(), 4);
            list.iter().any(|chosen| chosen.candidate == 199)
        };
        // Of 100 lists of four places 6 are expected to miss it, with a deviation of 2.4.
        assert!((0..100).filter(|&key| took_place(key)).count() > 80);
    }

    fn assert_calibrated(exploration: &Exploration) -> [f64; 10] {
        let choice = Choice { strategy: Strategy::EpsilonGreedy, places: 1, ..CHOICE };
        let draws = 20_000_u32;
        let mut counts = [0_u32; 10];
        let mut propensities = [0.0; 10];
        for draw in 0..draws {
            let first = chosen_with(exploration, &choice, &draw.to_le_bytes())[0];
            counts[first.candidate] += 1;
            propensities[first.candidate] = first.propensity;
        }
        for (count, propensity) in counts.iter().zip(propensities) {
            let share = f64::from(*count) / f64::from(draws);
            let deviation = (propensity * (1.0 - propensity) / f64::from(draws)).sqrt();
            assert!((share - propensity).abs() < 5.0 * deviation, "{share} against {propensity}");
        }
        assert!((propensities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        propensities
    }
}
