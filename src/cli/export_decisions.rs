//! `export-decisions`: logged decisions with their rewards, for `evaluate-policy` and
//! other tools: from a store, or from a file in another format.
//!
//! - Rewards are those that the ranker learns from: of each shown item the best
//!   interaction that names the decision, by the confidences of the namespace's settings,
//!   from -1 to 1; a negative one outweighs what came before it. Without any, 0.
//! - Of a store all decisions are written that lie in the log at the start: two passes
//!   over it, and in memory the interactions that name a decision.
//! - Places that the caller pinned were no choice of the ranker and are left out.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::Failure;
use super::dataset::format_timestamp;
use super::decisions::Format;
use super::decisions::LoggedRound;
use super::decisions::Reader;
use super::decisions::Writer;
use super::output;
use super::stores;
use crate::config::StoreConfig;
use crate::domain::Decision;
use crate::domain::Interaction;
use crate::domain::LogRecord;
use crate::domain::NamespaceName;
use crate::domain::Record;
use crate::domain::Settings;
use crate::domain::ShownItem;
use crate::service::Stores;

/// Records read at a time.
const BATCH: usize = 10_000;

/// Options of `export-decisions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    stores: StoreConfig,

    /// The namespace whose decisions are written
    #[arg(long, default_value = NamespaceName::DEFAULT)]
    namespace: String,

    /// Read this file of logged rounds in place of a store: to bring a log of Vowpal Wabbit
    /// or Azure Personalizer (.dsjson) into another format, or the reverse
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// How that file is written; by default its name says it
    #[arg(long, value_enum, requires = "from")]
    from_format: Option<Format>,

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
            export(&stores, &name, &mut writer)?
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

/// Rounds of a namespace's decisions; the number written.
fn export(
    stores: &Stores,
    name: &NamespaceName,
    writer: &mut Writer<impl Write>,
) -> Result<u64, Failure> {
    let end = stores.log.log_end(name)?;
    let mut rewards = Rewards::default();
    each_record(stores, name, end, |record| {
        match &record.record {
            Record::Interaction(interaction) => rewards.note(interaction),
            Record::SettingsSet(settings) => rewards.settings = settings.clone(),
            _ => {}
        }
        Ok(())
    })?;
    let mut written = 0;
    each_record(stores, name, end, |record| {
        if let Record::Decision(decision) = &record.record {
            for round in rounds(decision, &rewards) {
                writer.write(round)?;
                written += 1;
            }
        }
        Ok(())
    })?;
    Ok(written)
}

fn each_record(
    stores: &Stores,
    name: &NamespaceName,
    end: u64,
    mut look: impl FnMut(&LogRecord) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    while after < end {
        let records = stores.log.read_after(name, after, BATCH)?;
        let Some(last) = records.last() else { break };
        after = last.sequence;
        for record in records.iter().filter(|record| record.sequence <= end) {
            look(record)?;
        }
    }
    Ok(())
}

/// What came of decisions so far.
#[derive(Default)]
struct Rewards {
    /// Those in force at the place of the log.
    settings: Settings,
    by_decision: HashMap<Box<str>, Vec<Credit>>,
}

/// What a person did with an item of a decision.
struct Credit {
    user: Box<str>,
    item: Box<str>,
    reward: f32,
}

impl Rewards {
    fn note(&mut self, interaction: &Interaction) {
        let Some(decision_id) = &interaction.decision_id else { return };
        let confidence = self.settings.confidence(interaction.kind, interaction.value);
        let reward = confidence.clamp(-1.0, 1.0);
        if reward == 0.0 {
            return;
        }
        let (user, item) = (interaction.user_id.as_str(), interaction.item_id.as_str());
        let credits = self.by_decision.entry(decision_id.as_str().into()).or_default();
        match credits.iter_mut().find(|credit| credit.is_of(user, item)) {
            // As the ranker credits it: the best, or the last negative one.
            Some(credit) if reward < 0.0 || reward > credit.reward => credit.reward = reward,
            Some(_) => {}
            None => credits.push(Credit { user: user.into(), item: item.into(), reward }),
        }
    }

    fn of(&self, decision: &Decision, item: &str) -> f32 {
        let user = decision.user_id.as_str();
        let mut credits = self.by_decision.get(decision.decision_id.as_str()).into_iter().flatten();
        credits.find(|credit| credit.is_of(user, item)).map_or(0.0, |credit| credit.reward)
    }
}

impl Credit {
    fn is_of(&self, user: &str, item: &str) -> bool {
        (&*self.user, &*self.item) == (user, item)
    }
}

/// The places of a decision that were the ranker's choice.
fn rounds<'a>(
    decision: &'a Decision,
    rewards: &'a Rewards,
) -> impl Iterator<Item = LoggedRound> + 'a {
    let chosen = |(_, shown): &(usize, &ShownItem)| !shown.features.is_empty();
    decision.shown.iter().enumerate().filter(chosen).map(move |(place, shown)| LoggedRound {
        decision_id: decision.decision_id.to_string(),
        user_id: Some(decision.user_id.to_string()),
        timestamp: Some(format_timestamp(decision.decided_at)),
        position: place as u32,
        action: shown.item_id.to_string(),
        reward: f64::from(rewards.of(decision, shown.item_id.as_str())),
        propensity: f64::from(shown.propensity),
        target_probability: None,
        strategy: Some(decision.strategy.name().to_owned()),
        model: Some(decision.model_version.to_string()),
        score: Some(f64::from(shown.score)),
        features: shown.features.clone(),
        context: Vec::new(),
        candidates: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
