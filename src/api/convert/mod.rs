//! Protobuf messages to domain values and back: all validation of requests.
//!
//! - A conversion that succeeds yields a value within [`engine::domain::limits`].
//! - A conversion that fails names every wrong field of the message, by its path in
//!   the request, or in the element of a stream (`context.topics[2]`). Of a long
//!   repeated field it names the first few entries only: an answer must not grow
//!   with the mistakes of its request.
//! - No message makes a conversion panic, and none is echoed but for a shortened
//!   attribute name.
//!
//! Cost: linear in the message; texts and embeddings are moved, not copied.

mod aggregates;
mod arms;
mod attributes;
mod durations;
mod evaluation;
mod experiment;
mod experiment_message;
mod experiment_metric;
mod interaction;
mod item;
mod item_patch;
mod keys;
mod lists;
mod mask;
mod overrides;
mod record;
mod rehearsal;
mod rejection;
mod request;
mod rules;
mod scalars;
mod settings;
mod settings_fields;
mod settings_update;
mod tables;
mod takeover;
#[cfg(test)]
mod tests;
mod user;

pub use aggregates::aggregates;
pub use arms::{GetArmSet, arm_set, arm_strategy_message, reward_arm, select_arm};
pub use attributes::attributes;
pub use durations::{seconds_message, watch_interval};
pub use evaluation::evaluation;
pub use experiment::{ExperimentEdit, experiment_key};
pub use experiment_message::{
    experiment_fields, experiment_message, results_message, state_message,
};
pub use interaction::{interaction, interaction_type_message};
pub use item::{basic_item_message, item, item_message, item_view};
pub use item_patch::{item_mask, item_patch};
pub use keys::{
    Listing, batch, deleted_item_ids, item_id, merged_users, namespace, namespace_again,
    next_page_token, page_size, page_token, producer_id, user_id,
};
pub use lists::{onboarding, similar};
pub use overrides::{
    Proposal, assign, assign_again, assignment_message, exposure_message, no_variant_message,
    overridden, overrides, settings_of,
};
pub use record::{RequestUnreadable, call_again, recorded_call, recorded_request, request_record};
pub use rehearsal::{Proposed, rehearsal};
pub use rejection::rejection;
pub use request::{absence, personalize};
pub use scalars::timestamp_message;
pub use settings::{
    list_origin_message, own_settings_message, settings, settings_message, strategy_message,
};
pub use settings_update::settings_update;
pub use takeover::takeover_change;
pub use user::{user_message, user_update};
