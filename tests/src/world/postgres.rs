//! A PostgreSQL of a story's own, which may fall over and come back with its data.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::services::free_port;
use super::{Process, SOON, until};

pub struct Postgres {
    server: Server,
    process: Process,
}

/// What stays the same over its starts.
struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// Who runs it, where that is not us: it refuses to run as root.
    account: Option<User>,
    port: u16,
    /// Whether a commit waits for the disk.
    durable: bool,
}

impl Postgres {
    pub async fn start() -> Self {
        Self::with(false).await
    }

    /// The same with every commit on the disk, as people run it.
    pub async fn start_durable() -> Self {
        Self::with(true).await
    }

    async fn with(durable: bool) -> Self {
        let account = Uid::effective().is_root().then(account);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        if let Some(account) = &account {
            let (user, group) = (account.uid.as_raw(), account.gid.as_raw());
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
        }
        let server = Server { folder, programs: programs(), account, port: free_port(), durable };
        let arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        let initdb = server.command("initdb").args(arguments).output().expect("initdb can be run");
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        let process = server.run().await;
        Self { server, process }
    }

    /// As its superuser.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Ends it as a power cut would, with every connection.
    pub fn kill9(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.reap();
    }

    /// Starts a killed one, on the same port with the same data.
    pub async fn start_again(&mut self) {
        self.process = self.server.run().await;
    }
}

impl Server {
    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // The account may not be able to enter the folder of the tests.
        command.current_dir("/").arg("-D").arg(self.folder.path().join("cluster"));
        if let Some(account) = &self.account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        command
    }

    /// Starts it and waits until it answers. Without `durable`, a commit reaches the kernel, and so survives the process, but
    /// not the disk.
    async fn run(&self) -> Process {
        let launch = || {
            let mut command = self.command("postgres");
            command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            let quick: &[&str] = if self.durable { &[] } else { &["fsync=off", "full_page_writes=off"] };
            for setting in ["unix_socket_directories=", "max_connections=200"].iter().chain(quick) {
                command.args(["-c", setting]);
            }
            Process::start(command, self.folder.path(), "postgres")
        };
        let (mut process, url) = (launch(), self.url());
        until(SOON, "PostgreSQL answers", async || {
            // It refuses to start while a process of a killed one has not noticed yet.
            if process.has_ended() {
                process = launch();
            }
            PgConnection::connect(&url).await.ok()
        })
        .await;
        process
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Told so, it ends its own processes; killed, it would leave that to them.
        if !self.process.has_ended() {
            self.process.signal(Signal::SIGQUIT);
            self.process.reap();
        }
    }
}

/// Somebody who is not root.
fn account() -> User {
    let named = |name| User::from_name(name).expect("accounts can be read");
    named("postgres").or_else(|| named("nobody")).expect("there is an account that is not root")
}

/// Debian keeps the programs out of PATH, one folder per version.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    versions
        .sort_by_key(|folder| folder.parent().and_then(Path::file_name).and_then(|v| v.to_str()?.parse::<u32>().ok()));
    let mut folders = std::env::split_paths(&path).chain(versions.into_iter().rev());
    folders
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .expect("PostgreSQL is installed: scripts/needs packages does it")
}
