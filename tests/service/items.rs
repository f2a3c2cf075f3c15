//! Items that are withheld, items in several languages, and changes of some fields, over gRPC.

mod languages;
mod masks;
mod withheld;

use personalization::proto::BatchUpsertItemsRequest;
use personalization::proto::BatchUpsertItemsResponse;
use personalization::proto::GetItemRequest;
use personalization::proto::Item;
use prost_types::FieldMask;
use tonic::Response;
use tonic::Status;

use crate::harness::Api;

pub fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
}

/// Changes the fields that the paths name.
pub async fn change(
    api: &Api,
    items: Vec<Item>,
    paths: &[&str],
) -> Result<BatchUpsertItemsResponse, Status> {
    change_after(api, items, paths, 0).await
}

/// The same once the replica has learnt this record.
pub async fn change_after(
    api: &Api,
    items: Vec<Item>,
    paths: &[&str],
    min_watermark: u64,
) -> Result<BatchUpsertItemsResponse, Status> {
    let namespace = api.namespace.clone();
    let update_mask = mask(paths);
    let request = BatchUpsertItemsRequest { namespace, items, update_mask, min_watermark };
    api.catalog.clone().batch_upsert_items(request).await.map(Response::into_inner)
}

pub async fn get(api: &Api, item_id: &str) -> Item {
    let request = GetItemRequest { item_id: item_id.to_owned(), ..Default::default() };
    let answer = api.catalog.clone().get_item(request).await.expect("the item is there");
    answer.into_inner().item.expect("it is described")
}
