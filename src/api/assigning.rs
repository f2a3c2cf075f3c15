//! From a request to the variants of its user.
//!
//! The condition of an experiment reads user and context as the request names them, before the rest of
//! it is read: a context that is wrong is told by the request's own conversion.

use super::convert;
use crate::proto;
use crate::service::PersonalizeCall;
use engine::AskedList;
use engine::Assigned;
use engine::ExperimentEntry;
use engine::NoVariant;
use engine::UserFacts;
use engine::View;
use engine::assignments;
use engine::domain::Attributes;
use engine::domain::Timestamp;

/// The variants that act on an answer to a user; `list`: the one that is asked for, if any is.
pub fn assigned(
    view: &View,
    user_id: &str,
    context: Option<&proto::RequestContext>,
    list: Option<AskedList<'_>>,
    now: Timestamp,
) -> Vec<Assigned> {
    if view.experiments().is_idle() {
        return Vec::new();
    }
    with_facts(user_id, context, |user| assignments(view, user, list, now))
}

/// Whether an experiment is for the user of a request.
pub fn is_eligible(
    view: &View,
    entry: &ExperimentEntry,
    user_id: &str,
    context: Option<&proto::RequestContext>,
    now: Timestamp,
) -> bool {
    with_facts(user_id, context, |user| engine::is_eligible(view, entry, user, now))
}

/// Why none of the variants that are assigned to the user of a request is of an experiment.
pub fn why_none(
    view: &View,
    entry: &ExperimentEntry,
    (user_id, context): (&str, Option<&proto::RequestContext>),
    assigned: &[Assigned],
    now: Timestamp,
) -> NoVariant {
    with_facts(user_id, context, |user| engine::why_none(view, entry, user, assigned, now))
}

/// Looks at what a request says of its user.
fn with_facts<T>(
    user_id: &str,
    context: Option<&proto::RequestContext>,
    look: impl FnOnce(UserFacts<'_>) -> T,
) -> T {
    let attributes = context.and_then(|context| context.attributes.clone());
    let attributes: Attributes = convert::attributes(attributes).unwrap_or_default();
    let text = |field: fn(&proto::RequestContext) -> &str| {
        context.map(field).filter(|text| !text.is_empty())
    };
    look(UserFacts {
        user_id,
        own: None,
        context: &attributes,
        device_type: text(|context| &context.device_type),
        location: text(|context| &context.location),
        language: text(|context| &context.language),
    })
}

/// Applies the variants of its user to a checked call of which the pages before are known; returns those
/// that act on it.
pub fn assign(
    view: &View,
    call: &mut PersonalizeCall,
    context: Option<&proto::RequestContext>,
    now: Timestamp,
) -> Vec<Assigned> {
    let list =
        AskedList { decision_id: call.decision_id.as_str(), drawn_before: call.earlier.drawn };
    let assigned = assigned(view, call.user_id.as_str(), context, Some(list), now);
    convert::assign(call, assigned)
}

/// The segment of a request: its kind of device, and whether the user is known.
pub fn segment(view: &View, user_id: &str, context: Option<&proto::RequestContext>) -> u8 {
    let device = context.and_then(|context| view.device_index(&context.device_type));
    View::segment(view.profiled(user_id), device)
}
