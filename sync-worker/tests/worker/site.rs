//! A database of its own and a file of people, with as many sync workers as a test wants.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Directory, Role, SourceRules, SourceStatus, Sources, Wake};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sync_worker::{Hops, Metrics, SyncWorker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(60);

/// Leases that nobody renews last as if somebody did.
pub const FOR_AN_HOUR: &str = "UPDATE working.leases SET until = clock_timestamp() + interval '1 hour'";

/// A database and a file of two people.
pub struct Site {
    admin: String,
    name: String,
    url: String,
    pub folder: tempfile::TempDir,
}

/// A sync worker at work.
pub struct Worker {
    pub directory: Directory,
    registry: Registry,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Site {
    pub async fn new() -> Self {
        let admin = std::env::var("LEAVER_TEST_DATABASE_URL").unwrap_or_else(|_| {
            panic!("LEAVER_TEST_DATABASE_URL is not set: run make services and source the file that it names")
        });
        let name = format!("leaver_test_{}", Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&admin).await.unwrap();
        server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let url = format!("{}/{name}", admin.rsplit_once('/').unwrap().0);
        directory::migrate(&url).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let site = Self { admin, name, url, folder };
        site.write("employeeNumber,userName,status\n1,ana,active\n2,ben,active\n");
        site
    }

    /// What HR exports.
    pub fn write(&self, people: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join("people.csv"), people).unwrap();
    }

    /// Everybody whom the directory knows of a source and who may still do anything, by native id.
    pub async fn active(&self, source: &str) -> Vec<String> {
        let mut owner = PgConnection::connect(&self.url).await.unwrap();
        let active = "SELECT a.native_id FROM directory.accounts a JOIN directory.identities i ON i.id = a.identity_id
                      WHERE a.source = $1 AND i.state = 'active' ORDER BY 1";
        sqlx::query_scalar(active).bind(source).fetch_all(&mut owner).await.unwrap()
    }

    pub async fn directory(&self, role: Role) -> Directory {
        let rules = SourceRules {
            kind: "csv".to_owned(),
            correlate: vec!["employeeNumber".to_owned()],
            authority: vec!["lifecycle".to_owned()],
            ignores_lifecycle: false,
        };
        let corp = SourceRules { kind: "keycloak".to_owned(), ..rules.clone() };
        let rules = [("people".to_owned(), rules), ("corp".to_owned(), corp)].into();
        let sources = Arc::new(Sources::new(rules, &["admins".to_owned()]).unwrap());
        // Its own bells: as in a process of its own.
        Directory::connect(&self.url, role, 4, sources, Wake::default()).await.unwrap()
    }

    pub async fn worker(&self, name: &str, schedule: Option<&str>) -> Worker {
        let directory = self.directory(Role::Sync).await;
        directory.register_sources().await.unwrap();
        let mut registry = Registry::default();
        let worker = self.measured(name, directory.clone(), schedule, &mut registry);
        let stop = CancellationToken::new();
        let source = worker.pulled["people"].clone();
        let (reader, until) = (worker.clone(), stop.clone());
        let reads = tokio::spawn(async move { reader.follow(source, until).await });
        let until = stop.clone();
        let serves = tokio::spawn(async move { worker.serve_requests(until).await });
        Worker { directory, registry, stop, tasks: vec![reads, serves] }
    }

    /// How the people do, as a console tells.
    pub async fn status(&self, console: &Directory) -> SourceStatus {
        let sources = console.source_statuses().await.unwrap();
        sources.into_iter().find(|source| source.name == "people").unwrap()
    }

    /// A sync worker that does only what it is told to.
    pub fn idle(&self, name: &str, directory: Directory, schedule: Option<&str>) -> Arc<SyncWorker> {
        self.measured(name, directory, schedule, &mut Registry::default())
    }

    fn measured(
        &self,
        name: &str,
        directory: Directory,
        schedule: Option<&str>,
        registry: &mut Registry,
    ) -> Arc<SyncWorker> {
        let config = config(self.folder.path(), schedule);
        let metrics = Metrics::register(registry, Hops::new_with_constructor(|| Histogram::new([])));
        Arc::new(SyncWorker::new(directory, &config, metrics, name.to_owned(), None).unwrap())
    }

    /// The database as its owner sees it.
    pub async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Does what no part of Leaver would.
    pub async fn run(&self, sql: &'static str) {
        PgConnection::connect(&self.url).await.unwrap().execute(sql).await.unwrap();
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
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
    /// How often it has read the people to their end.
    pub fn runs(&self) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let runs = text.lines().filter(|line| line.starts_with("leaver_source_runs_total{"));
        runs.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Ends it where it is, as a crash would.
    pub async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            drop(task.await);
        }
    }

    pub async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
        self.directory.close().await;
    }
}

pub fn config(folder: &Path, schedule: Option<&str>) -> BTreeMap<String, sync_worker::Config> {
    let path = folder.join("people.csv");
    let mut source = json!({
        "connector": {"type": "csv", "path": path, "key": "employeeNumber", "settle": "0s"},
        "correlate": ["employeeNumber"],
        "authority": ["lifecycle"],
        // Whatever would end access is held.
        "brake": {"max_disable": "0%", "min": 0},
    });
    if let Some(schedule) = schedule {
        source["schedule"] = json!(schedule);
    }
    [("people".to_owned(), serde_json::from_value(source).unwrap())].into()
}

pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
