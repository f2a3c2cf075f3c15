//! Which candidates a pool holds, and what is computed of them once for a list.
//!
//! With shares of topics or sources, the pool also holds the candidates of a greedy list by score that
//! keeps them; with absolute caps, those of a list of the greatest length ([`plan`]).
//!
//! [`plan`]: crate::ranking::choose::plan

use crate::domain::DiversityMethod;
use crate::features::Candidate;
use crate::models::content::SparseVector;
use crate::numeric::packing;
use crate::numeric::packing::Packing;
use crate::ranking::choose::Choice;
use crate::ranking::choose::Slate;
use crate::ranking::choose::caps::Cap;
use crate::ranking::choose::caps::Labels;
use crate::ranking::choose::plan::Plan;
use crate::ranking::choose::similarity::Similarity;
use crate::ranking::choose::variety::Calibrated;
use crate::ranking::choose::variety::Dpp;
use crate::ranking::choose::variety::Variety;
use crate::ranking::choose::variety::WINDOW;

/// Best candidates to choose from: enough for diversity, few enough that an exploring choice
/// still has a good score.
const POOL_PER_POSITION: usize = 10;
const POOL_MIN: usize = 100;
/// Candidates that fill the list under absolute caps, for each position: what is chosen may block
/// others.
const SPARE: usize = 2;
/// Bounds the time of long lists.
const POOL_MAX: usize = 1_000;
/// New items in the pool although their scores are too low.
const POOL_NEW: usize = 20;

#[derive(Debug)]
pub struct Member {
    pub candidate: usize,
    /// Relevance with serendipity and novelty, 0 to 1.
    pub value: f64,
    /// Standard deviation of its expected reward.
    pub deviation: f64,
    pub topics: std::ops::Range<usize>,
    pub source: Option<u32>,
}

/// The candidates that a ranking may choose from, in rising order.
pub fn choosable(slate: &Slate<'_>, choice: &Choice) -> Vec<usize> {
    let mut order = Gathering::new(slate, choice).order();
    order.sort_unstable();
    order
}

/// A pool under construction.
pub struct Gathering<'s, 'a> {
    slate: &'s Slate<'a>,
    choice: &'s Choice,
    topic_labels: Labels<'a>,
    source_labels: Labels<'a>,
    pub members: Vec<Member>,
    pub labels: Vec<u32>,
    pub topics: Cap,
    pub sources: Cap,
    /// Topic labels of the items above the first position, one after the other, and where those of
    /// each item end.
    above: Vec<u32>,
    above_ends: Vec<usize>,
    /// Candidates that are in the pool although their scores are too low, sorted: new items for their
    /// share of the positions, and what another ranking may choose.
    despite: Vec<usize>,
    /// Candidates that fill the list under absolute caps, sorted.
    packed: Vec<usize>,
}

impl<'s, 'a> Gathering<'s, 'a> {
    pub fn new(slate: &'s Slate<'a>, choice: &'s Choice) -> Self {
        // Shares are of the positions of all pages so far.
        let positions = slate.above.len() + choice.positions;
        let mut gathering = Self {
            slate,
            choice,
            topic_labels: Labels::default(),
            source_labels: Labels::default(),
            members: Vec::new(),
            labels: Vec::new(),
            topics: Cap::new(choice.topic_threshold, choice.max_per_topic, positions),
            sources: Cap::new(choice.source_threshold, choice.max_per_source, positions),
            above: Vec::new(),
            above_ends: Vec::with_capacity(slate.above.len()),
            despite: Vec::new(),
            packed: Vec::new(),
        };
        slate.above.iter().for_each(|item| gathering.count_above(item));
        gathering
    }

    /// Notes an item on an earlier page.
    fn count_above(&mut self, item: &Candidate<'a>) {
        let mut labels = std::mem::take(&mut self.above);
        let start = labels.len();
        let source = self.label(item, &mut labels);
        self.topics.take(&labels[start..]);
        self.sources.take(source.as_slice());
        self.above_ends.push(labels.len());
        self.above = labels;
    }

    /// The topic labels of each item above the first position.
    fn topics_above(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.above_ends.iter().enumerate().map(|(position, &end)| {
            let start = if position == 0 { 0 } else { self.above_ends[position - 1] };
            &self.above[start..end]
        })
    }

    /// The candidates of the pool that are not pinned, best score first.
    pub fn order(&mut self) -> Vec<usize> {
        let Slate { candidates, scores, .. } = self.slate;
        let is_free = |candidate: &usize| self.slate.is_free(*candidate);
        let mut order: Vec<usize> = (0..candidates.len()).filter(is_free).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let positions = self.choice.positions;
        let count = (positions * POOL_PER_POSITION).clamp(POOL_MIN, POOL_MAX.max(positions));
        if self.topics.is_hard() || self.sources.is_hard() {
            self.packed = self.pack(&order);
        }
        if order.len() <= count {
            return order;
        }
        let mut fitting = self.packed.clone();
        if !self.topics.is_none() || !self.sources.is_none() {
            fitting.append(&mut self.fitting(&order));
        }
        fitting.sort_unstable();
        let rest = order.split_off(count);
        let fits = |one: &usize| fitting.binary_search(one).is_ok();
        let exploration = self.slate.exploration;
        let new = rest.iter().copied().filter(|one| exploration.has_share(*one) && !fits(one));
        let of_other = |one: &usize| self.slate.also.binary_search(one).is_ok() && !fits(one);
        self.despite = new.take(POOL_NEW).chain(rest.iter().copied().filter(of_other)).collect();
        self.despite.sort_unstable();
        let is_despite = |one: &usize| self.despite.binary_search(one).is_ok();
        order.extend(rest.into_iter().filter(|one| fits(one) || is_despite(one)));
        order
    }

    /// Candidates that together keep the absolute caps, sorted: enough for the list, if there are,
    /// and some to spare.
    fn pack(&mut self, order: &[usize]) -> Vec<usize> {
        let positions = self.choice.positions.saturating_sub(self.slate.pins.len());
        let labels: Vec<Vec<u32>> =
            order.iter().map(|&one| self.capped(&self.slate.candidates[one])).collect();
        let mut packing = Packing::default();
        (0..).zip(self.space()).for_each(|(label, space)| packing.set_space(label, space));
        labels.iter().for_each(|labels| packing.push(labels));
        packing.fill(positions * SPARE);
        packing.exchange(positions);
        let places = (0..order.len()).filter(|&place| packing.is_taken(place));
        let mut packed: Vec<usize> = places.map(|place| order[place]).collect();
        packed.sort_unstable();
        packed
    }

    /// The labels of an item that have absolute caps, in the numbering of [`packing`].
    fn capped(&mut self, candidate: &Candidate<'a>) -> Vec<u32> {
        let mut topics = Vec::new();
        let source = self.label(candidate, &mut topics).filter(|_| self.sources.is_hard());
        let topics = topics.into_iter().filter(|_| self.topics.is_hard()).map(packing::of_topic);
        let mut labels: Vec<u32> = topics.chain(source.map(packing::of_source)).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// The space of each label in that numbering, without what earlier pages and pins take.
    fn space(&mut self) -> Vec<u32> {
        let slate = self.slate;
        let pinned = slate.pins.iter().map(|pin| &slate.candidates[pin.candidate]);
        let pinned: Vec<u32> = pinned.flat_map(|candidate| self.capped(candidate)).collect();
        let labels = self.topic_labels.len().max(self.source_labels.len()) as u32;
        let of_label = |label: u32| [self.topics.left(label), self.sources.left(label)];
        let mut space: Vec<u32> = (0..labels).flat_map(of_label).collect();
        for label in pinned {
            let space = &mut space[label as usize];
            *space = space.saturating_sub(1);
        }
        space
    }

    pub fn plan(&mut self) -> Option<Plan> {
        if !self.topics.is_hard() && !self.sources.is_hard() {
            return None;
        }
        let positions = self.choice.positions.saturating_sub(self.slate.pins.len());
        let candidates: Vec<usize> = self.members.iter().map(|one| one.candidate).collect();
        let slate = self.slate;
        let labels = candidates.iter().map(|&one| self.capped(&slate.candidates[one]));
        let labels = labels.collect();
        let space = self.space();
        let is_packed = |member: &usize| self.packed.binary_search(&candidates[*member]).is_ok();
        let packed = (0..candidates.len()).filter(is_packed);
        Some(Plan::new(labels, space, packed, positions))
    }

    /// The best candidates that together keep the shares, as many as there are positions.
    fn fitting(&mut self, order: &[usize]) -> Vec<usize> {
        let (mut topics, mut sources) = (self.topics.clone(), self.sources.clone());
        let mut fitting = Vec::with_capacity(self.choice.positions);
        let mut labels = Vec::new();
        for &candidate in order {
            if fitting.len() == self.choice.positions {
                break;
            }
            labels.clear();
            let source = self.label(&self.slate.candidates[candidate], &mut labels);
            if topics.allows(&labels) && sources.allows(source.as_slice()) {
                topics.take(&labels);
                sources.take(source.as_slice());
                fitting.push(candidate);
            }
        }
        fitting
    }

    /// Adds the labels of an item's topics to `topics`; returns that of its source.
    fn label(&mut self, candidate: &Candidate<'a>, topics: &mut Vec<u32>) -> Option<u32> {
        self.topic_labels.number_topics(candidate, topics);
        let item = candidate.entry.item.as_ref()?;
        item.source.as_deref().map(|source| self.source_labels.number(source))
    }

    pub fn add(&mut self, candidate: usize) {
        let mut labels = std::mem::take(&mut self.labels);
        let start = labels.len();
        let source = self.label(&self.slate.candidates[candidate], &mut labels);
        let deviation = self.slate.deviations.get(candidate).copied().unwrap_or(0.0);
        let topics = start..labels.len();
        self.members.push(Member { candidate, value: 0.0, deviation, topics, source });
        self.labels = labels;
    }

    /// Sets the value of each member: relevance from 0 for the worst to 1 for the best. With
    /// serendipity, similarity to the user's items lowers it. With novelty, a part of it is how
    /// little known the item is. Returns the distance of the best score from the worst.
    pub fn value(&mut self) -> f64 {
        let Slate { scores, novelty, .. } = self.slate;
        let choice = self.choice;
        let despite = &self.despite;
        let regular = |member: &&Member| despite.binary_search(&member.candidate).is_err();
        let of_members = self.members.iter().filter(regular).map(|member| scores[member.candidate]);
        let best = of_members.clone().fold(f64::NEG_INFINITY, f64::max);
        let worst = of_members.fold(f64::INFINITY, f64::min);
        let spread = (best - worst).max(f64::MIN_POSITIVE);
        let familiarity = self.familiarity();
        for (position, member) in self.members.iter_mut().enumerate() {
            let relevance = ((scores[member.candidate] - worst) / spread).max(0.0);
            let familiar = familiarity.get(position).copied().unwrap_or(0.0);
            let unexpected = relevance * (1.0 - choice.serendipity_weight * familiar);
            let novelty = novelty.get(member.candidate).copied().unwrap_or(0.0);
            let weight = choice.novelty_weight;
            member.value = (1.0 - weight) * unexpected + weight * novelty;
        }
        spread
    }

    /// Greatest similarity of each member to a recent positive of the user; empty when it is not
    /// used.
    fn familiarity(&mut self) -> Vec<f64> {
        let recent = &self.slate.recent;
        if self.choice.serendipity_weight <= 0.0 || recent.is_empty() {
            return Vec::new();
        }
        let members = self.members.len();
        let mut labels = self.labels.clone();
        let mut ranges: Vec<_> = self.members.iter().map(|member| member.topics.clone()).collect();
        for item in recent {
            let start = labels.len();
            self.label(item, &mut labels);
            ranges.push(start..labels.len());
        }
        let terms = self.members.iter().map(|member| self.terms_of(member));
        let terms = terms.chain(recent.iter().map(|item| item.terms.whole()));
        let rows = terms.zip(ranges.into_iter().map(|range| &labels[range]));
        let mut similarity = Similarity::new(rows, self.topic_labels.len());
        let mut row = vec![0.0; members + recent.len()];
        let mut familiarity = vec![0.0_f64; members];
        for position in members..row.len() {
            similarity.compare_all(position, &mut row);
            for (familiarity, with) in familiarity.iter_mut().zip(&row) {
                *familiarity = familiarity.max(*with);
            }
        }
        familiarity
    }

    fn terms_of(&self, member: &Member) -> &'a SparseVector {
        self.slate.candidates[member.candidate].terms.whole()
    }

    pub fn variety(&self) -> Variety<'a> {
        if self.choice.diversity_weight <= 0.0 {
            return Variety::None;
        }
        match self.choice.method {
            DiversityMethod::None => Variety::None,
            DiversityMethod::Dpp => {
                let above = self.slate.above.len().min(WINDOW);
                Variety::Dpp(Dpp::new(self.similarity(above), self.members.len(), above))
            }
            DiversityMethod::Calibrated => {
                let mut target = vec![0.0; self.topic_labels.len()];
                for (topic, share) in &self.slate.topic_mix {
                    match self.topic_labels.find(topic) {
                        Some(label) => target[label as usize] += share,
                        // No member has it, so it adds the same to all divergences.
                        None => target.push(*share),
                    }
                }
                Variety::Calibrated(Calibrated::new(target, self.topics_above()))
            }
        }
    }

    /// Of the members, and then of the last so many items above the first position.
    fn similarity(&self, above: usize) -> Similarity<'a> {
        let members = self
            .members
            .iter()
            .map(|member| (self.terms_of(member), &self.labels[member.topics.clone()]));
        let earlier =
            self.slate.above.iter().map(|item| item.terms.whole()).zip(self.topics_above());
        let rows = members.chain(earlier.skip(self.slate.above.len() - above));
        Similarity::new(rows, self.topic_labels.len())
    }
}
