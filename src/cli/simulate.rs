//! `simulate`: drives a running server with a simulated audience and compares its click rates with those of
//! policies that need no server.
//!
//! - The people, the items and what people do come from the seed (`engine::evaluation::simulation`): all policies
//!   meet the same ones. What the server draws is its own.
//! - So many visits at a time get their lists at once; then their clicks are sent in order, and the next
//!   lists wait until the server has learnt them. So the log does not depend on which call was faster.
//! - Tables go to standard output, or to standard error when the figures take standard output; progress goes to
//!   standard error.

mod args;
mod clock;
mod drive;
mod report;
mod site;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use engine::evaluation::report::render_simulation;
use engine::evaluation::simulation::Kind;
use engine::evaluation::simulation::Newest;
use engine::evaluation::simulation::Oracle;
use engine::evaluation::simulation::Outcome;
use engine::evaluation::simulation::Policy;
use engine::evaluation::simulation::Popular;
use engine::evaluation::simulation::Random;
use engine::evaluation::simulation::World;
use engine::evaluation::simulation::run as earned;

pub use self::args::Args;

use self::drive::drive;
use self::report::Document;
use self::site::Site;
use crate::cli::Failure;
use crate::cli::channel::connect;
use crate::cli::output;

/// Half-life of the clicks that the decaying popularity counts, in rounds.
const NEWS_HALF_LIFE: f64 = 1.0;
const SHOP_HALF_LIFE: f64 = 5.0;

/// Simulates and prints; see [`Args`].
///
/// # Errors
/// Wrong arguments, a server that cannot be reached or says no, a file that cannot be written.
pub async fn run(args: Args) -> Result<(), Failure> {
    let settings = args.world()?;
    let world = Arc::new(World::new(settings));
    let channel = connect(&args.addr).await?;
    let mut site = Site::create(channel, &args).await?;
    let served = drive(&args, &world, &mut site).await;
    if !args.keep {
        site.delete().await?;
    }
    let mut outcomes = vec![Outcome { policy: "service".to_owned(), tally: served? }];
    let together = args.concurrency;
    let policies = {
        let world = Arc::clone(&world);
        tokio::task::spawn_blocking(move || simulated(&world, together)).await?
    };
    outcomes.extend(policies);
    let text = report::text(&args, &world, &outcomes);
    output::print(&text, args.json.as_deref().is_some_and(output::is_stdout))?;
    if let Some(path) = &args.json {
        output::write_json(path, &Document::new(&args, &world, &outcomes))?;
    }
    if let Some(path) = &args.html {
        let page = render_simulation(&report::page(&args, &world, &outcomes));
        output::write_file(path, page.as_bytes())?;
    }
    Ok(())
}

/// What the policies earn that need no server; the oracle is the last.
fn simulated(world: &World, together: usize) -> Vec<Outcome> {
    let is_news = world.settings.kind == Kind::News;
    let half_life = if is_news { NEWS_HALF_LIFE } else { SHOP_HALF_LIFE };
    let mut policies: Vec<Box<dyn Policy + '_>> = vec![
        Box::new(Random),
        Box::new(Popular::new(world, None)),
        Box::new(Popular::new(world, Some(half_life))),
    ];
    if is_news {
        policies.push(Box::new(Newest(world)));
    }
    policies.push(Box::new(Oracle));
    let outcome = |policy: &mut Box<dyn Policy + '_>| Outcome {
        policy: policy.name().to_owned(),
        tally: earned(world, &mut **policy, together),
    };
    policies.iter_mut().map(outcome).collect()
}
