//! A place to run Leaver: a folder with its configuration, its secrets, and a database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::services::{binary, kafka_brokers, redis_url, unique};
use super::{Database, Output, Postgres, Topics, process, sentinel, sessions};

/// A source in which HR's file says who is here; read on request only. `more` are further keys, each after a comma.
pub fn people(more: &str) -> String {
    let connector = "{ type: csv, path: people.csv, key: employeeNumber, settle: 0s }";
    let words = "correlate: [employeeNumber, userName], authority: [lifecycle, manager]";
    format!("{{ connector: {connector}, {words}{more} }}")
}

/// A source that pushes by SCIM; `more` as for [`people`].
pub fn okta(more: &str) -> String {
    format!(
        "{{ connector: {{ type: scim, tokens: [\"env:SCIM_TOKEN\"] }}, correlate: [employeeNumber, userName]{more} }}"
    )
}

/// What a story's configuration may name.
#[derive(Debug)]
pub struct Names {
    unique: String,
    /// The brokers that the configuration names.
    brokers: OnceLock<String>,
}

impl Names {
    fn new() -> Self {
        Self { unique: unique(), brokers: OnceLock::new() }
    }

    /// A downstream: the sessions of the express application, swept twice within a second.
    pub fn web(&self) -> String {
        self.redis("web", &redis_url(), "[200ms, 1s]")
    }

    /// A downstream with sessions in Redis.
    pub fn redis(&self, downstream: &str, url: &str, sweeps: &str) -> String {
        let prefix = self.prefix(downstream);
        format!(
            "{{ adapter: {{ type: redis, url: \"{url}\", layout: connect-redis, prefix: \"{prefix}\", path: passport.user }}, \
             subject: identity.userName, sweeps: {sweeps} }}"
        )
    }

    /// The same with a session index beside it.
    pub fn redis_with_index(&self, downstream: &str, url: &str, sweeps: &str) -> String {
        self.redis(downstream, url, sweeps).replacen("layout:", "session_index: true, layout:", 1)
    }

    /// The same where the Sentinel at `url` tells which Redis is the primary.
    pub fn redis_by_sentinel(&self, downstream: &str, url: &str, sweeps: &str) -> String {
        let master = format!("master: {}, layout:", sentinel::MASTER);
        self.redis(downstream, url, sweeps).replacen("layout:", &master, 1)
    }

    /// What the keys of a downstream begin with.
    pub fn prefix(&self, downstream: &str) -> String {
        format!("{}{downstream}:", self.everything())
    }

    /// What all keys of the world begin with.
    fn everything(&self) -> String {
        format!("test:{}:", self.unique)
    }

    /// The bearer token that the configuration gives to the pushing source.
    pub fn scim_token(&self) -> String {
        format!("scim-{}", self.unique)
    }

    /// A bus over the shared Kafka, with topics and groups of the world's own.
    pub fn kafka(&self) -> String {
        self.kafka_at(&kafka_brokers())
    }

    /// The same over `brokers`.
    pub fn kafka_at(&self, brokers: &str) -> String {
        let brokers = self.brokers.get_or_init(|| brokers.to_owned());
        let name = self.bus();
        format!("bus: {{ kafka: {{ brokers: \"{brokers}\", prefix: {name}, group: {name} }} }}\n")
    }

    /// What the names of topics and groups begin with.
    pub fn bus(&self) -> String {
        format!("test-{}", self.unique)
    }

    /// What is on the bus.
    ///
    /// # Panics
    /// Without [`Names::kafka`].
    pub fn topics(&self) -> Topics {
        Topics::new(self.brokers.get().expect("the configuration has a Kafka"), &self.bus())
    }

    /// What most stories need: both sources, and one downstream.
    pub fn usual(&self) -> String {
        format!("sources:\n  people: {}\n  okta: {}\ndownstreams:\n  web: {}\n", people(""), okta(""), self.web())
    }
}

/// What the configuration says where the database is not embedded.
pub const DATABASE: &str = "database: { url: \"env:DATABASE_URL\" }\n";

pub struct Site {
    // Dropped first: a database goes while its folder is still there.
    database: Option<Database>,
    /// The server of that database, if it is the world's own.
    postgres: Option<Postgres>,
    folder: TempDir,
    names: Names,
    environment: Vec<(&'static str, String)>,
}

impl Site {
    /// `yaml` gives what follows `data_dir`, `http` and `database`.
    pub async fn new(yaml: impl FnOnce(&Names) -> String) -> Self {
        Self::on(Database::create().await, None, yaml)
    }

    /// The same with a PostgreSQL of its own.
    pub async fn with_postgres(postgres: Postgres, yaml: impl FnOnce(&Names) -> String) -> Self {
        Self::on(Database::create_on(&postgres.url()).await, Some(postgres), yaml)
    }

    fn on(database: Database, postgres: Option<Postgres>, yaml: impl FnOnce(&Names) -> String) -> Self {
        let site = Self::of(Some(database), postgres);
        site.configure(&format!("{DATABASE}{}", yaml(&site.names)));
        site
    }

    fn of(database: Option<Database>, postgres: Option<Postgres>) -> Self {
        Self { database, postgres, folder: folder(), names: Names::new(), environment: Vec::new() }
    }

    /// Without a database: Leaver brings its own.
    pub fn embedded(yaml: impl FnOnce(&Names) -> String) -> Self {
        let site = Self::of(None, None);
        site.configure(&yaml(&site.names));
        site
    }

    /// Writes the configuration anew.
    pub fn configure(&self, yaml: &str) {
        let head =
            "data_dir: ./data\nhttp: { public: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", probes: \"127.0.0.1:0\" }\n";
        self.write("leaver.yaml", &format!("{head}{yaml}"));
    }

    /// Sets a variable for every run of the program.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Writes a file beside the configuration.
    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("the world's folder can be written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn is_embedded(&self) -> bool {
        self.database.is_none()
    }

    /// # Panics
    /// With the embedded database, which only Leaver can reach.
    pub fn database(&self) -> &Database {
        self.database.as_ref().expect("this site has a database of the shared server")
    }

    /// # Panics
    /// With a database on the shared server.
    pub fn postgres_mut(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("this site has a PostgreSQL of its own")
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_on(arguments, &self.path("data")).await
    }

    /// The same with another `data_dir`.
    pub async fn run_on(&self, arguments: &[&str], data: &Path) -> Output {
        let output = tokio::process::Command::from(self.command(arguments, data)).kill_on_drop(true).output().await;
        Output::of(output.expect("the program starts"))
    }

    pub(super) fn run_blocking(&self, arguments: &[&str], data: &Path) -> Output {
        Output::of(self.command(arguments, data).output().expect("the program starts"))
    }

    pub(super) fn command(&self, arguments: &[&str], data: &Path) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).arg("-c").arg(self.path("leaver.yaml")).current_dir(self.folder.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEAVER")) {
            command.env_remove(name);
        }
        let database = self.database.as_ref().map_or("", Database::url);
        command.env("SCIM_TOKEN", self.names.scim_token()).env("DATABASE_URL", database).env("NO_COLOR", "1");
        if data != self.path("data") {
            command.env("LEAVER__DATA_DIR", data);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        process::aside(sessions::remove(self.names.everything()));
        // A broker of the story's own goes with everything on it.
        if self.names.brokers.get().is_some_and(|brokers| *brokers == kafka_brokers()) {
            process::aside(self.names.topics().delete());
        }
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}
