//! What is held about a user as JSON Lines, in the layout of `docs/privacy.md`.
//!
//! - One object a line, of which `kind` says what it is. Fields have the names of the proto
//!   messages; a field that is not set is left out.
//! - Instants are text by RFC 3339 with milliseconds, values of enums the names that the
//!   relational tables have. A number that is not finite would be null; none is recorded.
//! - The layout only grows: a field that is renamed or removed raises [`VERSION`].

mod decision;
mod message;
mod record;
mod rules;
#[cfg(test)]
mod tests;
mod values;

use serde::Serialize;

use self::message::MessageJson;
use self::values::Instant;
use super::answers;
use crate::proto;
use crate::service::ExportPart;
use crate::service::ProfileReport;
use engine::View;
use engine::domain::NamespaceName;
use engine::domain::Timestamp;

/// Of the layout.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<T: Serialize> {
    kind: &'static str,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Beginning<'a> {
    version: u32,
    namespace: &'a str,
    user_ids: &'a [String],
    watermark: u64,
    exported_at: Instant,
}

/// A message of the API, of the state that had learnt so many records.
#[derive(Serialize)]
struct Known {
    watermark: u64,
    #[serde(flatten)]
    message: MessageJson,
}

#[derive(Serialize)]
struct End {
    records: u64,
}

/// Appends the line of a part of an export of a namespace, at an instant.
pub fn write(
    view: &View,
    part: ExportPart<'_>,
    (namespace, now): (&NamespaceName, Timestamp),
    text: &mut String,
) {
    match part {
        ExportPart::Beginning { user_ids, watermark } => {
            let namespace = namespace.as_str();
            let exported_at = Instant(now);
            let rest = Beginning { version: VERSION, namespace, user_ids, watermark, exported_at };
            push(text, &Line { kind: "export", rest });
        }
        ExportPart::Record(record) => record::write(view, record, text),
        ExportPart::Profile(report) => {
            let message = MessageJson::new("Profile", &profile(report, now).0);
            push(text, &Line { kind: "profile", rest: known(view, message) });
        }
        ExportPart::InForce(report) => {
            let message = MessageJson::new("User", &profile(report, now).1);
            push(text, &Line { kind: "rules", rest: known(view, message) });
        }
        ExportPart::End { records } => push(text, &Line { kind: "end", rest: End { records } }),
    }
}

/// What `GetProfile` tells: of the user, and what is set for them.
fn profile(report: &ProfileReport, now: Timestamp) -> (proto::Profile, proto::User) {
    let mut profile = answers::profile(report.clone(), now);
    let user = profile.user.take().unwrap_or_default();
    (profile, user)
}

fn known(view: &View, message: MessageJson) -> Known {
    Known { watermark: view.watermark(), message }
}

fn push(text: &mut String, line: &impl Serialize) {
    text.push_str(&serde_json::to_string(line).expect("all keys are texts"));
    text.push('\n');
}
