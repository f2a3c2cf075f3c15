//! `loadtest`: puts a load on a running server and reports latencies, rates and CPU.
//!
//! - Open loop: arrivals are scheduled; latency counts from the schedule (no coordinated omission).
//! - Comparisons are made within one run: with `--echo`, slices of Personalize alternate with slices of a
//!   bare tonic echo of the same payload, so that noise of the machine hits both.
//! - Bounded in time and count. Loopback only, unless told otherwise.

mod args;
mod drive;
mod echo;
mod ingest;
mod measured;
mod personalize;
mod process;
mod report;
mod schedule;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::transport::Endpoint;

pub use crate::cli::loadtest::args::Args;

use crate::cli::Failure;
use crate::cli::loadtest::args::Target;
use crate::cli::loadtest::drive::Call;
use crate::cli::loadtest::drive::Plan;
use crate::cli::loadtest::drive::closed_loop;
use crate::cli::loadtest::drive::open_loop;
use crate::cli::loadtest::echo::Echo;
use crate::cli::loadtest::echo::EchoProcess;
use crate::cli::loadtest::measured::Measured;
use crate::cli::loadtest::personalize::Personalize;
use crate::cli::loadtest::personalize::Population;
use crate::cli::loadtest::personalize::listed_items;
use crate::cli::loadtest::personalize::numbered;
use crate::cli::loadtest::process::CpuReading;
use crate::cli::loadtest::report::Ratios;
use crate::cli::loadtest::report::Report;
use crate::cli::loadtest::report::Section;
use crate::cli::loadtest::schedule::Schedule;
use crate::service::Clock;
use crate::service::SystemClock;

/// Wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The warm-up of each slice after the first: caches and connections were used by the other side.
const SLICE_WARMUP: Duration = Duration::from_millis(200);

/// Runs the load and prints what it measured.
///
/// # Errors
/// Wrong arguments, a server that cannot be reached, or one that fails the first calls. Failures under
/// load are figures, not errors.
pub async fn run(args: Args) -> Result<(), Failure> {
    if let Some(port) = args.echo_server {
        return echo::serve(port, args.echo_answer_bytes).await;
    }
    args.check()?;
    let channels = connect(&args.addr, args.connections).await?;
    let population = population(&args, &channels[0]).await?;
    let mut report = Report { settings: args.settings(), ..Report::default() };
    match args.target {
        Target::Personalize => personalize_only(&args, &channels, &population, &mut report).await?,
        Target::Ingest => ingest_only(&args, &channels, &population, &mut report).await?,
        Target::Mixed => mixed(&args, &channels, &population, &mut report).await?,
    }
    report.print();
    match &args.json {
        Some(file) => report.write(file),
        None => Ok(()),
    }
}

async fn connect(url: &str, connections: usize) -> Result<Vec<Channel>, Failure> {
    let endpoint =
        Endpoint::from_shared(url.to_owned())?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    let mut channels = Vec::with_capacity(connections);
    for _ in 0..connections {
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| format!("failed to connect to {url}: {error}"))?;
        channels.push(channel);
    }
    Ok(channels)
}

async fn population(args: &Args, channel: &Channel) -> Result<Population, Failure> {
    let items = match &args.item_pattern {
        Some(pattern) => (1..=args.items).map(|n| numbered(pattern, n)).collect(),
        None => listed_items(channel.clone(), &args.namespace).await?,
    };
    Ok(Population {
        namespace: args.namespace.clone(),
        user_pattern: args.user_pattern.clone(),
        users: args.users,
        items: Arc::new(items),
    })
}

/// Personalize alone: open loop, closed loop with `--find-max`, each against the echo with `--echo`.
async fn personalize_only(
    args: &Args,
    channels: &[Channel],
    population: &Population,
    report: &mut Report,
) -> Result<(), Failure> {
    let subject = Arc::new(Personalize::new(channels, population, &args.personalize())?);
    let answer_bytes = subject.response_bytes().await?;
    let process = match args.echo {
        true => Some(EchoProcess::start(answer_bytes).await?),
        false => None,
    };
    let echo = match &process {
        Some(process) => {
            let channels = connect(&process.url, args.connections).await?;
            let echo = Echo::new(channels, &subject.request_bytes(), args.timeout());
            Some((Arc::new(echo), process.pid()))
        }
        None => None,
    };
    println!("answers have {answer_bytes} bytes (median)");

    let sides = Sides { subject, echo };
    let rate = args.rate;
    let sum = sides.alternate(args, Load::Open { rate }).await?;
    sum.report("personalize", Some(rate), report);
    if args.find_max {
        let concurrency = args.concurrency;
        let sum = sides.alternate(args, Load::Closed { concurrency }).await?;
        sum.report("personalize at its maximum", None, report);
    }
    Ok(())
}

/// How calls are made.
#[derive(Clone, Copy, Debug)]
enum Load {
    Open { rate: f64 },
    Closed { concurrency: usize },
}

/// The server under test and, perhaps, the echo with its process.
struct Sides {
    subject: Arc<Personalize>,
    echo: Option<(Arc<Echo>, u32)>,
}

impl Sides {
    /// Slices of both sides in turn, the order changing from round to round.
    async fn alternate(&self, args: &Args, load: Load) -> Result<Sum, Failure> {
        let rounds = if self.echo.is_some() { args.rounds } else { 1 };
        let mut subject = Measured::new();
        let mut floor = Measured::new();
        for round in 0..rounds {
            let slice = Slice {
                load,
                length: args.duration() / rounds,
                warmup: match round {
                    0 => args.warmup(),
                    _ => SLICE_WARMUP.min(args.warmup()),
                },
                seed: args.seed + u64::from(round),
            };
            // One after the other, the echo first in every other round.
            let echo_first = round % 2 == 1;
            for echo_turn in [echo_first, !echo_first] {
                match &self.echo {
                    Some((echo, pid)) if echo_turn => {
                        floor.merge(&slice.measure(args, echo, Some(*pid)).await?);
                    }
                    None if echo_turn => {}
                    _ => {
                        subject.merge(&slice.measure(args, &self.subject, args.server_pid).await?);
                    }
                }
            }
        }
        Ok(Sum { subject, echo: self.echo.is_some().then_some(floor) })
    }
}

/// A stretch of load on one side.
struct Slice {
    load: Load,
    length: Duration,
    warmup: Duration,
    seed: u64,
}

impl Slice {
    async fn measure<C: Call>(
        &self,
        args: &Args,
        call: &Arc<C>,
        pid: Option<u32>,
    ) -> Result<Measured, Failure> {
        if !self.warmup.is_zero() {
            self.load_for(args, call, self.warmup).await?;
        }
        with_cpu(pid, self.load_for(args, call, self.length)).await
    }

    async fn load_for<C: Call>(
        &self,
        args: &Args,
        call: &Arc<C>,
        length: Duration,
    ) -> Result<Measured, Failure> {
        let call = Arc::clone(call);
        match self.load {
            Load::Open { rate } => open_loop(call, plan(args, rate, length, self.seed)).await,
            Load::Closed { concurrency } => closed_loop(call, concurrency, length).await,
        }
    }
}

/// What both sides measured.
struct Sum {
    subject: Measured,
    echo: Option<Measured>,
}

impl Sum {
    fn report(self, subject: &'static str, rate: Option<f64>, report: &mut Report) {
        let section =
            |subject, measured| Section { subject, offered_rate: rate, unit: "calls", measured };
        if let Some(echo) = self.echo {
            if let Some(ratios) = Ratios::of(&self.subject, &echo) {
                report.ratios.push((subject, ratios));
            }
            report.sections.push(section("echo", echo));
        }
        report.sections.push(section(subject, self.subject));
    }
}

async fn ingest_only(
    args: &Args,
    channels: &[Channel],
    population: &Population,
    report: &mut Report,
) -> Result<(), Failure> {
    let warmup = args.warmup();
    if !warmup.is_zero() {
        ingest_slice(args, channels, population, args.rate, warmup).await?;
    }
    let load = ingest_slice(args, channels, population, args.rate, args.duration());
    let measured = with_cpu(args.server_pid, load).await?;
    report.sections.push(Section {
        subject: "ingest",
        offered_rate: Some(args.rate),
        unit: "events",
        measured,
    });
    Ok(())
}

/// Personalize while events come in. The server's CPU cannot be told apart, so it is not reported.
async fn mixed(
    args: &Args,
    channels: &[Channel],
    population: &Population,
    report: &mut Report,
) -> Result<(), Failure> {
    let subject = Arc::new(Personalize::new(channels, population, &args.personalize())?);
    let mut lengths = vec![args.duration()];
    if !args.warmup().is_zero() {
        lengths.insert(0, args.warmup());
    }
    for length in lengths {
        let calls = plan(args, args.rate, length, args.seed);
        let (calls, events) = tokio::try_join!(
            open_loop(Arc::clone(&subject), calls),
            ingest_slice(args, channels, population, args.ingest_rate, length),
        )?;
        // The last is the measured one.
        report.sections = vec![
            Section {
                subject: "personalize",
                offered_rate: Some(args.rate),
                unit: "calls",
                measured: calls,
            },
            Section {
                subject: "ingest",
                offered_rate: Some(args.ingest_rate),
                unit: "events",
                measured: events,
            },
        ];
    }
    Ok(())
}

async fn ingest_slice(
    args: &Args,
    channels: &[Channel],
    population: &Population,
    events_per_s: f64,
    length: Duration,
) -> Result<Measured, Failure> {
    let options = ingest::Options {
        batch: args.batch,
        streams: args.streams.unwrap_or(args.connections),
        timeout: args.timeout(),
        seed: args.seed,
        run: u128::from(SystemClock.now().as_millis().unsigned_abs()),
    };
    let messages_per_s = events_per_s / args.batch as f64;
    let plan = plan(args, messages_per_s, length, args.seed);
    ingest::ingest(channels, population, plan, &options).await
}

fn plan(args: &Args, rate: f64, length: Duration, seed: u64) -> Plan {
    Plan {
        schedule: Schedule::new(args.arrivals, rate, length, seed),
        length,
        in_flight: args.in_flight,
    }
}

/// Runs a load and adds the CPU time the process took meanwhile.
async fn with_cpu(
    pid: Option<u32>,
    load: impl Future<Output = Result<Measured, Failure>>,
) -> Result<Measured, Failure> {
    let before = pid.and_then(CpuReading::take);
    let mut measured = load.await?;
    let after = pid.and_then(CpuReading::take);
    measured.cpu = before.zip(after).map(|(before, after)| after.since(&before));
    Ok(measured)
}
