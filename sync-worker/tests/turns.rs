//! Two sync workers over one database: each source has one reader at a time, and a request is answered once, by whoever reads.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Directory, RequestKind, Role, SourceRules, Sources, Wake};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sync_worker::{Hops, Metrics, SyncWorker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(20);

/// A database and a file of two people.
struct Site {
    admin: String,
    name: String,
    url: String,
    folder: tempfile::TempDir,
}

/// A sync worker at work.
struct Worker {
    directory: Directory,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Site {
    async fn new() -> Self {
        let admin = std::env::var("LEAVER_TEST_DATABASE_URL").unwrap_or_else(|_| {
            panic!("LEAVER_TEST_DATABASE_URL is not set: run make services and source the file that it names")
        });
        let name = format!("leaver_test_{}", Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&admin).await.unwrap();
        server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let url = format!("{}/{name}", admin.rsplit_once('/').unwrap().0);
        directory::migrate(&url).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let people = "employeeNumber,userName,status\n1,ana,active\n2,ben,active\n";
        std::fs::write(folder.path().join("people.csv"), people).unwrap();
        Self { admin, name, url, folder }
    }

    async fn directory(&self, role: Role) -> Directory {
        let rules = SourceRules {
            kind: "csv".to_owned(),
            correlate: vec!["employeeNumber".to_owned()],
            authority: vec!["lifecycle".to_owned()],
            ignores_lifecycle: false,
        };
        let sources = Arc::new(Sources::new([("people".to_owned(), rules)].into(), &[]).unwrap());
        // Its own bells: as in a process of its own.
        Directory::connect(&self.url, role, 4, sources, Wake::default()).await.unwrap()
    }

    async fn worker(&self, name: &str, schedule: Option<&str>) -> Worker {
        let directory = self.directory(Role::Sync).await;
        directory.register_sources().await.unwrap();
        let config = config(self.folder.path(), schedule);
        let metrics = Metrics::register(&mut Registry::default(), Hops::new_with_constructor(|| Histogram::new([])));
        let worker = SyncWorker::new(directory.clone(), &config, metrics, name.to_owned()).unwrap();
        let (worker, stop) = (Arc::new(worker), CancellationToken::new());
        let source = worker.pulled["people"].clone();
        let (reader, until) = (worker.clone(), stop.clone());
        let reads = tokio::spawn(async move { reader.follow(source, until).await });
        let until = stop.clone();
        let serves = tokio::spawn(async move { worker.serve_requests(until).await });
        Worker { directory, stop, tasks: vec![reads, serves] }
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let mut owner = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut owner).await.unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let (admin, drop) = (self.admin.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                PgConnection::connect(&admin).await.unwrap().execute(AssertSqlSafe(drop)).await.map(|_| ())
            })
        });
        assert!(dropping.join().is_ok_and(|dropped| dropped.is_ok()), "the database of the test is left behind");
    }
}

impl Worker {
    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
        self.directory.close().await;
    }
}

fn config(folder: &Path, schedule: Option<&str>) -> BTreeMap<String, sync_worker::Config> {
    let path = folder.join("people.csv");
    let mut source = json!({
        "connector": {"type": "csv", "path": path, "key": "employeeNumber", "settle": "0s"},
        "correlate": ["employeeNumber"],
        "authority": ["lifecycle"],
    });
    if let Some(schedule) = schedule {
        source["schedule"] = json!(schedule);
    }
    [("people".to_owned(), serde_json::from_value(source).unwrap())].into()
}

async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_request_waits_for_the_worker_that_has_the_source_and_does_not_fail() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let elsewhere = site.directory(Role::Sync).await;
    assert!(elsewhere.lease("source/people", "elsewhere").await.unwrap());
    let worker = site.worker("here", None).await;

    let sync = console.ask(RequestKind::Sync, &json!({"source": "people"}), "jo").await.unwrap();
    let plan = console.ask(RequestKind::Plan, &json!({"source": "people"}), "jo").await.unwrap();
    // Every worker answers this one at once, and looks at the requests in their order.
    let stray = console.ask(RequestKind::Sync, &json!({"source": "nobody"}), "jo").await.unwrap();
    until("the stray request", async || (console.request(stray).await.unwrap().state == "failed").then_some(())).await;
    worker.directory.wake.requests.ring();
    let again = console.ask(RequestKind::Sync, &json!({"source": "nobody"}), "jo").await.unwrap();
    until("another one", async || (console.request(again).await.unwrap().state == "failed").then_some(())).await;
    for request in [sync, plan] {
        assert_eq!(console.request(request).await.unwrap().state, "new", "it is left to whoever has the source");
    }

    elsewhere.release_lease("source/people", "elsewhere").await.unwrap();
    for request in [sync, plan] {
        let done = until("an answer", async || {
            let request = console.request(request).await.unwrap();
            (request.state != "new").then_some(request)
        })
        .await;
        assert_eq!(done.state, "done", "{:?}", done.result);
    }
    worker.end().await;
    elsewhere.close().await;
    console.close().await;
}

#[tokio::test]
async fn of_two_workers_one_carries_out_a_request() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let workers = [site.worker("one", None).await, site.worker("other", None).await];
    let mut answers: Vec<Value> = Vec::new();
    for _ in 0..5 {
        let id = console.ask(RequestKind::Sync, &json!({"source": "people"}), "jo").await.unwrap();
        workers.iter().for_each(|worker| worker.directory.wake.requests.ring());
        let request = until("an answer", async || {
            let request = console.request(id).await.unwrap();
            (request.state != "new").then_some(request)
        })
        .await;
        assert_eq!(request.state, "done", "{:?}", request.result);
        answers.extend(request.result);
    }
    assert_eq!(answers.len(), 5);
    assert_eq!(site.count("SELECT count(*) FROM working.runs").await, 5, "one run for each request");
    for worker in workers {
        worker.end().await;
    }
    console.close().await;
}

#[tokio::test]
async fn of_two_workers_with_one_schedule_one_reads_each_time() {
    let site = Site::new().await;
    let workers = [site.worker("one", Some("* * * * * *")).await, site.worker("other", Some("* * * * * *")).await];
    until("some ticks", async || (site.count("SELECT count(*) FROM working.runs").await >= 4).then_some(())).await;
    for worker in workers {
        worker.end().await;
    }
    let twice = "SELECT count(*) - count(DISTINCT date_trunc('second', started_at)) FROM working.runs";
    assert_eq!(site.count(twice).await, 0, "at no tick twice");
    assert_eq!(site.count("SELECT count(*) FROM working.runs WHERE outcome = 'failed'").await, 0);
}

#[tokio::test]
async fn a_worker_that_starts_does_not_hide_that_another_one_reads() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let elsewhere = site.directory(Role::Sync).await;
    elsewhere.register_sources().await.unwrap();
    assert!(elsewhere.lease("source/people", "elsewhere").await.unwrap());
    elsewhere.set_source_status("people", "running", None, None, false, false).await.unwrap();
    let state = async || console.source_statuses().await.unwrap()[0].state.clone();

    let note = async |holder: &str| elsewhere.note_start("people", "ok", None, None, holder).await.unwrap();
    note("here").await;
    assert_eq!(state().await, "running");
    note("elsewhere").await;
    assert_eq!(state().await, "ok", "whoever was reading has started anew");

    elsewhere.set_source_status("people", "running", None, None, false, false).await.unwrap();
    elsewhere.release_lease("source/people", "elsewhere").await.unwrap();
    note("here").await;
    assert_eq!(state().await, "ok", "nobody reads it any more");

    let later = chrono::Utc::now() + Duration::from_secs(60);
    elsewhere.set_source_status("people", "backed_off", Some("gone"), Some(later), true, true).await.unwrap();
    note("here").await;
    assert_eq!(state().await, "backed_off", "it is left alone for a while, by every worker");
    elsewhere.close().await;
    console.close().await;
}
