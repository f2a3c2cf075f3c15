//! A recorded decision worked out again, on the state that it was made on.
//!
//! - It goes through the same code as the answer did, so what comes out is a decision
//!   like the recorded one: equal, bit by bit, or the difference is a finding.
//! - When the catalogue was searched it is searched again. Candidates that the request
//!   named, or that were found for an earlier call, are those of the record.

use super::recording::Recording;
use super::recording::call_of;
use super::recording::decision;
use super::scene::Beside;
use super::scene::List;
use super::scene::work_out_among;
use super::scene::work_out_with;
use super::user_contexts::Derived;
use engine::ENGINE_REVISION;
use engine::GiveUp;
use engine::Retrieval;
use engine::SyntaxError;
use engine::View;
use engine::domain::CandidateSource;
use engine::domain::Decision;
use engine::domain::DecisionDetail;

/// Why a decision cannot be worked out again.
#[derive(Debug, thiserror::Error)]
pub enum NotRedone {
    #[error(
        "its record holds what was shown and not how it came about: it was made with \
         DECISION_DETAIL=shown, or by a version that did not record it"
    )]
    NoDetail,
    #[error("engine revision {found} decided, and this is revision {ours}")]
    OtherRevision { found: u32, ours: u32 },
    #[error(
        "{described} of its candidates were described by the request and are not in the record; \
         DECISION_DETAIL=full records them"
    )]
    DescriptionsMissing { described: u32 },
    #[error("item {0:?} is not known at its watermark")]
    UnknownItem(String),
    #[error("an expression of its record cannot be read: {0}")]
    Expression(#[from] SyntaxError),
}

/// Whether a decision's record is enough to work it out again.
///
/// # Errors
/// [`NotRedone`] when it is not.
pub fn check_record(recorded: &Decision) -> Result<&DecisionDetail, NotRedone> {
    let detail = recorded.detail.as_deref().ok_or(NotRedone::NoDetail)?;
    let (found, ours) = (detail.engine_revision, ENGINE_REVISION);
    if found != ours {
        return Err(NotRedone::OtherRevision { found, ours });
    }
    if detail.items.len() < detail.described as usize {
        return Err(NotRedone::DescriptionsMissing { described: detail.described });
    }
    Ok(detail)
}

/// Works a decision out again: `view` at its watermark, `context_view` at that of the
/// person's derived values.
///
/// # Errors
/// [`NotRedone`] when the record is not enough.
pub fn redo(view: &View, context_view: &View, recorded: &Decision) -> Result<Decision, NotRedone> {
    let detail = check_record(recorded)?;
    let call = call_of(recorded, detail)?;
    let index_of =
        |id: &str| view.item_index(id).ok_or_else(|| NotRedone::UnknownItem(id.to_owned()));
    let user = context_view.user_index(recorded.user_id.as_str());
    let person = Derived::new(context_view, user);
    let recording = Recording::like(detail);
    let deviations = recording.holds_deviations();
    let (shown, unlearnt_cost) = (detail.shown_lately.clone(), detail.unlearnt_cost);
    let beside = Beside { person, shown, unlearnt_cost, deviations };
    let look = |list: List<'_>| decision(view, &call, &list, recording);
    let never = GiveUp::never();
    if detail.source == CandidateSource::Catalogue {
        let personal = |retrieval: &Retrieval<'_>| retrieval.personal();
        let redone = work_out_with(view, &call, &beside, &never, personal, look);
        return Ok(redone.expect("nobody gives up"));
    }
    let catalogued = detail.candidates.len().saturating_sub(detail.described as usize);
    let described_index = |id: &str| {
        let index = index_of(id)?;
        let is_described = view.entry(index).item.is_some();
        is_described.then_some(index).ok_or_else(|| NotRedone::UnknownItem(id.to_owned()))
    };
    let indices = detail.candidates.ids().take(catalogued).map(described_index);
    let indices = indices.collect::<Result<_, _>>()?;
    let among = (indices, &detail.items[..]);
    let redone = work_out_among(view, &call, &beside, &never, among, look);
    Ok(redone.expect("nobody gives up"))
}
