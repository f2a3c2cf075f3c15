//! `BanditService`.

use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission::Admitted;
use super::admission::RequiredView;
use super::convert;
use super::convert::GetArmSet;
use super::deadline::CallTime;
use super::personalization::new_id;
use super::status;
use crate::proto;
use crate::proto::bandit_service_server::BanditService;
use crate::service::SelectArmCall;
use crate::service::SelectedArm;
use crate::service::Service;
use engine::ArmSet;
use engine::domain::DecisionId;
use engine::domain::EventId;

/// Handlers of `BanditService`.
#[derive(Debug, Clone)]
pub struct BanditApi {
    service: Service,
}

impl BanditApi {
    pub fn new(service: Service) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl BanditService for BanditApi {
    async fn select_arm(
        &self,
        request: Request<proto::SelectArmRequest>,
    ) -> Result<Response<proto::SelectArmResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let required = RequiredView::Record(message.min_watermark);
        let admitted = Admitted::new(&self.service, time, &message.namespace, required).await?;
        let Admitted { namespace, view, deadline } = admitted;
        let checked = convert::select_arm(message, view.settings()).map_err(status::invalid)?;
        let now = self.service.clock.now();
        let may_repeat = checked.decision_id.is_some();
        let make_id = || DecisionId::parse(new_id(now)).expect("a UUID is an id");
        let call = SelectArmCall {
            decision_id: checked.decision_id.unwrap_or_else(make_id),
            may_repeat,
            set: checked.set,
            offered: checked.offered,
            features: checked.features,
            context: checked.context,
            strategy: checked.strategy,
            epsilon: checked.epsilon,
            now,
        };
        let (service, timeout) = (&self.service, time.timeout());
        let selected = service.select_arm(&namespace, view, call, timeout, deadline).await?;
        Ok(Response::new(selected_message(selected)))
    }

    async fn reward_arm(
        &self,
        request: Request<proto::RewardArmRequest>,
    ) -> Result<Response<proto::RewardArmResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (service, required) = (&self.service, RequiredView::Newest);
        let Admitted { namespace, .. } =
            Admitted::new(service, time, &message.namespace, required).await?;
        let now = self.service.clock.now();
        let make_id = || EventId::parse(new_id(now)).expect("a UUID is an id");
        let reward = convert::reward_arm(message, now, make_id).map_err(status::invalid)?;
        let rewarded = self.service.reward_arm(&namespace, reward).await?;
        Ok(Response::new(proto::RewardArmResponse {
            duplicate: rewarded.sequence.is_none(),
            sequence: rewarded.sequence.unwrap_or(0),
            unknown_decision: rewarded.is_unknown,
        }))
    }

    async fn get_arm_set(
        &self,
        request: Request<proto::GetArmSetRequest>,
    ) -> Result<Response<proto::GetArmSetResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let required = RequiredView::Record(message.min_watermark);
        let admitted = Admitted::new(&self.service, time, &message.namespace, required).await?;
        let Admitted { view, deadline, .. } = admitted;
        let GetArmSet { set, context, features } =
            convert::arm_set(message).map_err(status::invalid)?;
        let (name, watermark) = (set, view.watermark());
        let beliefs =
            self.service.arm_set(view.clone(), &name, context, features, deadline).await?;
        let set = view.arm_set(name.as_str()).expect("the report was of this view");
        Ok(Response::new(set_message(set, &beliefs, watermark)))
    }
}

fn selected_message(selected: SelectedArm) -> proto::SelectArmResponse {
    let SelectedArm { selection, sequence } = selected;
    let chosen = &selection.offered[selection.chosen as usize];
    let arms = selection.offered.iter().map(|arm| proto::OfferedArm {
        arm: arm.name.to_string(),
        propensity: arm.propensity,
        mean: arm.mean,
        standard_deviation: arm.deviation,
    });
    proto::SelectArmResponse {
        decision_id: selection.decision_id.to_string(),
        arm: chosen.name.to_string(),
        propensity: chosen.propensity,
        arms: arms.collect(),
        strategy: convert::arm_strategy_message(selection.strategy).into(),
        sequence,
        watermark: selection.watermark,
    }
}

/// `beliefs` holds mean and standard deviation of each arm of the set.
fn set_message(set: &ArmSet, beliefs: &[(f64, f64)], watermark: u64) -> proto::GetArmSetResponse {
    let arms = set.arms.iter().zip(beliefs).map(|(arm, &(mean, standard_deviation))| {
        let (name, pulls, reward) = (arm.name.to_string(), arm.selections, arm.reward);
        proto::ArmState { arm: name, pulls, reward, mean, standard_deviation }
    });
    proto::GetArmSetResponse {
        arms: arms.collect(),
        selections: set.selections(),
        context_numbers: set.shape.map_or(0, |shape| shape.numbers),
        context_attributes: set.shape.is_some_and(|shape| shape.attributes),
        feature_numbers: set.features.map_or(0, |shape| shape.numbers),
        feature_attributes: set.features.is_some_and(|shape| shape.attributes),
        noise: set.noise(),
        watermark,
    }
}
