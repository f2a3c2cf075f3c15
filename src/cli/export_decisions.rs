//! `export-decisions`: logged decisions with their rewards, for `evaluate-policy` and
//! other tools: from a store, or from a file in another format.
//!
//! - Rewards are those that the ranker learns from, see [`Rewards`].
//! - Of a store all decisions are written that lie in the log at the start: two passes
//!   over it, and in memory the interactions that name a decision.
//! - Positions that the caller pinned were no choice of the ranker and are left out, and so
//!   are decisions past their retention.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::Failure;
use super::decisions::Format;
use super::decisions::LoggedCandidate;
use super::decisions::LoggedRound;
use super::decisions::Reader;
use super::decisions::Writer;
use super::output;
use super::stores;
use crate::config::StoreConfig;
use crate::service::Clock;
use crate::service::Rewards;
use crate::service::Stores;
use crate::service::SystemClock;
use crate::service::each_record;
use crate::storage::Partition;
use engine::domain::Decision;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::ShownItem;
use engine::domain::Timestamp;

/// Options of `export-decisions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    stores: StoreConfig,

    /// The namespace whose decisions are written
    #[arg(long, default_value = NamespaceName::DEFAULT)]
    namespace: String,

    /// Read this file of logged rounds instead of a store: to bring a log of Vowpal Wabbit
    /// or Azure Personalizer (.dsjson) into another format, or the reverse
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// How that file is written; by default its name says it
    #[arg(long, value_enum, requires = "from")]
    from_format: Option<Format>,

    /// Also write what else could have been shown at each position, with its score and
    /// its uncertainty, where the record has it: some kilobytes for each position
    #[arg(long, conflicts_with = "from")]
    candidates: bool,

    /// Where to write; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// How to write; by default the name of the output says it
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Writes the decisions.
///
/// # Errors
/// When the store or the file cannot be read, or the output cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.output));
    let out: Box<dyn Write> = if output::is_stdout(&args.output) {
        Box::new(io::stdout())
    } else {
        let path = &args.output;
        let file = File::create(path)
            .map_err(|cause| format!("failed to write {}: {cause}", path.display()))?;
        Box::new(file)
    };
    let mut writer = Writer::new(BufWriter::new(out), format)?;
    let written = match &args.from {
        Some(path) => {
            let from = args.from_format.unwrap_or_else(|| Format::of(path));
            convert(path, from, &mut writer)?
        }
        None => {
            let name = NamespaceName::parse(args.namespace.clone())?;
            let stores = stores::open_for_reading(&args.stores)?;
            let kept_since = args.stores.decisions_kept_since(SystemClock.now());
            let selection = Selection { kept_since, candidates: args.candidates };
            let partition = stores.namespaces.resolve(&name)?.partition;
            export(&stores, &partition, &selection, &mut writer)?
        }
    };
    writer.finish()?;
    eprintln!("{written} rounds written");
    Ok(())
}

/// Rounds of a file, those that can be read; the number written.
fn convert(path: &Path, format: Format, writer: &mut Writer<impl Write>) -> Result<u64, Failure> {
    let mut written = 0;
    let mut reader = Reader::open(path, format)?;
    for round in reader.by_ref() {
        match round {
            Ok(round) => {
                writer.write(round)?;
                written += 1;
            }
            Err(fault) if fault.is_about_one_line() => eprintln!("left out: {fault}"),
            Err(failure) => return Err(failure.into()),
        }
    }
    if reader.unlabelled > 0 {
        eprintln!("{} lines are no labelled decisions", reader.unlabelled);
    }
    Ok(written)
}

/// Which decisions are written, and what of them.
#[derive(Debug)]
struct Selection {
    /// Older decisions are past their retention.
    kept_since: Timestamp,
    candidates: bool,
}

/// Rounds of a namespace's decisions; the number written.
fn export(
    stores: &Stores,
    partition: &Partition,
    selection: &Selection,
    writer: &mut Writer<impl Write>,
) -> Result<u64, Failure> {
    let end = stores.log.log_end(partition)?.sequence;
    let mut rewards = Rewards::default();
    let mut settings_at = 0;
    each_record(&*stores.log, partition, 0, end, |record| {
        match &record.record {
            Record::Interaction(interaction) => rewards.add(interaction),
            Record::UsersMerged { from, into } => rewards.merge(from, into, record.sequence),
            Record::SettingsSet(change) if change.replaces == settings_at => {
                rewards.settings = change.settings.clone();
                settings_at = record.sequence;
            }
            _ => {}
        }
        Ok::<(), Failure>(())
    })?;
    let mut written = 0;
    each_record(&*stores.log, partition, 0, end, |record| {
        if let Record::Decision(decision) = &record.record
            && record.recorded_at >= selection.kept_since
        {
            for round in rounds(decision, &rewards, selection.candidates) {
                writer.write(round)?;
                written += 1;
            }
        }
        Ok::<(), Failure>(())
    })?;
    Ok(written)
}

/// The positions of a decision that were the ranker's choice.
fn rounds<'a>(
    decision: &'a Decision,
    rewards: &'a Rewards,
    candidates: bool,
) -> impl Iterator<Item = LoggedRound> + 'a {
    let slate_propensity = slate_propensity(decision);
    let chosen = |(_, shown): &(usize, &ShownItem)| !shown.features.is_empty();
    decision.shown.iter().enumerate().filter(chosen).map(move |(position, shown)| LoggedRound {
        decision_id: decision.decision_id.to_string(),
        user_id: Some(decision.user_id.to_string()),
        timestamp: Some(decision.decided_at.to_rfc3339()),
        position: position as u32,
        action: shown.item_id.to_string(),
        reward: f64::from(rewards.of(decision, shown.item_id.as_str())),
        propensity: f64::from(shown.propensity),
        slate_propensity,
        target_probability: None,
        strategy: Some(decision.strategy.name().to_owned()),
        model: Some(decision.model_version.to_string()),
        variant: decision
            .detail
            .as_ref()
            .and_then(|detail| detail.variant.as_deref().map(str::to_owned)),
        score: Some(f64::from(shown.score)),
        features: shown.features.clone(),
        context: Vec::new(),
        candidates: if candidates { open_at(decision, position) } else { Vec::new() },
    })
}

/// The probability of all that was chosen, together: the product over the positions, since
/// each propensity is given the positions above. `None` where it is too small for a number.
fn slate_propensity(decision: &Decision) -> Option<f64> {
    let chosen = decision.shown.iter().filter(|shown| !shown.features.is_empty());
    let product: f64 = chosen.map(|shown| f64::from(shown.propensity)).product();
    product.is_normal().then_some(product)
}

/// What could have been shown at a position: no pinned item, and nothing from above.
fn open_at(decision: &Decision, position: usize) -> Vec<LoggedCandidate> {
    let shown = decision.shown.iter().enumerate();
    let taken = shown.filter(|(at, shown)| *at < position || shown.features.is_empty());
    let taken: Vec<&str> = taken.map(|(_, shown)| shown.item_id.as_str()).collect();
    let recorded = decision.detail.iter().flat_map(|detail| detail.beliefs());
    recorded
        .filter(|belief| !taken.contains(&belief.item_id))
        .map(|belief| LoggedCandidate {
            action: belief.item_id.to_owned(),
            score: Some(f64::from(belief.mean)),
            deviation: Some(f64::from(belief.deviation)),
            ..LoggedCandidate::default()
        })
        .collect()
}

#[cfg(test)]
mod tests;
