//! What the hybrid is fitted on: for each person held out the best items of every source, described by
//! their features, among them those that the person consumed next.
//!
//! What was taken from a list that is remembered is compared with the rest of that list ([`lists`](super::lists)).
//!
//! Of all items, the best of each source are the ones that have to be told apart. All other items are
//! represented by some that are drawn evenly, each for as many as were not. Without them a
//! feature whose own best items are missing would look harmless.

use rayon::iter::IndexedParallelIterator;
use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::features::UserContext;
use crate::features::describe_raw;
use crate::models::cold_start::ItemStatistics;
use crate::models::cold_start::Scales;
use crate::models::contexts::RequestContext;
use crate::models::hybrid::FeatureMatrix;
use crate::numeric;
use crate::numeric::TopK;
use crate::seed;
use crate::state::View;
use crate::training::columns::Columns;
use crate::training::holdout::Holdout;
use crate::training::holdout::Test;
use crate::training::hybrid::lists;
use crate::training::hybrid::lists::List;

/// Items of each source that depends on the user, and of each that all users share.
const PERSONAL: usize = 60;
const SHARED: usize = 40;
/// Items that the user had before, where they may come again: the latest.
const FAMILIAR: usize = 100;
/// Of the people tested, one in so many is tested as a newcomer, too.
const NEWCOMERS_ONE_IN: usize = 3;
/// Items drawn evenly from all others.
const DRAWN: usize = 300;

/// The candidates of one person.
#[derive(Debug, Clone)]
pub struct ChoiceSet {
    /// Features without a scale; what was consumed next comes first.
    pub features: FeatureMatrix,
    /// How many rows were consumed.
    pub chosen: usize,
    /// How many items each row stands for.
    pub counts: Vec<f32>,
    /// Whose choice it is, by the position of the test.
    pub person: usize,
    /// Whether its rows are those of a list.
    pub is_list: bool,
}

/// What is fitted on. `view` knows nothing of what is held out.
pub struct ChoiceSets {
    /// For each person one set for each list and one for what came from none, as far as they tell something.
    pub known: Vec<ChoiceSet>,
    /// The first thing that some of these people did, as of one of whom nothing is known: what
    /// decides for newcomers must be fitted on newcomers. It is still among what is popular, as
    /// one of many. Of people who were shown lists there is none: it may come from one.
    pub newcomers: Vec<ChoiceSet>,
    /// What all users share, as of the clock: features of the popular items. In old choices popularity has faded,
    /// in requests it has not, and they must not be cut.
    pub present: FeatureMatrix,
}

impl ChoiceSets {
    /// Whether most choices of known people are of lists.
    pub fn are_of_lists(&self) -> bool {
        2 * self.known.iter().filter(|set| set.is_list).count() > self.known.len()
    }
}

/// See [`ChoiceSets`].
pub fn of(view: &View, holdout: &Holdout<'_>) -> ChoiceSets {
    let shared = shared_items(view, holdout);
    let tests = holdout.tests();
    let known = tests
        .par_iter()
        .enumerate()
        .flat_map_iter(|test| choice_sets(view, holdout, test, &shared));
    let first = tests.par_iter().enumerate().step_by(NEWCOMERS_ONE_IN);
    let newcomers = first.filter_map(|test| first_choice(view, holdout, test, &shared));
    let tells = |set: &ChoiceSet| set.features.len() > set.chosen;
    let popular = shared.iter().map(|&column| holdout.columns().items()[column as usize]);
    ChoiceSets {
        known: known.filter(tells).collect(),
        newcomers: newcomers.filter(tells).collect(),
        present: features(view, (None, &UserContext::default()), popular, view.clock),
    }
}

/// Describes items as of a time.
fn features(
    view: &View,
    (user, context): (Option<&User>, &UserContext),
    items: impl Iterator<Item = ItemIndex>,
    at: Timestamp,
) -> FeatureMatrix {
    let candidates: Vec<Candidate<'_>> = items.map(|item| Candidate::known(view, item)).collect();
    describe_raw(view, user, context, &RequestContext::at(at), &candidates)
}

/// The first positive of a person, as of a newcomer. None of one who was shown lists: it may come from one.
fn first_choice(
    view: &View,
    holdout: &Holdout<'_>,
    (person, test): (usize, &Test),
    shared: &[u32],
) -> Option<ChoiceSet> {
    let columns = holdout.columns();
    if !holdout.view().users.states[test.user].responses.is_empty() {
        return None;
    }
    let first = test.before.positives().last()?;
    let column = columns.of_item(first.item).filter(|&column| columns.open()[column as usize])?;
    let newcomer = Test::of_newcomer(test.user, column, first.at());
    let context = UserContext::default();
    let chooser = Chooser { view, holdout, test: &newcomer, person, user: None, context: &context };
    Some(chooser.described(&newcomer.held_out, shared.to_vec()))
}

/// Columns that are popular by any memory.
fn shared_items(view: &View, holdout: &Holdout<'_>) -> Vec<u32> {
    let columns = holdout.columns();
    let scales = view.popularity_scales();
    let open = || (0..columns.len() as u32).filter(|&column| columns.open()[column as usize]);
    let mut found = Vec::new();
    let sums: [fn(&Scales, &ItemStatistics) -> f32; 4] =
        [Scales::popularity, Scales::trend, Scales::activity, |_, one| one.log_positives()];
    for sum in sums {
        let mut top = TopK::new(SHARED);
        for column in open() {
            let item = columns.items()[column as usize];
            top.push(sum(&scales, &view.items.popularity.items[item]), column);
        }
        found.extend(top.into_sorted_vec().into_iter().map(|entry| entry.0));
    }
    found
}

/// What a person chose, of each list and of all items.
fn choice_sets(
    view: &View,
    holdout: &Holdout<'_>,
    (person, test): (usize, &Test),
    shared: &[u32],
) -> Vec<ChoiceSet> {
    let columns = holdout.columns();
    let user = view.users.states[test.user].as_ref();
    let context = UserContext::new(view, Some(user));
    let chooser = Chooser { view, holdout, test, person, user: Some(user), context: &context };
    let lists = lists::of(holdout, test);
    let mut sets: Vec<ChoiceSet> = lists.iter().map(|list| chooser.of_list(list)).collect();
    let in_a_list = |column: &u32| {
        let item = columns.items()[*column as usize];
        lists.iter().any(|list| list.taken.contains(&item))
    };
    let chosen: Vec<u32> =
        test.held_out.iter().copied().filter(|column| !in_a_list(column)).collect();
    if chosen.is_empty() {
        return sets;
    }
    let mut found = personal_items(view, holdout, &context);
    if view.recommends_seen() {
        let had = test.before.entries().iter().rev().take(FAMILIAR);
        found.extend(had.filter_map(|entry| columns.of_item(entry.item)));
    }
    found.extend_from_slice(shared);
    sets.push(chooser.described(&chosen, found));
    sets
}

/// A person who chooses.
struct Chooser<'a> {
    view: &'a View,
    holdout: &'a Holdout<'a>,
    test: &'a Test,
    person: usize,
    user: Option<&'a User>,
    context: &'a UserContext,
}

impl Chooser<'_> {
    /// Describes what was taken of a list and what was left.
    fn of_list(&self, list: &List) -> ChoiceSet {
        let rows = list.taken.iter().chain(&list.left).copied();
        let counts = vec![1.0; list.taken.len() + list.left.len()];
        ChoiceSet { is_list: true, ..self.set(rows, list.taken.len(), counts, list.at) }
    }

    /// Describes what was chosen, what was found and some of the rest.
    fn described(&self, chosen: &[u32], mut found: Vec<u32>) -> ChoiceSet {
        let (test, columns) = (self.test, self.holdout.columns());
        found.sort_unstable();
        found.dedup();
        found.retain(|column| competes(columns, test, *column));
        let (drawn, each) = drawn(columns, test, &found, self.view.settings().seed);
        let mut counts = vec![1.0; chosen.len() + found.len()];
        counts.resize(counts.len() + drawn.len(), each);
        let rows = chosen.iter().chain(&found).chain(&drawn);
        let rows = rows.map(|&column| columns.items()[column as usize]);
        self.set(rows, chosen.len(), counts, test.since)
    }

    fn set(
        &self,
        items: impl Iterator<Item = ItemIndex>,
        chosen: usize,
        counts: Vec<f32>,
        at: Timestamp,
    ) -> ChoiceSet {
        let features = features(self.view, (self.user, self.context), items, at);
        ChoiceSet { features, chosen, counts, person: self.person, is_list: false }
    }
}

/// Whether a column is one of the others that were not chosen.
fn competes(columns: &Columns, test: &Test, column: u32) -> bool {
    columns.open()[column as usize] && test.ranks(column) && !test.held_out.contains(&column)
}

/// Columns that compete and are not among the `found`, which are sorted, and how many of these each
/// stands for.
fn drawn(columns: &Columns, test: &Test, found: &[u32], seed: u64) -> (Vec<u32>, f32) {
    let is_left =
        |column: &u32| competes(columns, test, *column) && found.binary_search(column).is_err();
    let user = test.user.as_usize().to_le_bytes();
    let mut rng = seed::stream(seed, seed::Purpose::Negatives, &user);
    let n = columns.len();
    let draws = 2 * DRAWN.min(n);
    let tried: Vec<u32> = (0..draws).map(|_| seed::below(&mut rng, n) as u32).collect();
    let mut drawn: Vec<u32> = tried.iter().copied().filter(is_left).collect();
    let left = drawn.len() as f64 / draws.max(1) as f64 * n as f64;
    drawn.truncate(DRAWN);
    drawn.sort_unstable();
    let each = (left / drawn.len().max(1) as f64).max(1.0);
    drawn.dedup();
    (drawn, each as f32)
}

/// The best columns of each source that depends on the user.
fn personal_items(view: &View, holdout: &Holdout<'_>, context: &UserContext) -> Vec<u32> {
    let columns = holdout.columns();
    let mut found: Vec<u32> = Vec::new();
    if let Some(factors) = &context.factors {
        let mut top = TopK::new(PERSONAL);
        for (column, &item) in (0..).zip(columns.items()) {
            if columns.open()[column as usize]
                && let Some(row) = view.items.factors.row(item)
            {
                top.push(numeric::dot(factors, row), column);
            }
        }
        found.extend(top.into_sorted_vec().into_iter().map(|entry| entry.0));
    }
    let mut best = |scored: &[(ItemIndex, f32)]| {
        let mut top = TopK::new(PERSONAL);
        for &(item, score) in scored {
            if let Some(column) = columns.of_item(item) {
                top.push(score, column);
            }
        }
        found.extend(top.into_sorted_vec().into_iter().map(|entry| entry.0));
    };
    let associated = &context.associated;
    associated.together.iter().for_each(|scores| best(scores.entries()));
    best(associated.sequence.entries());
    best(associated.overlap.entries());
    best(&view.cooccurrence_scorer(&context.recent).neighbours());
    best(&view.succession_scorer(&context.recent).neighbours());
    if let Some(taste) = &context.taste {
        let has_column = |item: ItemIndex| columns.of_item(item).is_some();
        let alike = view.inverted.candidates(taste.terms(), has_column).into_iter();
        let scored: Vec<(ItemIndex, f32)> =
            alike.map(|item| (item, taste.score_best(&view.items.terms[item]))).collect();
        best(&scored);
    }
    found
}
