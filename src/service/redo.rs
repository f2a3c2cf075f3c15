//! A recorded decision worked out again, on the state that it was made on.
//!
//! - It goes through the same code as the answer did, from the request on, so what comes out
//!   is a decision like the recorded one: equal, bit by bit, or the difference is a finding.
//! - What was derived of the user, impressions, costs and earlier pages are those of the record, and
//!   so are candidates that had been found for an earlier call; all else is found again.

use super::personalize::PersonalizeCall;
use super::recording::decision;
use super::user_contexts::Derived;
use super::work_out::CallContext;
use super::work_out::List;
use super::work_out::work_out_among;
use super::work_out::work_out_with;
use engine::ENGINE_REVISION;
use engine::GiveUp;
use engine::Retrieval;
use engine::View;
use engine::domain::Decision;
use engine::domain::DecisionDetail;

/// Why a decision cannot be worked out again.
#[derive(Debug, thiserror::Error)]
pub enum NotRedone {
    #[error(
        "its record holds what was shown and not how it came about: it was made with \
         DECISION_DETAIL=shown, or its record would have been longer than a record may be"
    )]
    NoDetail,
    #[error("engine revision {found} decided, and this is revision {ours}")]
    OtherRevision { found: u32, ours: u32 },
    #[error(
        "{undescribed} of its candidates were described by the request and are not in the \
         record; DECISION_DETAIL=full records them"
    )]
    DescriptionsMissing { undescribed: u32 },
    #[error("the request of its record cannot be read: {0}")]
    Request(String),
    #[error("item {0:?} is not known at its watermark")]
    UnknownItem(String),
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
    match detail.undescribed {
        0 => Ok(detail),
        undescribed => Err(NotRedone::DescriptionsMissing { undescribed }),
    }
}

/// Works a decision out again: `view` at its watermark, `context_view` at that of the
/// user's derived values, `call` as the request of its record reads on that view.
///
/// # Errors
/// [`NotRedone`] when the record is not enough.
pub fn redo(
    view: &View,
    context_view: &View,
    recorded: &Decision,
    call: &PersonalizeCall,
) -> Result<Decision, NotRedone> {
    let detail = check_record(recorded)?;
    let index_of =
        |id: &str| view.item_index(id).ok_or_else(|| NotRedone::UnknownItem(id.to_owned()));
    let user = context_view.user_index(recorded.user_id.as_str());
    let call_context = CallContext {
        derived: Derived::new(context_view, user),
        shown: detail.shown_lately.clone(),
        unlearnt_cost: detail.unlearnt_cost,
        deviations: true,
    };
    let request = call.record.clone();
    let look = |list: List<'_>| decision(view, call, &list, request, detail.remembered);
    let never = GiveUp::never();
    if !detail.remembered {
        let personal = |retrieval: &Retrieval<'_>| retrieval.personal();
        let redone = work_out_with(view, call, &call_context, &never, personal, look);
        return Ok(redone.expect("nobody gives up"));
    }
    let catalogue_index = |id: &str| {
        let index = index_of(id)?;
        let is_described = view.entry(index).item.is_some();
        is_described.then_some(index).ok_or_else(|| NotRedone::UnknownItem(id.to_owned()))
    };
    let (mut indices, mut described) = (Vec::new(), Vec::new());
    for id in detail.candidates.ids() {
        match call.candidates.described(id) {
            Some(item) => described.push(item.clone()),
            None => indices.push(catalogue_index(id)?),
        }
    }
    let among = (indices, described);
    let redone = work_out_among(view, call, &call_context, &never, among, look);
    Ok(redone.expect("nobody gives up"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::service::personalize::Candidates;
    use crate::service::recording::RequestRecord;
    use engine::Choice;
    use engine::Engine;
    use engine::Exploring;
    use engine::Filter;
    use engine::domain::Attributes;
    use engine::domain::DecisionId;
    use engine::domain::DiversityMethod;
    use engine::domain::Item;
    use engine::domain::ItemId;
    use engine::domain::LogRecord;
    use engine::domain::Record;
    use engine::domain::Settings;
    use engine::domain::Strategy;
    use engine::domain::Timestamp;
    use engine::domain::UserId;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn item(item_id: &str, title: &str) -> Item {
        Item { title: title.to_owned(), ..Item::new(ItemId::parse(item_id).unwrap()) }
    }

    fn catalogue() -> Arc<View> {
        let mut engine = Engine::new(Settings::default());
        let records: Vec<LogRecord> = (1..=40)
            .map(|number| LogRecord {
                sequence: number,
                recorded_at: NOW,
                record: Record::ItemUpserted(item(&format!("item-{number}"), "of the catalogue")),
            })
            .collect();
        engine.apply(&records).unwrap();
        engine.view()
    }

    /// A new user, items of the request, one of which the catalogue has, too, and the catalogue.
    fn call() -> PersonalizeCall {
        PersonalizeCall {
            user_id: UserId::parse("ada").unwrap(),
            decision_id: DecisionId::parse("made-by-the-server").unwrap(),
            continue_from: None,
            earlier: Arc::default(),
            candidates: Candidates {
                items: ["own", "item-7"].map(|id| Arc::new(item(id, "of the request"))).to_vec(),
                ids: vec![ItemId::parse("item-9").unwrap()],
                retrieve: true,
            },
            filter: Filter::default(),
            choice: Choice {
                strategy: Strategy::Thompson,
                epsilon: 0.0,
                exploring: Exploring { scale: 0.3, gamma: 10.0, floor: 0.01 },
                diversity_weight: 0.3,
                method: DiversityMethod::Dpp,
                serendipity_weight: 0.0,
                novelty_weight: 0.0,
                topic_threshold: 0.0,
                source_threshold: 0.0,
                max_per_topic: 0,
                max_per_source: 0,
                positions: 50,
            },
            pins: Vec::new(),
            boosts: Vec::new(),
            now: NOW,
            utc_offset_minutes: 0,
            device_type: None,
            location: None,
            attributes: Attributes::default(),
            language: None,
            baseline: None,
            explain: false,
            assignments: Vec::new(),
            ranked_by: engine::RankedBy::default(),
            division: None,
            variant: None,
            record: RequestRecord::Bytes { request: Vec::new(), undescribed: 0 },
        }
    }

    #[test]
    fn remembered_candidates_and_those_of_the_request_are_taken_from_the_record() {
        let (view, call) = (catalogue(), call());
        let context = CallContext {
            derived: Derived::new(&view, None),
            shown: Vec::new(),
            unlearnt_cost: 0.0,
            deviations: true,
        };
        for remembered in [true, false] {
            let personal = |retrieval: &Retrieval<'_>| retrieval.personal();
            let look =
                |list: List<'_>| decision(&view, &call, &list, call.record.clone(), remembered);
            let made = work_out_with(&view, &call, &context, &GiveUp::never(), personal, look);
            let made = made.expect("nobody gives up");
            assert_eq!((made.candidates, made.shown.len()), (41, 41));
            assert_eq!(redo(&view, &view, &made, &call).unwrap(), made);
        }
    }
}
