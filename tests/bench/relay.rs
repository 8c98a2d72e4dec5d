//! The relay alone: how fast it empties a backlog onto Kafka, and how long a committed event takes to a reader there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tests::world::{Broker, Postgres, Role, Site, World};
use uuid::Uuid;

use crate::usage::Usage;
use crate::{histogram, micros, row};

/// Events of the backlog, and the bytes of each.
const BACKLOG: i64 = 200_000;
const BYTES: i32 = 500;

/// Events per second that are waited for one by one, and how many.
const PER_SECOND: u32 = 500;
const AWAITED: u32 = 10_000;

/// Writes as an apply does: the event and its pending row in one statement, about a subject of `SUBJECTS`.
const WRITE: &str = "
    WITH draft AS (
        SELECT n, coalesce($5, gen_random_uuid()) AS id, n / $4 + 1 AS version,
               ($6 || lpad(to_hex(n % $4), 12, '0'))::uuid AS subject
        FROM generate_series(0, $1 - 1) AS n
    ), written AS (
        INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
        SELECT id, 'identity', subject, 'identity.updated', version, version - 1, $2, 2, clock_timestamp(),
               rpad('{\"specversion\":\"1.0\",\"id\":\"' || id || '\",\"source\":\"leaver\",\"type\":\"identity.updated\",\"subject\":\"'
                    || subject || '\",\"version\":' || version || ',\"data\":{\"changed\":[\"', $3 - 4, 'x') || '\"]}}'
        FROM draft ORDER BY n RETURNING id
    )
    INSERT INTO ledger.pending (shard, lane, id) SELECT 0, $2, id FROM written";

pub async fn measure() {
    let (broker, postgres) = (Broker::start().await, Postgres::start_durable().await);
    let site = Site::with_postgres(postgres, |names| names.usual() + &names.kafka_at(&broker.address())).await;
    let world = World::apart(site, &[(Role::Console, 1)]).await;
    let pool = PgPoolOptions::new().max_connections(16).connect(world.site().database().url()).await;
    let pool = pool.expect("the database of the world answers");
    drain(&world, &pool).await;
    to_a_reader(&world, &pool, &broker.address()).await;
}

async fn write(pool: &PgPool, count: i64, lane: i16, id: Option<Uuid>, subjects: i64, head: &str) {
    let query = sqlx::query(WRITE).bind(count).bind(lane).bind(BYTES).bind(subjects).bind(id).bind(head);
    query.execute(pool).await.expect("events can be written");
}

async fn drain(world: &World, pool: &PgPool) {
    println!("## Relay: {BACKLOG} events of {BYTES} bytes onto Kafka (acks=all, idempotent)\n");
    println!("| events/s | seconds | CPU-seconds of Leaver | peak memory of Leaver, MiB |\n|---|---|---|---|");
    let console = world.member(Role::Console, 0);
    // A first event makes the topics and the connections.
    write(pool, 1, 1, None, 1, "00000000-0000-4000-8001-").await;
    emptied(pool).await;
    console.pause();
    write(pool, BACKLOG, 1, None, 20_000, "00000000-0000-4000-8002-").await;
    let before = Usage::of(console.process_id());
    let begun = Instant::now();
    console.resume();
    emptied(pool).await;
    let seconds = begun.elapsed().as_secs_f64();
    let used = Usage::of(console.process_id());
    println!(
        "| {:.0} | {seconds:.2} | {:.2} | {} |\n",
        BACKLOG as f64 / seconds,
        used.cpu_seconds - before.cpu_seconds,
        used.peak_mib
    );
}

async fn emptied(pool: &PgPool) {
    let query = "SELECT EXISTS (SELECT FROM ledger.pending)";
    while sqlx::query_scalar::<_, bool>(query).fetch_one(pool).await.expect("pending can be read") {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Another process writes and tells of it after its commit, as sync-workers do.
async fn to_a_reader(world: &World, pool: &PgPool, brokers: &str) {
    let topic = format!("{}.lifecycle.urgent.v1", world.site().names().bus());
    write(pool, 1, 0, None, 1, "00000000-0000-4000-8003-").await;
    emptied(pool).await;
    let reader = Reader::start(brokers, &topic);
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..AWAITED {
        tick.tick().await;
        let (pool, reader) = (pool.clone(), reader.clone());
        tasks.spawn(async move {
            let id = Uuid::new_v4();
            write(&pool, 1, 0, Some(id), 1, &format!("{n:08x}-0000-4000-8004-")).await;
            let committed = Instant::now();
            sqlx::query("NOTIFY leaver_pending").execute(&pool).await.expect("others can be told");
            (committed, id, reader)
        });
    }
    let mut times = histogram();
    let mut late = 0;
    while let Some(done) = tasks.join_next().await {
        let (committed, id, reader) = done.expect("no write fails");
        match reader.read_at(id).await {
            Some(at) => times.saturating_record(micros(at.saturating_duration_since(committed))),
            None => late += 1,
        }
    }
    reader.stop.store(true, Ordering::Relaxed);
    assert_eq!(late, 0, "every event is read");
    println!("## Commit → reader of the topic, {PER_SECOND} events per second, {AWAITED} events, woken by NOTIFY\n");
    println!("| ms | p50 | p99 | max |\n|---|---|---|---|");
    row("committed → read by another process", &times);
    println!();
}

/// A thread that reads a topic from its end on and remembers when each event came.
#[derive(Clone)]
struct Reader {
    seen: Arc<Mutex<HashMap<Uuid, Instant>>>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    fn start(brokers: &str, topic: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", "1")
            .create()
            .expect("a client of Kafka");
        let wait = Duration::from_secs(30);
        let metadata = consumer.fetch_metadata(Some(topic), wait).expect("the broker lists its topics");
        let mut assignment = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            let (_, end) = consumer.fetch_watermarks(topic, partition.id(), wait).expect("a partition has an end");
            assignment.add_partition_offset(topic, partition.id(), Offset::Offset(end)).expect("an offset");
        }
        consumer.assign(&assignment).expect("partitions can be read");
        let reader = Self { seen: Arc::default(), stop: Arc::default() };
        let theirs = reader.clone();
        std::thread::spawn(move || {
            while !theirs.stop.load(Ordering::Relaxed) {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
                let at = Instant::now();
                let body: serde_json::Value =
                    serde_json::from_slice(message.payload().unwrap_or_default()).expect("bodies are JSON");
                let id = body["id"].as_str().and_then(|id| id.parse().ok()).expect("events have ids");
                theirs.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(at);
            }
        });
        reader
    }

    /// When this event was read; `None` if that takes more than 30 s.
    async fn read_at(&self, id: Uuid) -> Option<Instant> {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(at) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
                return Some(*at);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }
}
