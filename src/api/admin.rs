//! `AdminService`.

use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission;
use super::admission::Admitted;
use super::admission::RequiredView;
use super::convert;
use super::convert::Listing;
use super::deadline::CallTime;
use super::status;
use super::store_calls::StoreCalls;
use crate::proto;
use crate::proto::admin_service_server::AdminService;
use crate::service;
use crate::service::InForce;
use crate::service::Namespace;
use crate::service::Service;
use crate::storage::NamespaceEntry;
use engine::domain::NamespaceName;
use engine::domain::Settings;
use engine::domain::Violation;

/// Handlers of `AdminService`.
#[derive(Debug, Clone)]
pub struct AdminApi {
    service: Service,
    store_calls: StoreCalls,
}

impl AdminApi {
    pub fn new(service: Service) -> Self {
        Self { service, store_calls: StoreCalls::default() }
    }
}

/// A name that must be given: deleting, creating or changing `default` by omission would
/// be an accident.
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
        let own = Some(settings.clone()).filter(|settings| !settings.own.is_empty());
        let namespaces = self.service.namespaces.clone();
        let create = async move { namespaces.create(name, own).await };
        let entry = self.store_calls.run(time, create).await?;
        let namespace_info = Some(proto::NamespaceInfo {
            settings: Some(convert::own_settings_message(&settings)),
            etag: service::settings_etag(&entry.partition, &settings),
            ..info_message(&entry)
        });
        Ok(Response::new(proto::CreateNamespaceResponse { namespace_info }))
    }

    async fn get_namespace(
        &self,
        request: Request<proto::GetNamespaceRequest>,
    ) -> Result<Response<proto::GetNamespaceResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let required = RequiredView::Record(message.min_watermark);
        let admitted = Admitted::new(&self.service, time, &message.namespace, required).await?;
        let Admitted { namespace, view, .. } = admitted;
        let in_force = InForce::of(&namespace, view);
        let view = &in_force.view;
        Ok(Response::new(proto::GetNamespaceResponse {
            settings_in_force: Some(convert::settings_message(view.settings())),
            items: view.counts().catalogue,
            users: view.users_len() as u64,
            interactions: view.counts().interactions,
            watermark: view.watermark(),
            namespace_info: Some(open_info_message(&namespace, &in_force)),
        }))
    }

    async fn update_namespace(
        &self,
        request: Request<proto::UpdateNamespaceRequest>,
    ) -> Result<Response<proto::UpdateNamespaceResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let name = named(&message.namespace)?;
        let update = convert::settings_update(message.settings, message.update_mask);
        let (update, etag) = (update.map_err(status::invalid)?, message.etag);
        let service = self.service.clone();
        let change = async move {
            let namespace = admission::open(&service, time, &name).await?;
            admission::count(&service, &namespace).await?;
            let etag = Some(etag.as_str()).filter(|etag| !etag.is_empty());
            let change = |in_force: &Settings, server: &Settings| update.of(in_force, server);
            let changed = service.change_settings(&namespace, etag, time.timeout(), change);
            let (sequence, in_force) = changed.await?;
            Ok((namespace, sequence, in_force))
        };
        let (namespace, sequence, in_force) = self.store_calls.run(time, change).await?;
        Ok(Response::new(proto::UpdateNamespaceResponse {
            namespace_info: Some(open_info_message(&namespace, &in_force)),
            settings_in_force: Some(convert::settings_message(in_force.view.settings())),
            sequence,
        }))
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
        let mut entries = self.store_calls.run(time, list).await?;
        let more = entries.len() > size;
        entries.truncate(size);
        let last = entries.last().filter(|_| more);
        let next_page_token = last.map_or_else(String::new, |entry| {
            convert::next_page_token(Listing::Namespaces, entry.name().as_str())
        });
        let namespaces = entries.iter().map(info_message).collect();
        Ok(Response::new(proto::ListNamespacesResponse { namespaces, next_page_token }))
    }

    async fn delete_namespace(
        &self,
        request: Request<proto::DeleteNamespaceRequest>,
    ) -> Result<Response<proto::DeleteNamespaceResponse>, Status> {
        let time = CallTime::of_request(&request);
        let name = named(&request.into_inner().namespace)?;
        let namespaces = self.service.namespaces.clone();
        self.store_calls.run(time, async move { namespaces.delete(name).await }).await?;
        Ok(Response::new(proto::DeleteNamespaceResponse {}))
    }
}

/// What is known of a namespace that need not be open.
fn info_message(entry: &NamespaceEntry) -> proto::NamespaceInfo {
    proto::NamespaceInfo {
        namespace: entry.name().to_string(),
        created_at: Some(convert::timestamp_message(entry.created_at)),
        settings: None,
        etag: String::new(),
    }
}

fn open_info_message(namespace: &Namespace, in_force: &InForce) -> proto::NamespaceInfo {
    proto::NamespaceInfo {
        namespace: namespace.name().to_string(),
        created_at: Some(convert::timestamp_message(namespace.created_at)),
        settings: Some(convert::own_settings_message(in_force.view.settings())),
        etag: in_force.etag.clone(),
    }
}
