//! RehearseExperiment: what is proposed, and how it acts on the requests of the past.

use std::sync::Arc;

use tonic::Status;

use super::unknown;
use crate::api::admission::Admitted;
use crate::api::assigning;
use crate::api::convert;
use crate::api::convert::Proposal;
use crate::api::convert::Proposed;
use crate::api::rehearsal;
use crate::api::status;
use crate::proto;
use crate::service::LeftOut;
use crate::service::RehearsalCall;
use crate::service::RehearsedCall;
use crate::service::Service;
use engine::AskedList;
use engine::Assigned;
use engine::DrawnVariant;
use engine::ExperimentEntry;
use engine::View;
use engine::domain::Assignment;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::Split;
use engine::domain::Timestamp;
use engine::domain::Violation;

/// # Errors
/// What is wrong with the request; those of [`Service::rehearse`].
pub async fn rehearse(
    service: &Service,
    admitted: Admitted,
    asked: proto::RehearseExperimentRequest,
) -> Result<proto::RehearseExperimentResponse, Status> {
    let Admitted { namespace, view, deadline } = admitted;
    let asked = convert::rehearsal(asked, view.request_settings(), service.clock.now());
    let asked = asked.map_err(status::invalid)?;
    let proposal = match asked.proposed {
        Proposed::Overrides(overrides) => Proposal { overrides: *overrides, variant: None },
        Proposed::Variant(key, variant) => {
            let entry = view.experiments().find(key.as_str()).ok_or_else(|| unknown(&key))?;
            Proposal::of(entry, &variant).ok_or_else(|| {
                status::invalid(vec![Violation::new("variant.variant", "must name a variant")])
            })?
        }
    };
    let read = move |decision: &Decision, detail: &DecisionDetail, view: &View, now: Timestamp| {
        read(decision, detail, view, now, &proposal)
    };
    let (since, requests) = (asked.since, asked.requests);
    let call = RehearsalCall { since, requests, read: Box::new(read) };
    let rehearsed = service.rehearse(&namespace, view, call, deadline).await?;
    let rehearsal = Some(rehearsal::message(&rehearsed));
    Ok(proto::RehearseExperimentResponse { rehearsal })
}

/// The request of a decision as Personalize would read it at another time, and with the proposal. Variants of
/// other experiments act on both, that of the proposal's own experiment on neither, and nor do those that only
/// mix two rankings.
fn read(
    decision: &Decision,
    detail: &DecisionDetail,
    view: &View,
    now: Timestamp,
    proposal: &Proposal,
) -> Result<RehearsedCall, LeftOut> {
    let message = convert::recorded_request(decision, detail);
    let message = message.map_err(|_no_message| LeftOut::Unreadable)?;
    let (user_id, context) = (decision.user_id.as_str(), message.context.as_ref());
    let own = proposal.variant.as_ref().map(|(entry, _)| entry);
    let is_own = |entry: &Arc<ExperimentEntry>| own.is_some_and(|own| own.number == entry.number);
    let list = AskedList {
        decision_id: decision.decision_id.as_str(),
        drawn_before: drawn_before(decision, view),
    };
    let mut assigned = assigning::assigned(view, user_id, context, Some(list), now);
    assigned.retain(|one| !is_own(&one.entry) && !one.is_in_turns());
    let is_eligible = |entry| assigning::is_eligible(view, entry, user_id, context, now);
    if assigned.iter().any(Assigned::is_held_back) || !own.is_none_or(|own| is_eligible(own)) {
        return Err(LeftOut::NotEligible);
    }
    let call = convert::call_again(message, decision, detail, view);
    let mut call = call.map_err(|_not_accepted| LeftOut::Unreadable)?;
    let mut logged = call.clone();
    convert::assign_again(&mut logged, decision, view);
    (call.now, call.explain) = (now, false);
    convert::assign(&mut call, assigned);
    let mut proposed = call.clone();
    proposal.apply(&mut proposed);
    Ok(RehearsedCall { logged, now: call, proposed })
}

/// The variant that was drawn for the first page of a list, of an experiment that draws one for each list.
fn drawn_before(decision: &Decision, view: &View) -> Option<DrawnVariant> {
    let is_drawn = |one: &&Assignment| {
        let entry = view.experiments().numbered(one.experiment);
        entry.is_some_and(|entry| matches!(entry.experiment.split, Split::Learnt { .. }))
    };
    let later = decision.continues.as_ref().map(|_page_before| &decision.assignments);
    let drawn = later.into_iter().flatten().find(is_drawn)?;
    Some(DrawnVariant { experiment: drawn.experiment, variant: drawn.variant })
}
