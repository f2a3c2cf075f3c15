//! `AggregateService`.

use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission::Admitted;
use super::admission::RequiredView;
use super::convert;
use super::deadline::CallTime;
use super::status;
use crate::proto;
use crate::proto::aggregate_service_server::AggregateService;
use crate::service::NoisyCount;
use crate::service::PrivacySpending;
use crate::service::Released;
use crate::service::Service;

/// Handlers of `AggregateService`.
#[derive(Debug, Clone)]
pub struct AggregateApi {
    service: Service,
}

impl AggregateApi {
    pub fn new(service: Service) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl AggregateService for AggregateApi {
    async fn query_aggregates(
        &self,
        request: Request<proto::QueryAggregatesRequest>,
    ) -> Result<Response<proto::QueryAggregatesResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (service, required) = (&self.service, RequiredView::Durable);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let min_count = message.min_count;
        let asked = convert::aggregates(message, &service.privacy, service.clock.now());
        let (query, analyst) = asked.map_err(status::invalid)?;
        let Admitted { namespace, view, deadline } = admitted;
        let answer = service.query_aggregates(&namespace, view, query, analyst);
        let released = deadline.bound(answer).await??;
        Ok(Response::new(released_message(released, min_count.unwrap_or(i64::MIN))))
    }

    async fn get_privacy_budget(
        &self,
        request: Request<proto::GetPrivacyBudgetRequest>,
    ) -> Result<Response<proto::GetPrivacyBudgetResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let ledger = service.privacy_ledger(&admitted.namespace).await?;
        Ok(Response::new(proto::GetPrivacyBudgetResponse {
            epsilon: ledger.settings.epsilon,
            delta: ledger.settings.delta,
            rho_limit: ledger.settings.limit.value(),
            rho_spent: ledger.spent.value(),
            rho_left: ledger.left.value(),
            period_start: Some(convert::timestamp_message(ledger.start)),
            period_end: Some(convert::timestamp_message(ledger.end)),
            spendings: ledger.spendings.into_iter().map(spending_message).collect(),
        }))
    }
}

fn released_message(released: Released, min_count: i64) -> proto::QueryAggregatesResponse {
    let shown = |count: &NoisyCount| count.users >= min_count;
    let group = |NoisyCount { key, users, interactions }| proto::AggregateGroup {
        key,
        users,
        interactions,
    };
    let groups = released.aggregates.groups.into_iter().filter(shown);
    proto::QueryAggregatesResponse {
        groups: groups.map(group).collect(),
        users_standard_deviation: released.aggregates.users_deviation,
        interactions_standard_deviation: released.aggregates.interactions_deviation,
        rho: released.rho.value(),
        rho_left: released.left.value(),
        released_at: Some(convert::timestamp_message(released.released_at)),
        is_earlier_release: released.is_earlier,
        sequence: released.log_end,
    }
}

fn spending_message(spending: PrivacySpending) -> proto::PrivacySpending {
    proto::PrivacySpending {
        analyst: spending.analyst,
        spent_at: Some(convert::timestamp_message(spending.spent_at)),
        rho: spending.rho.value(),
        query: spending.query,
    }
}
