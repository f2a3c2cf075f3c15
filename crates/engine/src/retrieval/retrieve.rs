//! Candidates from the whole catalogue, by several sources that each see another
//! side of a person and an item.
//!
//! - Sources: factors (exact scan), co-occurrence, content, embeddings (exact
//!   scan), popular, trending, fresh, cohorts, the location, new items where they have a share of the places,
//!   and a few random items to explore.
//! - The filter is applied inside each source. When they yield fewer candidates
//!   than are wanted, the catalogue is walked until there are enough or no more.
//! - Whoever does not wait any more is asked about between sources and every few hundred
//!   items that the filter is asked about.

mod trace;

use std::collections::BTreeMap;

use self::trace::Source;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::UserContext;
use crate::give_up::Cancelled;
use crate::give_up::GiveUp;
use crate::models::collaborative::Page;
use crate::models::collaborative::scan;
use crate::models::decay::DecayedRow;
use crate::numeric::TopK;
use crate::ranking::Choice;
use crate::retrieval::boost::Boost;
use crate::retrieval::boost::Target;
use crate::retrieval::filter::Eligibility;
use crate::seed;
use crate::state::Entry;
use crate::state::View;
use crate::state::column::PAGE;

/// Candidates wanted, per place of the list.
const CANDIDATES_PER_PLACE: usize = 5;
/// Candidates of each personal source.
const PERSONAL_MAX: usize = 200;
/// Candidates of each source that all people share.
const SHARED_MAX: usize = 100;
const EXPLORE_MAX: usize = 20;
/// New items, drawn from those that few have seen.
const NEWCOMERS_MAX: usize = 50;
/// Cohorts searched, the most specific ones.
const COHORTS_MAX: usize = 4;
/// Items whose content is compared, the newest entries of the catalogue: older ones
/// are found by what people did with them.
const CONTENT_SCAN_MAX: usize = 50_000;

/// How much a list needs at least.
#[derive(Debug, Clone, Copy)]
pub struct Supply<'a> {
    /// Candidates wanted where the catalogue has them.
    pub wanted: usize,
    /// Places of the list.
    pub places: usize,
    /// Absolute caps, which must leave enough to fill the list; 0: none.
    pub max_per_topic: u32,
    pub max_per_source: u32,
    /// Items that raising boosts are about come along.
    pub boosts: &'a [Boost],
}

impl<'a> Supply<'a> {
    /// What a choice among the catalogue needs.
    pub fn of(choice: &Choice, boosts: &'a [Boost]) -> Self {
        Self {
            wanted: choice.places * CANDIDATES_PER_PLACE,
            places: choice.places,
            max_per_topic: choice.max_per_topic,
            max_per_source: choice.max_per_source,
            boosts,
        }
    }
}

pub use self::trace::SourceTrace;

/// A search of the catalogue for one person.
#[derive(Debug)]
pub struct Retrieval<'a> {
    pub view: &'a View,
    pub user: Option<&'a User>,
    pub context: &'a UserContext,
    pub eligible: &'a Eligibility<'a>,
    /// Where the person is.
    pub location: Option<u32>,
    /// The moment of the request.
    pub now: Timestamp,
    /// Names the draw of the items to explore.
    pub seed_key: &'a [u8],
    pub give_up: &'a GiveUp<'a>,
}

impl Retrieval<'_> {
    /// Distinct indices of allowed catalogue items in rising order, at least
    /// as many as are wanted where the catalogue has them.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn run(&self, supply: &Supply<'_>) -> Result<Vec<u32>, Cancelled> {
        self.complete(self.personal()?, supply)
    }

    /// Allowed items that suit the person: the costly part, and a function of the
    /// person, the model and the filter but for what is newest.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn personal(&self) -> Result<Vec<u32>, Cancelled> {
        let mut all = Vec::new();
        for source in Source::PERSONAL {
            all.append(&mut self.found_by(source, &[])?);
        }
        Ok(all)
    }

    /// What one source has.
    fn found_by(&self, source: Source, boosts: &[Boost]) -> Result<Vec<u32>, Cancelled> {
        self.give_up.check()?;
        let of_list = |list: &[u32]| {
            let allowed = list.iter().copied().filter(|&index| self.allows(index));
            allowed.take(SHARED_MAX).collect()
        };
        let found = match source {
            Source::Factors => self.by_factors(),
            Source::Cooccurrence => self.by_cooccurrence(),
            Source::ItemItem => self.by_item_item(),
            Source::Content => self.by_content(),
            Source::Embedding => self.by_embedding(),
            Source::Cohorts => self.by_cohorts(),
            Source::Location => self.by_location(),
            Source::Popular => of_list(self.view.popular()),
            Source::Trending => of_list(self.view.trending()),
            Source::Fresh => of_list(self.view.fresh()),
            Source::Newcomers => self.newcomers(),
            Source::Boosts => self.by_boosts(boosts),
            Source::Explore => self.explore(),
        };
        Ok(found)
    }

    /// What `run` answers, given what `personal` found, now or a while ago: what is
    /// not there or not allowed any more is left out.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn complete(&self, personal: Vec<u32>, supply: &Supply<'_>) -> Result<Vec<u32>, Cancelled> {
        let mut found = personal;
        let items = self.view.items.entries.len();
        found.retain(|&index| (index as usize) < items && self.allows(index));
        for source in Source::SHARED {
            found.append(&mut self.found_by(source, supply.boosts)?);
        }
        found.sort_unstable();
        found.dedup();
        if found.len() < supply.wanted {
            self.fill_up(&mut found, supply.wanted);
        }
        if supply.max_per_topic > 0 || supply.max_per_source > 0 {
            self.fill_up_within_caps(&mut found, supply);
        }
        // Where the filter said no for that reason, something may be missing.
        self.give_up.check()?;
        Ok(found)
    }

    /// Whether the filter allows an item; none once nobody waits any more.
    fn allows(&self, index: u32) -> bool {
        self.give_up.step().is_ok()
            && self.eligible.allows(&self.view.items.entries[index as usize], Some(index))
    }

    fn by_factors(&self) -> Vec<u32> {
        let Some(factors) = &self.context.factors else {
            return Vec::new();
        };
        // Scanning for more than wanted and filtering after is cheaper than asking
        // every item of the catalogue; only what is left over matters.
        let mut wanted = PERSONAL_MAX + self.user.map_or(0, |user| user.history.entries().len());
        loop {
            let pages =
                self.view.items.factors.pages().map(|factors| Page { factors, eligible: None });
            let top = scan(pages, self.view.items.factors.k(), factors, wanted);
            let allowed: Vec<u32> = top
                .iter()
                .map(|(index, _)| *index)
                .filter(|&index| self.allows(index))
                .take(PERSONAL_MAX)
                .collect();
            if allowed.len() == PERSONAL_MAX || wanted > 16 * PAGE || top.len() < wanted {
                return allowed;
            }
            wanted *= 4;
        }
    }

    fn by_cooccurrence(&self) -> Vec<u32> {
        if self.context.recent.is_empty() {
            return Vec::new();
        }
        let mut top = TopK::new(PERSONAL_MAX);
        for (index, score) in self.view.cooccurrence_scorer(&self.context.recent).neighbours() {
            if self.allows(index) {
                top.push(score, index);
            }
        }
        indices(top)
    }

    fn by_item_item(&self) -> Vec<u32> {
        let mut top = TopK::new(PERSONAL_MAX);
        for &(index, score) in self.context.item_item.entries() {
            if self.allows(index) {
                top.push(score, index);
            }
        }
        indices(top)
    }

    fn by_content(&self) -> Vec<u32> {
        let Some(taste) = &self.context.taste else {
            return Vec::new();
        };
        let items = self.view.items.entries.len();
        let mut top = TopK::new(SHARED_MAX);
        for index in items.saturating_sub(CONTENT_SCAN_MAX)..items {
            let score = taste.score(&self.view.items.terms[index]);
            let enters = top.threshold().is_none_or(|threshold| score > threshold);
            if score > 0.0 && enters && self.allows(index as u32) {
                top.push(score, index as u32);
            }
        }
        indices(top)
    }

    /// As `by_factors`, in each space of content.
    fn by_embedding(&self) -> Vec<u32> {
        let had = self.user.map_or(0, |user| user.history.entries().len());
        let near = self.context.embedding_taste.nearest(self.view, PERSONAL_MAX + had);
        near.into_iter().filter(|&index| self.allows(index)).take(SHARED_MAX).collect()
    }

    fn by_cohorts(&self) -> Vec<u32> {
        let Some(user) = self.user else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for &cohort in user.cohorts.iter().rev().take(COHORTS_MAX) {
            found.append(&mut self.most_wanted(self.view.cohorts.items(cohort)));
        }
        found
    }

    fn by_location(&self) -> Vec<u32> {
        self.location.map_or_else(Vec::new, |location| {
            self.most_wanted(&self.view.locations.rows[location as usize])
        })
    }

    fn most_wanted(&self, items: &DecayedRow) -> Vec<u32> {
        let mut top = TopK::new(SHARED_MAX / 2);
        for &(index, mass) in items.entries() {
            if mass > 0.0 && self.allows(index) {
                top.push(mass, index);
            }
        }
        indices(top)
    }

    /// Some of the new items, others for each decision.
    fn newcomers(&self) -> Vec<u32> {
        let settings = self.view.settings();
        if settings.new_item_share <= 0.0 {
            return Vec::new();
        }
        let list = self.view.newcomers();
        let mut rng = seed::stream(settings.seed, seed::Purpose::Newcomers, self.seed_key);
        let start = if list.is_empty() { 0 } else { seed::below(&mut rng, list.len()) };
        let (before, after) = list.split_at(start);
        let allowed = after.iter().chain(before).copied().filter(|&index| self.allows(index));
        allowed.take(NEWCOMERS_MAX).collect()
    }

    /// Items that the caller raises: those named by id, and of the lists that all
    /// people share those that a topic, a source or an expression is about.
    fn by_boosts(&self, boosts: &[Boost]) -> Vec<u32> {
        let mut found = Vec::new();
        for boost in boosts.iter().filter(|boost| boost.raises()) {
            if let Target::Item(id) = &boost.target {
                found.extend(self.view.item_index(id).filter(|&index| self.allows(index)));
                continue;
            }
            let is_raised = |&index: &u32| {
                let item = self.view.items.entries[index as usize].item.as_ref();
                item.is_some_and(|item| boost.is_about(item, self.now)) && self.allows(index)
            };
            for list in [self.view.popular(), self.view.trending(), self.view.fresh()] {
                found.extend(list.iter().copied().filter(is_raised).take(SHARED_MAX));
            }
        }
        found
    }

    fn explore(&self) -> Vec<u32> {
        let items = self.view.items.entries.len();
        let settings = self.view.settings();
        let mut rng = seed::stream(settings.seed, seed::Purpose::Retrieve, self.seed_key);
        let draws = if items == 0 { 0 } else { EXPLORE_MAX };
        (0..draws)
            .map(|_| seed::below(&mut rng, items) as u32)
            .filter(|&index| self.allows(index))
            .collect()
    }

    fn fill_up(&self, found: &mut Vec<u32>, wanted: usize) {
        let have = found.len();
        for index in 0..self.view.items.entries.len() as u32 {
            if found.len() >= wanted || self.give_up.is_given_up() {
                break;
            }
            if found[..have].binary_search(&index).is_err() && self.allows(index) {
                found.push(index);
            }
        }
        found.sort_unstable();
    }

    /// Adds items of other topics and sources until a list within the caps can be
    /// filled, as far as the catalogue has them.
    fn fill_up_within_caps(&self, found: &mut Vec<u32>, supply: &Supply<'_>) {
        let mut taken =
            Taken { supply, topics: BTreeMap::new(), sources: BTreeMap::new(), items: 0 };
        let have = found.len();
        for &index in &*found {
            taken.take(&self.view.items.entries[index as usize]);
        }
        for index in 0..self.view.items.entries.len() as u32 {
            if taken.items >= supply.places || self.give_up.is_given_up() {
                break;
            }
            let is_new = found[..have].binary_search(&index).is_err();
            if is_new && self.allows(index) && taken.take(&self.view.items.entries[index as usize])
            {
                found.push(index);
            }
        }
        found.sort_unstable();
    }
}

/// How many of each label a list within absolute caps has taken.
struct Taken<'a> {
    supply: &'a Supply<'a>,
    topics: BTreeMap<u32, u32>,
    sources: BTreeMap<u32, u32>,
    items: usize,
}

impl Taken<'_> {
    /// Takes an item if the caps allow it.
    fn take(&mut self, entry: &Entry) -> bool {
        let below = |taken: &BTreeMap<u32, u32>, label: &u32, most: u32| {
            most == 0 || taken.get(label).is_none_or(|&count| count < most)
        };
        let (per_topic, per_source) = (self.supply.max_per_topic, self.supply.max_per_source);
        let fits = entry.topics.iter().all(|topic| below(&self.topics, topic, per_topic))
            && entry.source.iter().all(|source| below(&self.sources, source, per_source));
        if fits {
            self.items += 1;
            entry.topics.iter().for_each(|&topic| *self.topics.entry(topic).or_default() += 1);
            entry.source.iter().for_each(|&source| *self.sources.entry(source).or_default() += 1);
        }
        fits
    }
}

fn indices(top: TopK) -> Vec<u32> {
    top.into_sorted_vec().into_iter().map(|(index, _)| index).collect()
}
