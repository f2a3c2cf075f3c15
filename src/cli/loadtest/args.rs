//! The arguments of `loadtest` and what they may be.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tonic::codegen::http::Uri;

use crate::cli::Failure;
use crate::cli::loadtest::personalize;
use crate::cli::loadtest::schedule::Arrivals;

/// Arrivals of one run at most, so that a slip of the keyboard ends some day.
const ARRIVALS_MAX: f64 = 1e8;

/// What the load is of.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Personalize calls.
    Personalize,
    /// Interactions over StreamInteractions.
    Ingest,
    /// Both at the same time.
    Mixed,
}

/// Put an open-loop load on a running server and report latencies.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub addr: String,
    /// What to put on the server.
    #[arg(long, value_enum, default_value = "personalize")]
    pub target: Target,
    /// Calls per second; with `--target ingest`, events per second.
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    pub rate: f64,
    /// Events per second of `--target mixed`.
    #[arg(long, default_value_t = 10_000.0, value_parser = rate)]
    pub ingest_rate: f64,
    /// How long to measure, in seconds: each side of a comparison, each kind of load.
    #[arg(long = "duration", default_value_t = 20.0, value_name = "S", value_parser = seconds)]
    pub duration_s: f64,
    /// How long to load before measuring, in seconds.
    #[arg(long = "warmup", default_value_t = 2.0, value_name = "S", value_parser = seconds)]
    pub warmup_s: f64,
    /// Connections to the server, used in turn.
    #[arg(long, default_value_t = 4, value_parser = size(1, 1_000))]
    pub connections: usize,
    /// The namespace.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// How many different users there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub users: u64,
    /// Ids of the users; {} stands for the number, from 1.
    #[arg(long, default_value = "{}", value_name = "PATTERN")]
    pub user_pattern: String,
    /// Candidates of each Personalize call. 0: the server retrieves them itself.
    #[arg(long, default_value_t = 100, value_parser = size(0, 1_000))]
    pub candidates: usize,
    /// Ids of the items; {} stands for the number, from 1. Without it they are read from the
    /// catalogue.
    #[arg(long, value_name = "PATTERN")]
    pub item_pattern: Option<String>,
    /// How many items `--item-pattern` stands for.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub items: u64,
    /// Length of the answers asked for, at most 500. 0: the server's default.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=500))]
    pub max_results: u32,
    /// How arrivals are spaced.
    #[arg(long, value_enum, default_value = "poisson")]
    pub arrivals: Arrivals,
    /// Seed of the arrivals, users and candidates.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=1 << 32))]
    pub seed: u64,
    /// Events of each message of an ingest stream.
    #[arg(long, default_value_t = 100, value_parser = size(1, 10_000))]
    pub batch: usize,
    /// Ingest streams. Default: as many as connections.
    #[arg(long, value_parser = size(1, 1_000))]
    pub streams: Option<usize>,
    /// Calls (or ingest messages) in flight at most.
    #[arg(long, default_value_t = 1_000, value_parser = size(1, 100_000))]
    pub in_flight: usize,
    /// After how long a call counts as failed, in milliseconds.
    #[arg(long, default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
    /// Measure a bare tonic echo of the same payload in the same run, slice by slice.
    #[arg(long)]
    pub echo: bool,
    /// Slices of each side with `--echo`.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Find the greatest throughput too, with `--concurrency` calls in flight.
    #[arg(long)]
    pub find_max: bool,
    /// Calls in flight of `--find-max`.
    #[arg(long, default_value_t = 16, value_parser = size(1, 10_000))]
    pub concurrency: usize,
    /// Process id of the server, on this machine, for its CPU time per call.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Write the figures to a file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Allow a server that is not on this machine.
    #[arg(long)]
    pub allow_remote: bool,
    /// Be the echo server on this loopback port (0: any), until standard input ends.
    #[arg(long, hide = true, value_name = "PORT")]
    pub echo_server: Option<u16>,
    /// Encoded size of the echo server's answers.
    #[arg(long, hide = true, default_value_t = 0)]
    pub echo_answer_bytes: usize,
}

impl Args {
    /// Checks what one argument alone cannot tell.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.allow_remote && !is_loopback(&self.addr)? {
            return Err(format!(
                "{} is not on this machine; a load on another server needs --allow-remote",
                self.addr
            )
            .into());
        }
        let alone = self.target == Target::Personalize;
        if (self.echo || self.find_max) && !alone {
            return Err("--echo and --find-max need --target personalize".into());
        }
        if self.duration_s <= 0.0 {
            return Err("--duration must be greater than 0".into());
        }
        if self.rate.max(self.ingest_rate) * self.duration_s > ARRIVALS_MAX {
            return Err(format!("rate times duration is more than {ARRIVALS_MAX:.0}").into());
        }
        if self.users > 1 && !self.user_pattern.contains("{}") {
            return Err("--user-pattern needs {} for the number".into());
        }
        let unnumbered = |pattern: &String| !pattern.contains("{}");
        if self.items > 1 && self.item_pattern.as_ref().is_some_and(unnumbered) {
            return Err("--item-pattern needs {} for the number".into());
        }
        Ok(())
    }

    /// How long to measure.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// How long to load before.
    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup_s)
    }

    /// The longest wait for an answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// What the Personalize calls are like.
    pub fn personalize(&self) -> personalize::Options {
        personalize::Options {
            candidates: self.candidates,
            max_results: self.max_results,
            timeout: self.timeout(),
            seed: self.seed,
        }
    }

    /// The settings that a reader of the figures wants to know.
    pub fn settings(&self) -> Value {
        json!({
            "target": format!("{:?}", self.target).to_lowercase(),
            "rate_per_s": self.rate,
            "ingest_rate_per_s": self.ingest_rate,
            "duration_s": self.duration_s,
            "warmup_s": self.warmup_s,
            "arrivals": format!("{:?}", self.arrivals).to_lowercase(),
            "connections": self.connections,
            "in_flight": self.in_flight,
            "users": self.users,
            "candidates": self.candidates,
            "batch": self.batch,
            "streams": self.streams.unwrap_or(self.connections),
            "rounds": self.rounds,
            "concurrency": self.concurrency,
            "seed": self.seed,
            "processors": std::thread::available_parallelism().map_or(0, usize::from),
        })
    }
}

/// Whether a URL names this machine by address or as `localhost`. Other names are not looked up.
fn is_loopback(url: &str) -> Result<bool, Failure> {
    let uri: Uri = url.parse().map_err(|error| format!("--addr {url}: {error}"))?;
    let host = uri
        .host()
        .ok_or_else(|| format!("--addr {url}: names no host; write http://127.0.0.1:50051"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Ok(bare == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback()))
}

/// A parser of sizes within bounds; clap has none for `usize`.
fn size(min: usize, max: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| {
        let number: usize = text.parse().map_err(|_error| "not a number".to_owned())?;
        if (min..=max).contains(&number) {
            Ok(number)
        } else {
            Err(format!("{number} is not in {min}..={max}"))
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    between(text, 0.01, 1e7)
}

fn seconds(text: &str) -> Result<f64, String> {
    between(text, 0.0, 86_400.0)
}

fn between(text: &str, min: f64, max: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_error| "not a number".to_owned())?;
    // False for NaN, too.
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{number} is not between {min} and {max}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("loadtest").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.args.check().map_err(|error| error.to_string())?;
        Ok(line.args)
    }

    #[test]
    fn the_defaults_are_accepted() {
        parse("").unwrap();
        parse("--target ingest --rate 50000 --batch 200 --streams 2").unwrap();
        parse("--echo --find-max --warmup 0").unwrap();
    }

    #[test]
    fn only_this_machine_is_loaded_unless_told_otherwise() {
        for addr in ["http://localhost:1", "http://127.8.9.1:5", "http://[::1]:50051"] {
            parse(&format!("--addr {addr}")).unwrap();
        }
        for addr in [
            "http://example.org:50051",
            "http://10.0.0.1:1",
            "http://localhost.example.org:1",
            "http://[2001:db8::1]:1",
        ] {
            let error = parse(&format!("--addr {addr}")).unwrap_err();
            assert!(error.contains("--allow-remote"), "{error}");
            parse(&format!("--addr {addr} --allow-remote")).unwrap();
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "--rate 0",
            "--rate NaN",
            "--rate -1",
            "--duration 0",
            "--duration inf",
            "--connections 0",
            "--candidates 1001",
            "--target ingest --echo",
            "--target mixed --find-max",
            "--rate 1000000 --duration 86400",
            "--user-pattern fixed",
            "--item-pattern fixed",
            "--addr /nowhere",
        ] {
            assert!(parse(line).is_err(), "{line} was accepted");
        }
    }
}
