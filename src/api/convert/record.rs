//! A request as the record of its decision holds it, and back.
//!
//! - The bytes are the canonical encoding of the message: fields in the order of their
//!   numbers, maps in the order of their keys. So what a request can say is recorded
//!   without code that names its fields, here or in a store.
//! - What the record says in addition is not in them: user, variant, namespace, and, as the
//!   watermark of the decision, how far the log was to be read.
//! - What a conversion takes from outside the request comes from the record: the time, the
//!   decision id, the earlier pages of the list, and the settings of the view at its watermark.

use std::mem::replace;
use std::mem::take;
use std::sync::Arc;

use prost::Message as _;

use super::overrides::assign_again;
use super::request::personalize;
use crate::proto;
use crate::service::Detail;
use crate::service::PersonalizeCall;
use crate::service::RequestRecord;
use engine::EarlierPages;
use engine::View;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::Violation;
use engine::domain::limits;

/// The bytes of a request as far as the given level records it. Nothing is copied but into
/// the bytes; the message is the same afterwards, without namespace and watermark.
pub fn request_record(message: &mut proto::PersonalizeRequest, detail: Detail) -> RequestRecord {
    if detail == Detail::Shown {
        return RequestRecord::NotRequested;
    }
    message.namespace.clear();
    message.min_watermark = 0;
    let (user_id, variant) = (take(&mut message.user_id), take(&mut message.variant));
    let record =
        if detail == Detail::Full { encoded(message, 0) } else { with_ids_only(message, encoded) };
    (message.user_id, message.variant) = (user_id, variant);
    record
}

/// Looks at a request that describes no candidate, and at how many it did describe.
fn with_ids_only<T>(
    message: &mut proto::PersonalizeRequest,
    look: impl FnOnce(&proto::PersonalizeRequest, u32) -> T,
) -> T {
    let named = message.candidates.iter_mut();
    let named = named
        .map(|item| proto::Item { item_id: take(&mut item.item_id), ..proto::Item::default() })
        .collect();
    let described = replace(&mut message.candidates, named);
    let seen = look(message, described.len() as u32);
    let named = replace(&mut message.candidates, described);
    for (item, named) in message.candidates.iter_mut().zip(named) {
        item.item_id = named.item_id;
    }
    seen
}

fn encoded(message: &proto::PersonalizeRequest, undescribed: u32) -> RequestRecord {
    if message.encoded_len() > limits::DECISION_BYTES {
        return RequestRecord::TooLong;
    }
    RequestRecord::Bytes { request: message.encode_to_vec(), undescribed }
}

/// Why the request of a record is not one that this version takes.
#[derive(Debug, thiserror::Error)]
pub enum RequestUnreadable {
    #[error("{0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("{}", in_words(.0))]
    Refused(Vec<Violation>),
}

fn in_words(violations: &[Violation]) -> String {
    let words: Vec<String> = violations.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// The request behind a recorded decision.
///
/// # Errors
/// When its bytes are none.
pub fn recorded_request(
    decision: &Decision,
    detail: &DecisionDetail,
) -> Result<proto::PersonalizeRequest, RequestUnreadable> {
    Ok(proto::PersonalizeRequest {
        user_id: decision.user_id.to_string(),
        variant: detail.variant.as_deref().unwrap_or_default().to_owned(),
        ..proto::PersonalizeRequest::decode(&*detail.request)?
    })
}

/// The call behind a recorded decision; `view` is that at its watermark.
///
/// # Errors
/// When the request of its record is none, or none that this version takes.
pub fn recorded_call(
    decision: &Decision,
    detail: &DecisionDetail,
    view: &View,
) -> Result<PersonalizeCall, RequestUnreadable> {
    let message = recorded_request(decision, detail)?;
    let mut call = call_again(message, decision, detail, view)?;
    assign_again(&mut call, decision, view);
    Ok(PersonalizeCall { record: RequestRecord::of(detail), ..call })
}

/// The call of a recorded request, without what variants override: by the settings of a view, at the time of its
/// decision, below the pages that were above.
///
/// # Errors
/// When it is none that this version takes.
pub fn call_again(
    message: proto::PersonalizeRequest,
    decision: &Decision,
    detail: &DecisionDetail,
    view: &View,
) -> Result<PersonalizeCall, RequestUnreadable> {
    let (settings, at) = (view.request_settings(), decision.decided_at);
    let call = personalize(message, settings, at, decision.decision_id.clone());
    let call = call.map_err(RequestUnreadable::Refused)?;
    let origin = decision.continues.as_ref().and_then(|continues| continues.origin);
    let (items, pinned) = (detail.earlier.clone(), detail.earlier_pinned.clone());
    let earlier = Arc::new(EarlierPages { items, pinned, origin, drawn: None });
    Ok(PersonalizeCall { earlier, ..call })
}

#[cfg(test)]
mod tests;
