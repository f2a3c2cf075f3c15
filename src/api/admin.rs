//! `AdminService`.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::convert;
use super::convert::Listing;
use super::deadline::CallTime;
use super::status;
use crate::proto;
use crate::proto::admin_service_server::AdminService;
use crate::service::Error;
use crate::service::Service;
use crate::storage::NamespaceEntry;
use engine::domain::NamespaceName;
use engine::domain::Violation;

/// Handlers of `AdminService`.
#[derive(Debug, Clone)]
pub struct AdminApi {
    service: Service,
    /// Calls to the stores that may run at a time.
    positions: Arc<Semaphore>,
}

/// Operators call rarely, and each call takes a connection of the store.
const POSITIONS: usize = 4;

impl AdminApi {
    pub fn new(service: Service) -> Self {
        Self { service, positions: Arc::new(Semaphore::new(POSITIONS)) }
    }

    /// Works with the stores to the end, whether the caller stays or not: its slot is
    /// held by the work.
    async fn with_stores<T: Send + 'static>(
        &self,
        time: CallTime,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        time.check()?;
        let position = self.positions.clone().try_acquire_owned();
        let position =
            position.map_err(|_full| Error::Overloaded("too many calls to the stores"))?;
        let working = tokio::spawn(async move {
            let done = work.await;
            drop(position);
            done
        });
        working.await.unwrap_or(Err(Error::ShuttingDown))
    }
}

/// A name that must be given: deleting or creating `default` by omission would be
/// an accident.
fn named(namespace: &str) -> Result<NamespaceName, Status> {
    if namespace.is_empty() {
        return Err(status::invalid(vec![Violation::new("namespace", "must not be empty")]));
    }
    convert::namespace(namespace).map_err(status::invalid)
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn create_namespace(
        &self,
        request: Request<proto::CreateNamespaceRequest>,
    ) -> Result<Response<proto::CreateNamespaceResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let name = named(&message.namespace)?;
        let defaults = self.service.namespaces.defaults();
        let settings = convert::settings(message.settings, defaults).map_err(status::invalid)?;
        let namespaces = self.service.namespaces.clone();
        let create = async move { namespaces.create(name, settings).await };
        let entry = self.with_stores(time, create).await?;
        let namespace_info = Some(info_message(entry));
        Ok(Response::new(proto::CreateNamespaceResponse { namespace_info }))
    }

    async fn list_namespaces(
        &self,
        request: Request<proto::ListNamespacesRequest>,
    ) -> Result<Response<proto::ListNamespacesResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let size = convert::page_size(message.page_size).map_err(status::invalid)?;
        let after = convert::page_token(Listing::Namespaces, &message.page_token);
        let after = after.map_err(status::invalid)?;
        let after = after.map(NamespaceName::parse).transpose().map_err(|_not_a_name| {
            status::invalid(vec![Violation::new("page_token", "must come from ListNamespaces")])
        })?;
        let namespaces = self.service.namespaces.clone();
        let list = async move { namespaces.list(after, size + 1).await };
        let mut entries = self.with_stores(time, list).await?;
        let more = entries.len() > size;
        entries.truncate(size);
        let last = entries.last().filter(|_| more);
        let next_page_token = last.map_or_else(String::new, |entry| {
            convert::next_page_token(Listing::Namespaces, entry.name().as_str())
        });
        let namespaces = entries.into_iter().map(info_message).collect();
        Ok(Response::new(proto::ListNamespacesResponse { namespaces, next_page_token }))
    }

    async fn delete_namespace(
        &self,
        request: Request<proto::DeleteNamespaceRequest>,
    ) -> Result<Response<proto::DeleteNamespaceResponse>, Status> {
        let time = CallTime::of_request(&request);
        let name = named(&request.into_inner().namespace)?;
        let namespaces = self.service.namespaces.clone();
        self.with_stores(time, async move { namespaces.delete(name).await }).await?;
        Ok(Response::new(proto::DeleteNamespaceResponse {}))
    }
}

fn info_message(entry: NamespaceEntry) -> proto::NamespaceInfo {
    proto::NamespaceInfo {
        namespace: entry.name().to_string(),
        created_at: Some(convert::timestamp_message(entry.created_at)),
        settings: entry.settings.as_ref().map(convert::settings_message),
    }
}
