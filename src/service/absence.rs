//! Why an item is not in an answer, and the smallest change that would bring it in.
//!
//! - What is looked at is the list itself ([`work_out`]), chosen greedily: nothing is left
//!   to chance, nothing is recorded.
//! - A change is suggested only after the list was worked out again with it and the item
//!   was there.
//!
//! Cost: one ranking, and up to about sixty more to find the changes.

mod alteration;
mod search;
mod sentence;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::alteration::Alteration;
pub use self::search::Suggestion;
use super::Service;
use super::blocking::Deadline;
use super::blocking::Expiry;
use super::error::Error;
use super::namespace::Namespace;
use super::personalize::PersonalizeCall;
use super::work_out::List;
use super::work_out::item_of;
use super::work_out::work_out;
use engine::Cancelled;
use engine::CandidateRank;
use engine::Exclusion;
use engine::Retrieval;
use engine::SourceTrace;
use engine::Supply;
use engine::View;
use engine::candidate_rank;
use engine::domain::ItemId;
use engine::domain::Strategy;

/// The first of these that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is in the answer.
    Present,
    /// The id is not known.
    UnknownItem,
    /// It is known from interactions only.
    NotInCatalogue,
    /// The request names its candidates, and it is none of them.
    NotACandidate,
    /// Rules refuse it.
    Filtered,
    /// No source of candidates came up with it.
    NotRetrieved,
    /// Its score is good enough, but others take the positions for other reasons.
    Suppressed,
    /// Its score is too low.
    Outranked,
}

/// An item against the last item that was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    pub candidate_rank: CandidateRank,
    pub candidates: usize,
    /// The last item of the answer with its score; `None` for an empty answer.
    pub last_shown: Option<(ItemId, f64)>,
    /// Components of the last shown item less those of this one, the greatest first.
    pub differences: Vec<(&'static str, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Absence {
    pub cause: Cause,
    pub sentence: String,
    /// Its position, when it is in the answer.
    pub position: Option<usize>,
    pub exclusions: Vec<Exclusion>,
    /// Where the catalogue was searched and the item was allowed.
    pub sources: Vec<SourceTrace>,
    /// Where it was a candidate.
    pub gap: Option<Gap>,
    /// Rules of variety and pins each of which alone keeps it out although its score is
    /// good enough.
    pub suppressed_by: Vec<Alteration>,
    /// The smallest first.
    pub suggestions: Vec<Suggestion>,
    pub model_version: u64,
    pub watermark: u64,
}

/// The item in one list.
#[derive(Debug, Clone)]
struct Finding {
    cause: Cause,
    position: Option<usize>,
    shown: BTreeSet<ItemId>,
    exclusions: Vec<Exclusion>,
    sources: Vec<SourceTrace>,
    gap: Option<Gap>,
}

impl Service {
    /// Why an item is not in the answer to a call.
    ///
    /// # Errors
    /// Those of [`Reads::run`](super::Reads::run).
    pub async fn explain_absence(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: PersonalizeCall,
        item_id: ItemId,
        deadline: Deadline,
    ) -> Result<Absence, Error> {
        let namespace = namespace.clone();
        // One at a time: each may take as long as hundreds of lists, which are made meanwhile.
        let turn = deadline.bound(self.explanations.clone().acquire_owned()).await?;
        let turn = turn.map_err(|_closed| Error::ShuttingDown)?;
        let work = move |expiry: &Expiry| {
            let _turn = turn;
            explain(&namespace, &view, call, &item_id, expiry)
        };
        self.reads.run(deadline, work).await?
    }
}

fn explain(
    namespace: &Namespace,
    view: &View,
    mut call: PersonalizeCall,
    item_id: &ItemId,
    expiry: &Expiry,
) -> Result<Absence, Error> {
    call.choice.strategy = Strategy::Greedy;
    call.explain = false;
    let finding = expiry.bound(|give_up| {
        let personal = |retrieval: &Retrieval<'_>| retrieval.personal();
        let look = |list: List<'_>| Finding::of(view, &call, &list, item_id);
        work_out(namespace, view, &call, false, give_up, personal, look)?
    })?;
    let suggestions = search::suggestions(namespace, view, &call, item_id, &finding, expiry)?;
    let single = suggestions.iter().filter_map(|suggestion| match &suggestion.alterations[..] {
        [one] if one.is_about_choice() => Some(*one),
        _ => None,
    });
    let suppressed = finding.cause == Cause::Suppressed;
    let suppressed_by = if suppressed { single.collect() } else { Vec::new() };
    let mut absence = Absence {
        cause: finding.cause,
        sentence: String::new(),
        position: finding.position,
        exclusions: finding.exclusions,
        sources: finding.sources,
        gap: finding.gap,
        suppressed_by,
        suggestions,
        model_version: view.model_version(),
        watermark: view.watermark(),
    };
    absence.sentence = sentence::of(&absence, call.choice.positions);
    Ok(absence)
}

impl Finding {
    fn of(
        view: &View,
        call: &PersonalizeCall,
        list: &List<'_>,
        item_id: &ItemId,
    ) -> Result<Self, Cancelled> {
        let shown = list.ranked.items.iter().map(|item| &list.candidates[item.candidate]);
        let shown: Vec<&ItemId> = shown.map(|candidate| &item_of(candidate).item_id).collect();
        let position = shown.iter().position(|id| *id == item_id);
        let mut candidates = list.candidates.iter();
        let candidate = candidates.position(|candidate| item_of(candidate).item_id == *item_id);
        let exclusions = exclusions(view, call, list, item_id);
        let gap = candidate.map(|candidate| gap(view, list, candidate)).transpose()?;
        let cause = match (&exclusions, &gap) {
            _ if position.is_some() => Cause::Present,
            (None, _) => Cause::UnknownItem,
            (Some(exclusions), _) if *exclusions == [Exclusion::NotInCatalogue] => {
                Cause::NotInCatalogue
            }
            _ if !call.candidates.may_be(item_id) => Cause::NotACandidate,
            (Some(exclusions), _) if !exclusions.is_empty() => Cause::Filtered,
            (_, Some(gap)) if gap.candidate_rank.rank < call.choice.positions => Cause::Suppressed,
            (_, Some(_)) => Cause::Outranked,
            (_, None) => Cause::NotRetrieved,
        };
        let searched = call.candidates.retrieve;
        let allowed = exclusions.as_ref().is_some_and(Vec::is_empty);
        let index = view.item_index(item_id.as_str()).filter(|_| searched && allowed);
        let supply = Supply::of(&call.choice, list.request.earlier.items, list.request.boosts);
        let sources = index.map(|index| list.retrieval.trace(index, &supply)).transpose()?;
        Ok(Self {
            cause,
            position,
            shown: shown.into_iter().cloned().collect(),
            exclusions: exclusions.unwrap_or_default(),
            sources: sources.unwrap_or_default(),
            gap,
        })
    }
}

/// The rules that refuse an item as the catalogue or the request describes it;
/// `None` for one that neither knows.
fn exclusions(
    view: &View,
    call: &PersonalizeCall,
    list: &List<'_>,
    item_id: &ItemId,
) -> Option<Vec<Exclusion>> {
    let index = view.item_index(item_id.as_str());
    if let Some(item) = call.candidates.described(item_id.as_str()) {
        let (entry, _) = view.describe_inline(item.clone());
        return Some(list.eligible.exclusions(&entry, index));
    }
    index.map(|index| list.eligible.exclusions(view.entry(index), Some(index)))
}

fn gap(view: &View, list: &List<'_>, candidate: usize) -> Result<Gap, Cancelled> {
    let candidate_rank = candidate_rank(view, list.candidates, list.request, candidate)?;
    let last = list.ranked.items.last();
    let mut differences: Vec<(&'static str, f64)> = Vec::new();
    if let Some(last) = last {
        let names: BTreeSet<&'static str> =
            last.components.keys().chain(candidate_rank.components.keys()).copied().collect();
        let of = |components: &std::collections::BTreeMap<&str, f64>, name: &str| {
            components.get(name).copied().unwrap_or(0.0)
        };
        let part = |name| (name, of(&last.components, name) - of(&candidate_rank.components, name));
        differences = names.into_iter().map(part).filter(|part| part.1 != 0.0).collect();
        differences.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    }
    let id = |candidate: usize| item_of(&list.candidates[candidate]).item_id.clone();
    Ok(Gap {
        candidate_rank,
        candidates: list.candidates.len(),
        last_shown: last.map(|last| (id(last.candidate), last.score)),
        differences,
    })
}
