//! The items of each source among those that the request allows.

use std::cell::Cell;

use crate::columns::index::ItemIndex;
use crate::give_up::Cancelled;
use crate::models::cold_start::Newcomers;
use crate::models::decay::DecayedRow;
use crate::numeric::TopK;
use crate::retrieval::boost::Boost;
use crate::retrieval::boost::Target;
use crate::retrieval::condition::of_target;
use crate::retrieval::mask::Mask;
use crate::retrieval::popular::most_popular;
use crate::retrieval::popular::most_positive;
use crate::retrieval::popular::youngest;
use crate::retrieval::retrieve::Retrieval;
use crate::retrieval::retrieve::Supply;
use crate::retrieval::retrieve::source::Source;
use crate::seed;
use crate::state::View;
use crate::state::top_lists::Evidence;

/// Candidates of each personal source.
const PERSONAL_MAX: usize = 200;
/// Candidates of each source that all users share.
pub const SHARED_MAX: usize = 100;
const EXPLORE_MAX: usize = 20;
/// Draws for each of these, since the filter may exclude some.
const EXPLORE_DRAWS: usize = 4;
/// New items, drawn from the youngest with few impressions.
const NEWCOMERS_MAX: usize = 50;
const NEWCOMERS_POOL: usize = 500;
/// Youngest items among which those with few impressions are searched.
const NEWCOMERS_AMONG: usize = 16_384;
/// Cohorts that are searched, the most specific ones.
const COHORTS_MAX: usize = 4;
/// Up to this many items are compared by their content one by one.
const CONTENT_DIRECT_MAX: usize = 2_048;
/// Scans of factors before a filter that sets do not answer is evaluated for each item.
const SCANS_MAX: usize = 3;

/// A retrieval with the items that it searches.
pub struct Search<'r> {
    retrieval: &'r Retrieval<'r>,
    view: &'r View,
    /// Every allowed item is in it.
    pub mask: Mask,
    /// Whether nearly everything in it is allowed.
    is_settled: bool,
}

impl<'r> Search<'r> {
    pub fn new(retrieval: &'r Retrieval<'r>) -> Result<Self, Cancelled> {
        retrieval.give_up.check()?;
        let (mask, is_settled) = retrieval.eligible.mask(retrieval.give_up);
        let mut search = Self { retrieval, view: retrieval.view, mask, is_settled };
        if !search.is_settled {
            // When few popular items are allowed, every source would check many items.
            let popular = search.view.popular().items.iter();
            let allowed = popular.filter(|&&item| search.allows(item)).take(SHARED_MAX);
            if allowed.count() < SHARED_MAX {
                search.settle();
            }
        }
        retrieval.give_up.check()?;
        Ok(search)
    }

    /// Checks every item of the mask with the filter.
    fn settle(&mut self) {
        let excluded: Vec<ItemIndex> =
            self.mask.iter().filter(|&item| !self.allows(item)).collect();
        excluded.into_iter().for_each(|item| self.mask.clear(item));
        self.is_settled = true;
    }

    /// Whether the filter allows an item; `false` for all once the caller gave up.
    pub fn allows(&self, item: ItemIndex) -> bool {
        let Retrieval { eligible, give_up, .. } = self.retrieval;
        self.mask.has(item)
            && give_up.step().is_ok()
            && eligible.allows(&self.view.items.entries[item], Some(item))
    }

    pub fn view(&self) -> &'r View {
        self.view
    }

    pub fn check(&self) -> Result<(), Cancelled> {
        self.retrieval.give_up.check()
    }

    pub fn is_given_up(&self) -> bool {
        self.retrieval.give_up.is_given_up()
    }

    pub fn personal(&mut self) -> Result<Vec<ItemIndex>, Cancelled> {
        let mut all = Vec::new();
        for source in Source::PERSONAL {
            all.append(&mut self.found_by(source, &Supply::NONE)?);
        }
        Ok(all)
    }

    /// The items of one source.
    pub fn found_by(
        &mut self,
        source: Source,
        supply: &Supply<'_>,
    ) -> Result<Vec<ItemIndex>, Cancelled> {
        self.check()?;
        let found = match source {
            Source::Factors => self.by_factors(),
            Source::Cooccurrence => self.by_cooccurrence(),
            Source::ItemItem | Source::Sequence | Source::Overlap => self.by_associations(source),
            Source::Content => self.by_content(),
            Source::Embedding => self.by_embedding(),
            Source::Cohorts => self.by_cohorts(),
            Source::Location => self.by_values(self.retrieval.values.location.into_iter()),
            Source::Attributes => self.by_values(self.retrieval.values.attributes()),
            Source::Popular => self.popular(supply.positions),
            Source::Trending => {
                most_positive(self.view, Evidence::Trend, &self.mask, SHARED_MAX, |item| {
                    self.allows(item)
                })
            }
            Source::Fresh => self.fresh(&self.mask),
            Source::Newcomers => self.newcomers(),
            Source::Boosts => self.by_boosts(supply.boosts),
            Source::Explore => self.explore(),
        };
        Ok(found)
    }

    /// At least enough for a list, if the catalogue has them: items without positives follow, the
    /// youngest first.
    fn popular(&self, positions: usize) -> Vec<ItemIndex> {
        let allowed = |item| self.allows(item);
        let n = positions.max(SHARED_MAX);
        let found = most_positive(self.view, Evidence::Popularity, &self.mask, n, allowed);
        if found.len() >= positions {
            return found;
        }
        most_popular(self.view, &self.mask, positions, allowed)
    }

    /// The latest published of some items.
    fn fresh(&self, mask: &Mask) -> Vec<ItemIndex> {
        youngest(self.view, mask, SHARED_MAX, |item, is_dated| is_dated && self.allows(item))
    }

    fn by_factors(&mut self) -> Vec<ItemIndex> {
        let Some(factors) = &self.retrieval.context.factors else {
            return Vec::new();
        };
        let rows = &self.view.items.factors;
        if factors.len() != rows.k() {
            return Vec::new();
        }
        let mut n = PERSONAL_MAX;
        for scan in 0.. {
            let top = rows.rows.best(factors, n, self.mask.words());
            let likely = top.iter().filter(|one| one.1 > 0.0).map(|one| one.0);
            let allowed: Vec<ItemIndex> =
                likely.filter(|&item| self.allows(item)).take(PERSONAL_MAX).collect();
            let has_more = top.len() == n && top.last().is_some_and(|last| last.1 > 0.0);
            if allowed.len() == PERSONAL_MAX || !has_more || self.is_given_up() {
                return allowed;
            }
            if scan == SCANS_MAX && !self.is_settled {
                self.settle();
            }
            n *= 4;
        }
        Vec::new()
    }

    fn by_cooccurrence(&self) -> Vec<ItemIndex> {
        let recent = &self.retrieval.context.recent;
        if recent.is_empty() {
            return Vec::new();
        }
        self.best_of(&self.view.cooccurrence_scorer(recent).neighbours(), PERSONAL_MAX)
    }

    fn by_associations(&self, source: Source) -> Vec<ItemIndex> {
        let lists = source.associations(&self.retrieval.context.associated).iter();
        lists.flat_map(|scores| self.best_of(scores.entries(), PERSONAL_MAX)).collect()
    }

    /// The best allowed of scored items.
    fn best_of(&self, scored: &[(ItemIndex, f32)], n: usize) -> Vec<ItemIndex> {
        let mut top = TopK::new(n);
        for &(item, score) in scored {
            if self.allows(item) {
                top.push(score, item);
            }
        }
        indices(top)
    }

    fn by_content(&self) -> Vec<ItemIndex> {
        let Some(taste) = &self.retrieval.context.taste else {
            return Vec::new();
        };
        let mut top = TopK::new(SHARED_MAX);
        let mut offer = |item: ItemIndex| {
            let score = taste.score_best(&self.view.items.terms[item]);
            let enters = top.threshold().is_none_or(|threshold| score >= threshold);
            if score > 0.0 && enters && self.allows(item) {
                top.push(score, item);
            }
        };
        if self.mask.count() <= CONTENT_DIRECT_MAX {
            self.mask.iter().for_each(&mut offer);
        } else {
            let found = self.view.inverted.candidates(taste.terms(), |item| self.mask.has(item));
            found.into_iter().for_each(&mut offer);
        }
        indices(top)
    }

    fn by_embedding(&self) -> Vec<ItemIndex> {
        let n = if self.is_settled { SHARED_MAX } else { PERSONAL_MAX * 2 };
        let taste = &self.retrieval.context.embedding_taste;
        let near = taste.nearest(self.view, n, self.mask.words());
        near.into_iter().filter(|&item| self.allows(item)).take(2 * SHARED_MAX).collect()
    }

    fn by_cohorts(&self) -> Vec<ItemIndex> {
        let Some(user) = self.retrieval.user else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for &cohort in user.cohorts.iter().rev().take(COHORTS_MAX) {
            found.append(&mut self.by_row(self.view.cohorts.items(cohort)));
        }
        found
    }

    fn by_values(&self, values: impl Iterator<Item = u32>) -> Vec<ItemIndex> {
        let rows = &self.view.context_values.rows;
        values.flat_map(|value| self.by_row(&rows[value as usize])).collect()
    }

    fn by_row(&self, items: &DecayedRow<ItemIndex>) -> Vec<ItemIndex> {
        let positive: Vec<(ItemIndex, f32)> =
            items.entries().iter().copied().filter(|entry| entry.1 > 0.0).collect();
        self.best_of(&positive, SHARED_MAX / 2)
    }

    /// Some of the new items, different ones for each user and hour.
    fn newcomers(&self) -> Vec<ItemIndex> {
        let settings = self.view.settings();
        if settings.new_item_share <= 0.0 {
            return Vec::new();
        }
        let statistics = &self.view.items.popularity;
        let newcomers = Newcomers::new(settings, statistics.totals(), self.view.clock);
        let is_unseen = |item: ItemIndex| {
            newcomers.impressions(&statistics.items[item]) < settings.new_item_impressions
        };
        let asked = Cell::new(0);
        let is_new = |item: ItemIndex, _| {
            asked.set(asked.get() + 1);
            asked.get() <= NEWCOMERS_AMONG && is_unseen(item)
        };
        let list = youngest(self.view, &self.mask, NEWCOMERS_POOL, is_new);
        let mut rng =
            seed::stream(settings.seed, seed::Purpose::Newcomers, self.retrieval.seed_key);
        let start = if list.is_empty() { 0 } else { seed::below(&mut rng, list.len()) };
        let (before, after) = list.split_at(start);
        let allowed = after.iter().chain(before).copied().filter(|&item| self.allows(item));
        allowed.take(NEWCOMERS_MAX).collect()
    }

    /// Items that the caller raises: those named by id, and the most popular and the latest of a
    /// topic, a source or an expression. When sets of items do not answer which these are, the
    /// lists of the view are searched.
    fn by_boosts(&self, boosts: &[Boost]) -> Vec<ItemIndex> {
        let now = self.retrieval.now;
        let mut found = Vec::new();
        for boost in boosts.iter().filter(|boost| boost.raises()) {
            if let Target::Item(id) = &boost.target {
                found.extend(self.view.item_index(id).filter(|&item| self.allows(item)));
                continue;
            }
            let is_raised = |item: ItemIndex| {
                let described = self.view.items.entries[item].item.as_ref();
                described.is_some_and(|item| boost.is_about(item, now)) && self.allows(item)
            };
            if let Some(plan) = of_target(&boost.target, now) {
                let mut raised = plan.items(self.view, self.retrieval.give_up);
                raised.keep(&self.mask);
                let popular = Evidence::Popularity;
                found.extend(most_positive(self.view, popular, &raised, SHARED_MAX, is_raised));
                found.extend(youngest(self.view, &raised, SHARED_MAX, |item, _| is_raised(item)));
            } else {
                for list in [self.view.popular(), self.view.trending()] {
                    let raised = list.items.iter().copied().filter(|&item| is_raised(item));
                    found.extend(raised.take(SHARED_MAX));
                }
                let fresh = self.view.postings.youngest().take(NEWCOMERS_AMONG);
                let raised = fresh.map(|born| born.item).filter(|&item| is_raised(item));
                found.extend(raised.take(SHARED_MAX));
            }
        }
        found
    }

    /// Items drawn evenly from those allowed.
    fn explore(&self) -> Vec<ItemIndex> {
        let count = self.mask.count();
        if count <= EXPLORE_MAX {
            return self.mask.iter().filter(|&item| self.allows(item)).collect();
        }
        let seed = self.view.settings().seed;
        let mut rng = seed::stream(seed, seed::Purpose::Retrieve, self.retrieval.seed_key);
        let draws: Vec<usize> =
            (0..EXPLORE_MAX * EXPLORE_DRAWS).map(|_| seed::below(&mut rng, count)).collect();
        let drawn = self.mask.at(&draws).into_iter();
        drawn.filter(|&item| self.allows(item)).take(EXPLORE_MAX).collect()
    }
}

fn indices(top: TopK<ItemIndex>) -> Vec<ItemIndex> {
    top.into_sorted_vec().into_iter().map(|(item, _)| item).collect()
}
