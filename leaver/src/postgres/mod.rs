//! Leaver's own PostgreSQL: a real server as a child process, for installations that configure no database.
//!
//! It lives under the data folder, listens only on a private Unix socket, is as durable as any other PostgreSQL (fsync,
//! checksums) and ends with Leaver, however Leaver ends. Linux only.

mod account;
mod archive;
mod binaries;
mod cluster;
mod error;
mod home;
mod lock;
mod log;
mod orphan;
mod postmaster;
mod process;
mod socket;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};

pub use binaries::{Found, OLDEST, Unfit, Version};
pub use error::Error;

use account::Account;
use lock::Lock;
use log::Log;
use process::Process;

/// The role and the database that are Leaver's.
const LEAVER: &str = "leaver";

/// How long the server may take to end its connections and write its last checkpoint.
const STOP: Duration = Duration::from_secs(60);

/// Where the server's programs come from and where its data goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Leaver's data folder; created if missing.
    pub data_dir: PathBuf,
    /// A folder with `bin/postgres` (or `postgres`) that must be used; nothing is searched or downloaded then.
    pub binaries: Option<PathBuf>,
    /// A file to unpack instead of downloading it, for sites without internet: the `.jar` of a release of
    /// <https://github.com/zonkyio/embedded-postgres-binaries> for this system. Goes before what is installed.
    pub archive: Option<PathBuf>,
    /// Where unpacked programs are kept, readable by every account. Without it: `/var/cache/leaver` if Leaver is root,
    /// else `cache` in the data folder.
    pub cache_dir: Option<PathBuf>,
    /// Folders in which an installed `postgres` is looked for, in this order.
    pub search: Vec<PathBuf>,
}

impl Options {
    /// Looks for an installed PostgreSQL where the packages of Debian and PGDG put it, newest first, and in `PATH`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            binaries: None,
            archive: None,
            cache_dir: None,
            search: binaries::installed(),
        }
    }
}

/// A running server. Dropping it asks the server to stop without waiting for that; prefer [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    process: Process,
    url: String,
    cluster: PathBuf,
    version: Version,
    log: Log,
    /// Released last, so that nobody starts on this data folder before the server has been told to stop.
    _locks: [Lock; 2],
}

/// Starts PostgreSQL under `options.data_dir` and returns when the database `leaver` accepts connections.
///
/// The first start makes the cluster (a few seconds; with a download, as long as 15 MB take). Progress is logged at
/// level info. Needs a multi-threaded or current-thread runtime with I/O and time.
///
/// # Errors
///
/// [`Error::InUse`] at once if another Leaver has this data folder; the others tell what to mend. After an error no server
/// is left running.
pub async fn start(options: &Options) -> Result<Server, Error> {
    let data_dir = home::data_dir(&options.data_dir)?;
    let lock = Lock::take(&data_dir)?;
    let existing = home::existing(&data_dir)?;
    let account = Account::choose(existing.as_deref())?;
    let existing_cluster = existing.as_deref().map(cluster::folder);
    let major = existing_cluster.as_deref().map(cluster::major).transpose()?.flatten();
    let cache = options.cache_dir.clone().unwrap_or_else(|| default_cache(&data_dir, &account));
    let found = binaries::find(options, &cache, &account, existing_cluster.as_deref().zip(major)).await?;

    let home = home::settle(&data_dir, existing, &account, &found)?;
    let locks = [lock, Lock::take_home(&home)?];
    let log = Log::open(&data_dir)?;
    let cluster = cluster::ensure(&home, &account, &found, &log).await?;
    let sockets = socket::folder(&home, &account)?;
    let mut process = postmaster::start(&cluster, &sockets, &account, &found, &log).await?;
    if let Err(source) = prepare(&sockets).await {
        process.stop(STOP).await?;
        return Err(Error::Prepare { source });
    }

    tracing::info!(pid = process.pid(), "PostgreSQL {} serves the cluster in {}", found.version, cluster.display());
    let url = socket::url(&sockets, LEAVER, LEAVER);
    Ok(Server { process, url, cluster, version: found.version, log, _locks: locks })
}

impl Server {
    /// The address of the database `leaver`, as its owner: `postgres://leaver@localhost:5432/leaver?host=FOLDER&…`, where
    /// FOLDER holds the socket. Only the account of the server and root can connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder with the data, to be shown at start: as root it may lie outside the data folder.
    pub fn location(&self) -> &Path {
        &self.cluster
    }

    /// The version that runs.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Waits until the server ends by itself, which it should not: the caller then ends Leaver. May be dropped and called
    /// again.
    pub async fn exited(&mut self) -> Result<ExitStatus, Error> {
        self.process.exited().await
    }

    /// Stops the server (PostgreSQL's fast shutdown: open transactions are rolled back) and waits for its end.
    ///
    /// # Errors
    ///
    /// [`Error::Killed`] if that took longer than a minute, [`Error::Exited`] if it ended badly. The next start recovers
    /// everything committed in both cases.
    pub async fn stop(mut self) -> Result<(), Error> {
        let status = self.process.stop(STOP).await?;
        if status.success() {
            return Ok(());
        }
        let (log, tail) = (self.log.path().to_path_buf(), self.log.tail());
        Err(Error::Exited { program: "the PostgreSQL server", status, log, tail })
    }
}

fn default_cache(data_dir: &Path, account: &Account) -> PathBuf {
    if account.is_dropped() { PathBuf::from("/var/cache/leaver") } else { data_dir.join("cache") }
}

/// Creates the role and the database of Leaver where they are missing, as they are if an earlier start was interrupted.
///
/// The role is no superuser. It may create roles because the migrations give each part of Leaver its own.
async fn prepare(sockets: &Path) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(sockets)
        .port(socket::PORT)
        .username(cluster::SUPERUSER)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await?;
    for (exists, create) in [
        ("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", "CREATE ROLE leaver LOGIN CREATEROLE"),
        ("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", "CREATE DATABASE leaver OWNER leaver"),
    ] {
        if !sqlx::query_scalar::<_, bool>(exists).bind(LEAVER).fetch_one(&mut connection).await? {
            sqlx::query(create).execute(&mut connection).await?;
        }
    }
    connection.close().await
}
