//! `CatalogService`.
//!
//! Reads and deletions first wait a moment for the engine to have applied what is
//! durable, so that a caller that upserts finds the item.

use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;

use super::admission::Admitted;
use super::admission::RequiredView;
use super::admission::durable_view;
use super::admission::namespace;
use super::convert;
use super::convert::Listing;
use super::deadline::CallTime;
use super::intake::Intake;
use super::producer::Producer;
use super::producer::check_same_namespace;
use super::status;
use crate::proto;
use crate::proto::catalog_service_server::CatalogService;
use crate::service;
use crate::service::Service;
use engine::View;
use engine::domain::Item;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::Record;
use engine::domain::Violation;
use engine::domain::limits;

/// Handlers of `CatalogService`.
#[derive(Debug, Clone)]
pub struct CatalogApi {
    service: Service,
}

impl CatalogApi {
    pub fn new(service: Service) -> Self {
        Self { service }
    }

    /// Checks the items of one message; the good ones become records. `view`: where a mask is, what
    /// the items are that it changes.
    fn check(
        intake: &mut Intake,
        items: Vec<proto::Item>,
        mask: Option<&ItemMask>,
        view: &View,
        records: &mut Vec<Record>,
    ) -> Result<(), Status> {
        if items.len() > limits::STREAM_MESSAGE_ITEMS {
            return Err(status::invalid(vec![Violation::new(
                "items",
                format!("must hold at most {} entries", limits::STREAM_MESSAGE_ITEMS),
            )]));
        }
        let dimension = view.settings().embedding_dimension as usize;
        for item in items {
            let item_id = item.item_id.clone();
            let checked = match mask {
                None => convert::item(item, dimension).map(Record::ItemUpserted),
                Some(mask) => patch(item, mask, view).map(Record::ItemPatched),
            };
            records.extend(intake.take(|| item_id, checked));
        }
        intake.check_rejections()
    }

    /// Upserts the items of a stream, of which the first message is there.
    async fn upsert<S>(
        &self,
        time: CallTime,
        first: proto::UpsertItemsRequest,
        rest: S,
        draining: &CancellationToken,
    ) -> Result<proto::UpsertItemsResponse, Status>
    where
        S: Stream<Item = Result<proto::UpsertItemsRequest, Status>> + Unpin,
    {
        let namespace = namespace(&self.service, &first.namespace).await?;
        let mask = convert::item_mask(first.update_mask.clone()).map_err(status::invalid)?;
        // Settings and items are known once the log is applied.
        match first.min_watermark {
            0 => _ = durable_view(&namespace, time).await,
            sequence => _ = namespace.view_at(sequence, time.timeout()).await?,
        }
        let paths = first.update_mask.clone();
        let mut intake = Intake::default();
        let mut producer = Producer::new(self.service.clone(), namespace.clone());
        let check = |message: proto::UpsertItemsRequest, records: &mut Vec<Record>| {
            check_same_namespace(&namespace, &message.namespace)?;
            if message.update_mask.is_some() && message.update_mask != paths {
                let reason = "must be unset or that of the first message";
                return Err(status::invalid(vec![Violation::new("update_mask", reason)]));
            }
            Self::check(&mut intake, message.items, mask.as_ref(), &namespace.view(), records)
        };
        let read = producer.take_in(first, rest, draining, check).await;
        let (counts, ended) = producer.finish(read, &intake).await;
        ended?;
        Ok(proto::UpsertItemsResponse {
            received: counts.received,
            accepted: counts.accepted,
            rejected: counts.rejected,
            rejections: intake.drain_rejections(),
            last_sequence: counts.last_sequence,
        })
    }
}

/// The changes of an item of the view.
///
/// # Errors
/// Every named field that breaks the contract, of the change or of the item with it.
fn patch(message: proto::Item, mask: &ItemMask, view: &View) -> Result<ItemPatch, Vec<Violation>> {
    let dimension = view.settings().embedding_dimension as usize;
    let patch = convert::item_patch(message, mask, dimension)?;
    let entry = view.catalogue_item(patch.item_id().as_str());
    let Some(item) = entry.and_then(|entry| entry.item.as_ref()) else {
        let reason = "must be in the catalogue: an update_mask changes items and adds none";
        return Err(vec![Violation::new("item_id", reason)]);
    };
    patch.applied_to(item)?;
    Ok(patch)
}

/// What to list.
struct Page {
    /// The index from which on.
    start: usize,
    size: usize,
    message: fn(&Item) -> proto::Item,
}

impl Page {
    /// As many items as the size and the bound on bytes allow, one at least, and the token of the
    /// next page.
    fn of(&self, view: &View) -> proto::ListItemsResponse {
        let indices = view.item_indices().skip(self.start);
        let found = indices.filter_map(|index| view.entry(index).item.as_deref());
        let mut items: Vec<proto::Item> = Vec::new();
        let (mut bytes, mut is_last) = (0, true);
        for message in found.map(self.message) {
            bytes += prost::encoding::message::encoded_len(1, &message);
            if items.len() == self.size || (bytes > limits::PAGE_BYTES && !items.is_empty()) {
                is_last = false;
                break;
            }
            items.push(message);
        }
        let next_page_token = match items.last() {
            Some(last) if !is_last => convert::next_page_token(Listing::Items, &last.item_id),
            _ => String::new(),
        };
        proto::ListItemsResponse { items, next_page_token, total_size: view.counts().catalogue }
    }
}

#[tonic::async_trait]
impl CatalogService for CatalogApi {
    async fn upsert_items(
        &self,
        request: Request<Streaming<proto::UpsertItemsRequest>>,
    ) -> Result<Response<proto::UpsertItemsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let mut stream = request.into_inner();
        let Some(first) = stream.message().await? else {
            return Ok(Response::new(Default::default()));
        };
        let upserted = self.upsert(time, first, stream, &self.service.draining).await?;
        Ok(Response::new(upserted))
    }

    async fn batch_upsert_items(
        &self,
        request: Request<proto::BatchUpsertItemsRequest>,
    ) -> Result<Response<proto::BatchUpsertItemsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let proto::BatchUpsertItemsRequest { namespace, items, update_mask, min_watermark } =
            request.into_inner();
        convert::batch("items", items.len()).map_err(status::invalid)?;
        let only = proto::UpsertItemsRequest { namespace, items, update_mask, min_watermark };
        // A running call is carried out to its end while the service drains.
        let draining = CancellationToken::new();
        let upserted = self.upsert(time, only, tokio_stream::empty(), &draining).await?;
        Ok(Response::new(proto::BatchUpsertItemsResponse {
            received: upserted.received,
            accepted: upserted.accepted,
            rejected: upserted.rejected,
            rejections: upserted.rejections,
            last_sequence: upserted.last_sequence,
        }))
    }

    async fn get_item(
        &self,
        request: Request<proto::GetItemRequest>,
    ) -> Result<Response<proto::GetItemResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let item_id = convert::item_id(&message.item_id).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Durable);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let entry = admitted
            .view
            .catalogue_item(item_id.as_str())
            .ok_or_else(|| service::Error::NoItem(item_id.to_string()))?;
        Ok(Response::new(proto::GetItemResponse {
            item: entry.item.as_deref().map(convert::item_message),
            updated_at: Some(convert::timestamp_message(entry.updated_at)),
        }))
    }

    async fn list_items(
        &self,
        request: Request<proto::ListItemsRequest>,
    ) -> Result<Response<proto::ListItemsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let size = convert::page_size(message.page_size).map_err(status::invalid)?;
        let after = convert::page_token(Listing::Items, &message.page_token);
        let after = after.map_err(status::invalid)?;
        let item_message = match convert::item_view(message.view).map_err(status::invalid)? {
            proto::ItemView::Full => convert::item_message,
            proto::ItemView::Basic | proto::ItemView::Unspecified => convert::basic_item_message,
        };
        let (service, required) = (&self.service, RequiredView::Durable);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        // The token is the id of the last item of the page before.
        let start = match &after {
            None => 0,
            Some(last) => {
                let last = admitted.view.item_index(last).ok_or_else(|| {
                    status::invalid(vec![Violation::new("page_token", "must come from ListItems")])
                })?;
                last.as_usize() + 1
            }
        };
        let page = Page { start, size, message: item_message };
        Ok(Response::new(admitted.read(service, move |view, _| page.of(view)).await?))
    }

    async fn delete_items(
        &self,
        request: Request<proto::DeleteItemsRequest>,
    ) -> Result<Response<proto::DeleteItemsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let ids = convert::deleted_item_ids(message.item_ids).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let namespace = admitted.namespace;
        // What another replica has upserted is deleted, too.
        let view =
            time.work().bound(service.namespaces.view_of_all(&namespace, time.timeout())).await??;
        let (known, unknown): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| view.catalogue_item(id.as_str()).is_some());
        let deleted = known.len() as u64;
        let records: Vec<Record> = known.into_iter().map(Record::ItemDeleted).collect();
        let mut last_sequence = 0;
        if !records.is_empty() {
            let appended = self.service.write(&namespace, records).await;
            last_sequence = appended?.log_end;
        }
        Ok(Response::new(proto::DeleteItemsResponse {
            deleted,
            unknown_item_ids: unknown.iter().map(ToString::to_string).collect(),
            last_sequence,
        }))
    }
}
