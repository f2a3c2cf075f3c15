//! `experiments list`.

use super::server::Server;
use crate::cli::Failure;
use crate::cli::channel::told;
use crate::cli::output::align;
use crate::proto;
use statistics::words::percent;

/// Experiments of a page.
const PAGE: u32 = 100;

/// Options of `experiments list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// Archived ones, too.
    #[arg(long)]
    all: bool,
}

pub async fn text(args: Args) -> Result<String, Failure> {
    let mut client = args.server.client().await?;
    let states = if args.all { (1..=5).collect() } else { Vec::new() };
    let mut request = proto::ListExperimentsRequest {
        namespace: args.server.namespace.clone(),
        states,
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut rows =
        vec![["key", "state", "layer", "share", "variants", "metrics"].map(str::to_owned).to_vec()];
    loop {
        let page = client.list_experiments(request.clone()).await.map_err(told)?.into_inner();
        rows.extend(page.experiments.iter().map(row));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if rows.len() == 1 {
        return Ok("There are no experiments.\n".to_owned());
    }
    let mut text = String::new();
    align(&mut text, &rows);
    Ok(text)
}

fn row(experiment: &proto::Experiment) -> Vec<String> {
    vec![
        experiment.key.clone(),
        state(experiment.state()),
        experiment.layer.clone(),
        percent(experiment.allocation),
        experiment.variants.len().to_string(),
        experiment.metrics.len().to_string(),
    ]
}

/// A state in one word.
pub fn state(state: proto::ExperimentState) -> String {
    let name = state.as_str_name();
    name.strip_prefix("EXPERIMENT_STATE_").unwrap_or(name).to_lowercase()
}
