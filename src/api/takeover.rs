//! `TakeoverService`.

use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission::Admitted;
use super::admission::RequiredView;
use super::convert;
use super::deadline::CallTime;
use super::intake::Counts;
use super::status;
use crate::proto;
use crate::proto::takeover_service_server::TakeoverService;
use crate::service::Error;
use crate::service::Service;
use engine::Comparison;
use engine::Fallback;
use engine::Lift;
use engine::Takeover;
use engine::View;
use engine::domain::ListOrigin;
use engine::domain::Record;

/// Handlers of `TakeoverService`.
#[derive(Debug, Clone)]
pub struct TakeoverApi {
    service: Service,
}

impl TakeoverApi {
    pub fn new(service: Service) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl TakeoverService for TakeoverApi {
    async fn set_takeover(
        &self,
        request: Request<proto::SetTakeoverRequest>,
    ) -> Result<Response<proto::SetTakeoverResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (service, required) = (&self.service, RequiredView::Newest);
        let Admitted { namespace, view, .. } =
            Admitted::new(service, time, &message.namespace, required).await?;
        let change = convert::takeover_change(&message).map_err(status::invalid)?;
        if let Some(not_held) = view.window_not_held(&change) {
            return Err(Error::WindowNotHeld(not_held).into());
        }
        let records = vec![Record::TakeoverChanged(change)];
        let appended = self.service.write(&namespace, records).await;
        let mut counts = Counts::default();
        counts.settle(&appended?);
        tracing::info!(namespace = %namespace.name(), ?change, "takeover changed");
        Ok(Response::new(proto::SetTakeoverResponse { sequence: counts.last_sequence }))
    }

    async fn get_takeover(
        &self,
        request: Request<proto::GetTakeoverRequest>,
    ) -> Result<Response<proto::GetTakeoverResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let required = RequiredView::Record(message.min_watermark);
        let admitted = Admitted::new(&self.service, time, &message.namespace, required).await?;
        let answer = admitted.read(&self.service, |view, _| takeover_message(view)).await?;
        Ok(Response::new(answer))
    }
}

fn takeover_message(view: &View) -> proto::GetTakeoverResponse {
    let takeover = view.takeover();
    let estimated = takeover.estimated_lift(view.belief());
    let outcomes = ListOrigin::ALL.into_iter().zip(&takeover.outcomes);
    let lift = |against| measured_message(against, takeover.comparison(against));
    proto::GetTakeoverResponse {
        share: takeover.share,
        share_in_force: takeover.share_in_force(),
        popular_share: takeover.popular_share,
        alpha: takeover.alpha,
        reward_window: Some(convert::seconds_message(takeover.reward_window_seconds)),
        round: takeover.round,
        decisions: takeover.trials,
        agreement: (takeover.trials > 0).then(|| agreement_message(takeover)),
        estimated_lift: estimated.map(|lift| proto::EstimatedLift {
            value: lift.value,
            low: lift.low,
            high: lift.high,
        }),
        outcomes: outcomes
            .map(|(origin, outcome)| proto::OriginOutcome {
                origin: convert::list_origin_message(origin).into(),
                shown: outcome.shown,
                settled: outcome.settled,
                mean_reward: outcome.reward / outcome.settled.max(1) as f64,
            })
            .collect(),
        measured_lifts: [ListOrigin::Baseline, ListOrigin::Popular].map(lift).to_vec(),
        fallback: takeover.fallback.map(fallback_message),
        watermark: view.watermark(),
    }
}

fn agreement_message(takeover: &Takeover) -> proto::Agreement {
    let agreement = &takeover.agreement;
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    proto::Agreement {
        first_position: share(agreement.first, takeover.trials),
        same_position: share(agreement.same_position, agreement.positions),
        in_both: share(agreement.in_both, agreement.positions),
    }
}

fn measured_message(against: ListOrigin, comparison: &Comparison) -> proto::MeasuredLift {
    let last = comparison.last().map(|lift| Box::new(lift_message(against, &lift)));
    proto::MeasuredLift { last, ..lift_message(against, &comparison.lift()) }
}

fn lift_message(against: ListOrigin, lift: &Lift) -> proto::MeasuredLift {
    let is_there = lift.decisions > 0;
    proto::MeasuredLift {
        against: convert::list_origin_message(against).into(),
        since: is_there.then(|| convert::timestamp_message(lift.since)),
        decisions: lift.decisions,
        value: lift.value,
        low: is_there.then_some(lift.low),
        high: is_there.then_some(lift.high),
        last: None,
    }
}

fn fallback_message(fallback: Fallback) -> proto::Fallback {
    proto::Fallback {
        at: Some(convert::timestamp_message(fallback.at)),
        against: convert::list_origin_message(fallback.against).into(),
        lift: Some(lift_message(fallback.against, &fallback.lift)),
    }
}
