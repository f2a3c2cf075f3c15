//! The shared stores: durable ingest against raw COPY, news between replicas, recovery.
//!
//! Needs servers: `TEST_DATABASE_URL` (PostgreSQL, a user who may create databases) and,
//! for news by Redis, `TEST_REDIS_URL`. `scripts/with-servers cargo bench --bench stores`
//! starts both. Each part runs in a database of its own and prints one line a figure;
//! figures of one run compare with each other, not with those of another machine.
//!
//! `cargo bench --bench stores -- ingest` runs one part: ingest, news or recovery.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Timestamp;
use engine::domain::UserId;
use futures_util::SinkExt;
use personalization::proto;
use personalization::proto::personalization_service_client::PersonalizationServiceClient;
use personalization::storage::InteractionLog;
use personalization::storage::LogAppend;
use personalization::storage::NamespaceStore;
use personalization::storage::PostgresOptions;
use personalization::storage::PostgresStore;
use personalization::storage::open_postgres;
use tokio_postgres::Client;
use tokio_postgres::NoTls;
use tonic::transport::Channel;

const EVENTS: u64 = 1_000_000;
const NEWS: usize = 500;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let url =
        std::env::var("TEST_DATABASE_URL").map_err(|_| "TEST_DATABASE_URL names no server")?;
    let requested: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runs = |part: &str| requested.is_empty() || requested.iter().any(|name| name == part);
    let runtime = tokio::runtime::Runtime::new()?;
    if runs("ingest") {
        ingest(&runtime, &url)?;
    }
    if runs("news") {
        news(&runtime, &url, None)?;
        if let Ok(redis) = std::env::var("TEST_REDIS_URL") {
            news(&runtime, &url, Some(&redis))?;
        }
    }
    if runs("recovery") {
        recovery(&runtime, &url)?;
    }
    Ok(())
}

/// A database that goes when the part is done.
struct Database {
    admin: Client,
    name: String,
    url: String,
}

impl Database {
    async fn create(url: &str, part: &str) -> Result<Self, Failure> {
        let admin = connect(url).await?;
        let name = format!("bench_{part}_{}", std::process::id());
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let (server, _database) = url.rsplit_once('/').ok_or("a URL ends with a database")?;
        let url = format!("{server}/{name}");
        Ok(Self { admin, name, url })
    }

    async fn drop(self) -> Result<(), Failure> {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        Ok(self.admin.batch_execute(&drop).await?)
    }
}

async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn open(url: &str) -> Result<Arc<PostgresStore>, Failure> {
    Ok(open_postgres(&PostgresOptions {
        url: url.to_owned(),
        read_url: None,
        pool_size: 4,
        statement_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(5),
        dedup_horizon: 1_000_000,
    })?)
}

/// Clicks of 50,000 users on 5,000 items, each with an id of its own.
fn event(number: u64) -> Result<Interaction, Failure> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let user = mixed % 50_000;
    // Skewed, as popularity is.
    let item = (mixed / 50_000 % 5_000) * (number % 97) / 97;
    Ok(Interaction {
        event_id: EventId::parse(format!("01947f3e-{number:024}"))?,
        user_id: UserId::parse(format!("user-{user}"))?,
        item_id: ItemId::parse(format!("item-{item}"))?,
        kind: InteractionType::Click,
        value: None,
        occurred_at: Timestamp::from_seconds(1_700_000_000 + number as i64 / 100),
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    })
}

fn events(numbers: std::ops::Range<u64>) -> Result<Vec<Interaction>, Failure> {
    numbers.map(event).collect()
}

/// The same events by the log and by COPY into a table with a unique event id.
fn ingest(runtime: &tokio::runtime::Runtime, url: &str) -> Result<(), Failure> {
    for group in [1_000, 5_000, 20_000] {
        let database = runtime.block_on(Database::create(url, "ingest"))?;
        let log = append_all(&database.url, group)?;
        let copy = runtime.block_on(copy_all(&database.url, group))?;
        runtime.block_on(database.drop())?;
        println!("ingest groups={group} log={log:.0}/s copy={copy:.0}/s ratio={:.2}", log / copy);
    }
    Ok(())
}

fn append_all(url: &str, group: u64) -> Result<f64, Failure> {
    let store = open(url)?;
    let partition = store.resolve(&NamespaceName::default())?.partition;
    let mut busy = Duration::ZERO;
    for first in (0..EVENTS).step_by(group as usize) {
        let records = events(first..first + group)?.into_iter().map(Record::Interaction).collect();
        let groups = [LogAppend { partition: partition.clone(), records, fence: None }];
        let started = Instant::now();
        store.append(&groups, Timestamp::from_seconds(1_700_000_000))?;
        busy += started.elapsed();
    }
    Ok(EVENTS as f64 / busy.as_secs_f64())
}

async fn copy_all(url: &str, group: u64) -> Result<f64, Failure> {
    let client = connect(url).await?;
    let table = "CREATE TABLE raw (event_id text PRIMARY KEY, user_id text NOT NULL, \
                 item_id text NOT NULL, type text NOT NULL, occurred_at_ms bigint NOT NULL)";
    client.batch_execute(table).await?;
    let mut busy = Duration::ZERO;
    for first in (0..EVENTS).step_by(group as usize) {
        let mut rows = String::new();
        for Interaction { event_id, user_id, item_id, occurred_at, .. } in
            events(first..first + group)?
        {
            let at = occurred_at.as_millis();
            rows += &format!("{event_id}\t{user_id}\t{item_id}\tclick\t{at}\n");
        }
        let started = Instant::now();
        let mut sink = Box::pin(client.copy_in("COPY raw FROM STDIN").await?);
        sink.send(Bytes::from(rows)).await?;
        sink.close().await?;
        busy += started.elapsed();
    }
    Ok(EVENTS as f64 / busy.as_secs_f64())
}

/// A replica as a process of its own.
struct Replica {
    process: Child,
    grpc: SocketAddr,
    /// From the start of the process until it said that it serves.
    start: Duration,
}

impl Replica {
    fn start(url: &str, redis: Option<&str>, flags: &[&str]) -> Result<Self, Failure> {
        let started = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_personalization"));
        command.args(["serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]);
        command.args(["--auto-retrain", "false", "--database-url", url]).args(flags);
        command.args(redis.into_iter().flat_map(|redis| ["--redis-url", redis]));
        command.env("RUST_LOG", "info").env("NO_COLOR", "1");
        let mut process = command.stderr(Stdio::piped()).spawn()?;
        let mut log = BufReader::new(process.stderr.take().ok_or("stderr is piped")?).lines();
        let address = log.by_ref().map_while(Result::ok).find_map(|line| {
            let after = line.split_once(" serving ")?.1.split_once("grpc=")?.1;
            after.split_whitespace().next()?.parse().ok()
        });
        let (grpc, start) = (address.ok_or("the replica did not start")?, started.elapsed());
        std::thread::spawn(move || log.for_each(drop));
        Ok(Self { process, grpc, start })
    }

    async fn client(&self) -> Result<PersonalizationServiceClient<Channel>, Failure> {
        Ok(PersonalizationServiceClient::connect(format!("http://{}", self.grpc)).await?)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// How long after its acknowledgement an event is in the view of another replica.
fn news(runtime: &tokio::runtime::Runtime, url: &str, redis: Option<&str>) -> Result<(), Failure> {
    let database = runtime.block_on(Database::create(url, "news"))?;
    let writer = Replica::start(&database.url, redis, &[])?;
    let reader = Replica::start(&database.url, redis, &[])?;
    let mut waits = runtime.block_on(wait_for_news(&writer, &reader))?;
    drop((writer, reader));
    runtime.block_on(database.drop())?;
    waits.sort_unstable();
    let [p50, p99] = [50, 99].map(|p| waits[waits.len() * p / 100].as_secs_f64() * 1e3);
    let with = if redis.is_some() { "redis" } else { "polling" };
    println!("news {with}: acked to visible elsewhere p50={p50:.1}ms p99={p99:.1}ms of {NEWS}");
    Ok(())
}

async fn wait_for_news(writer: &Replica, reader: &Replica) -> Result<Vec<Duration>, Failure> {
    let (mut writer, mut reader) = (writer.client().await?, reader.client().await?);
    let mut waits = Vec::new();
    for number in 0..NEWS {
        let user_id = format!("reader-{number}");
        let interaction = proto::Interaction {
            event_id: format!("news-{number}"),
            user_id: user_id.clone(),
            item_id: "paper".to_owned(),
            r#type: proto::InteractionType::Click.into(),
            ..proto::Interaction::default()
        };
        let message = proto::RecordInteractionsRequest {
            namespace: String::new(),
            interactions: vec![interaction],
        };
        let recorded = writer.record_interactions(tokio_stream::iter([message])).await?;
        let acknowledged = Instant::now();
        let min_watermark = recorded.into_inner().last_sequence;
        let namespace = String::new();
        let request = proto::GetProfileRequest { namespace, user_id, min_watermark };
        reader.get_profile(request).await?;
        waits.push(acknowledged.elapsed());
        // Not in step with any polling.
        tokio::time::sleep(Duration::from_millis(3 + number as u64 % 17)).await;
    }
    Ok(waits)
}

/// The start of a replica on a log of a million events, without and with a snapshot.
fn recovery(runtime: &tokio::runtime::Runtime, url: &str) -> Result<(), Failure> {
    let database = runtime.block_on(Database::create(url, "recovery"))?;
    append_all(&database.url, 20_000)?;
    let replayed = Replica::start(&database.url, None, &["--snapshot-every-records", "1000"])?;
    println!("recovery log: {EVENTS} events, serving after {:.1}s", replayed.start.as_secs_f64());
    // The first replica leads and stores a snapshot within some seconds.
    runtime.block_on(wait_for_snapshot(&database.url))?;
    drop(replayed);
    let restored = Replica::start(&database.url, None, &[])?;
    let start = restored.start.as_secs_f64();
    println!("recovery snapshot: {EVENTS} events, serving after {start:.1}s");
    drop(restored);
    runtime.block_on(database.drop())
}

async fn wait_for_snapshot(url: &str) -> Result<(), Failure> {
    let client = connect(url).await?;
    let stored = "SELECT count(*) FROM snapshots WHERE parts IS NOT NULL";
    while client.query_one(stored, &[]).await?.get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
