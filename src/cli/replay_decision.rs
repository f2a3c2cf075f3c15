//! `replay-decision`: works a past decision out again and compares it with its record,
//! bit by bit.
//!
//! - The decision is looked for from the end of the log backwards. The state comes from
//!   the newest snapshot that had learnt no more than the decision's view had, else from
//!   the first record; what the log holds after that is replayed.
//! - The stores are those of a stopped server, or PostgreSQL at any time.

mod differences;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use self::differences::differences;
use self::report::Report;
use self::report::Verdict;
use super::Failure;
use super::output;
use super::stores;
use crate::api::recorded_call;
use crate::config::StoreConfig;
use crate::service::Clock;
use crate::service::NotRedone;
use crate::service::PersonalizeCall;
use crate::service::Stores;
use crate::service::SystemClock;
use crate::service::check_record;
use crate::service::redo;
use crate::service::replay;
use crate::storage::Partition;
use crate::storage::ReadLimit;
use engine::ENGINE_REVISION;
use engine::Engine;
use engine::View;
use engine::domain::Decision;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Settings;

/// Records read at a time.
const BATCH: u64 = 10_000;

/// Options of `replay-decision`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The decision, as the answer of Personalize names it
    decision_id: String,

    #[command(flatten)]
    stores: StoreConfig,

    /// The namespace it belongs to
    #[arg(long, default_value = NamespaceName::DEFAULT)]
    namespace: String,

    /// Also write all of it to this file; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Finds, works out again, compares and prints.
///
/// # Errors
/// When the decision is not in the log or past its retention, when it cannot be worked
/// out again, and when it comes out differently.
pub fn run(args: &Args) -> Result<(), Failure> {
    let name = NamespaceName::parse(args.namespace.clone())?;
    let stores = stores::open_for_reading(&args.stores)?;
    let partition = stores.namespaces.resolve(&name)?.partition;
    let found = find(&stores, &partition, &args.decision_id)?;
    let (record, decision) = found.ok_or_else(|| {
        format!("decision {:?} is not in the log of namespace {name}", args.decision_id)
    })?;
    if record.recorded_at < args.stores.decisions_kept_since(SystemClock.now()) {
        return Err(format!(
            "decision {:?} is older than the {} days of DECISION_RETENTION_DAYS",
            args.decision_id, args.stores.decision_retention_days
        )
        .into());
    }
    let (verdict, call) = verdict(&stores, &partition, &decision)?;
    let report = Report::new(&name, &record, &decision, &verdict, call.as_ref());
    let is_stdout_taken = args.json.as_deref().is_some_and(output::is_stdout);
    output::print(&report.table(), is_stdout_taken)?;
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    match verdict {
        Verdict::Reproduced => Ok(()),
        Verdict::Differs(_) => Err("the decision came out differently".into()),
        Verdict::NotRedone(reason) => {
            Err(format!("the decision cannot be worked out again: {reason}").into())
        }
    }
}

/// Looks through the log from its end.
fn find(
    stores: &Stores,
    partition: &Partition,
    decision_id: &str,
) -> Result<Option<(LogRecord, Decision)>, Failure> {
    let mut end = stores.log.log_end(partition)?.sequence;
    while end > 0 {
        let start = end.saturating_sub(BATCH);
        let mut after = start;
        while after < end {
            let records =
                stores.log.read_from(partition, after, ReadLimit::records(BATCH as usize))?;
            let Some(last) = records.last() else { break };
            after = last.sequence;
            for record in records {
                if let Record::Decision(decision) = &record.record
                    && decision.decision_id.as_str() == decision_id
                {
                    let decision = decision.clone();
                    return Ok(Some((record, decision)));
                }
            }
        }
        end = start;
    }
    Ok(None)
}

/// The verdict, and the call as far as its request can be read.
fn verdict(
    stores: &Stores,
    partition: &Partition,
    decision: &Decision,
) -> Result<(Verdict, Option<PersonalizeCall>), Failure> {
    let detail = match check_record(decision) {
        Ok(detail) => detail,
        Err(reason) => return Ok((Verdict::NotRedone(reason), None)),
    };
    let watermarks = (decision.watermark, detail.context_watermark);
    let (view, context_view) = views(stores, partition, watermarks.0, watermarks.1)?;
    let call = match recorded_call(decision, detail, &view) {
        Ok(call) => call,
        Err(unreadable) => {
            return Ok((Verdict::NotRedone(NotRedone::Request(unreadable.to_string())), None));
        }
    };
    let verdict = match redo(&view, &context_view, decision, &call) {
        Ok(redone) => match differences(decision, &redone) {
            found if found.is_empty() => Verdict::Reproduced,
            found => Verdict::Differs(found),
        },
        Err(reason) => Verdict::NotRedone(reason),
    };
    Ok((verdict, Some(call)))
}

/// The state at two positions of the log.
fn views(
    stores: &Stores,
    partition: &Partition,
    first: Sequence,
    second: Sequence,
) -> Result<(Arc<View>, Arc<View>), Failure> {
    let (lower, upper) = (first.min(second), first.max(second));
    let snapshot = stores.snapshots.newest_up_to(partition, ENGINE_REVISION, lower)?;
    // The log makes up for a snapshot that cannot be restored.
    let restored = snapshot.and_then(|snapshot| Engine::restore(snapshot.sections).ok());
    let mut engine = restored.unwrap_or_else(|| Engine::new(Settings::default()));
    let mut view_at = |watermark: Sequence| -> Result<Arc<View>, Failure> {
        replay(&mut engine, &*stores.log, partition, watermark)?;
        let view = engine.view();
        if view.watermark() != watermark {
            return Err(format!("the log ends before record {watermark}").into());
        }
        Ok(view)
    };
    let (at_lower, at_upper) = (view_at(lower)?, view_at(upper)?);
    Ok(if first <= second { (at_lower, at_upper) } else { (at_upper, at_lower) })
}
