//! One process of the program, in one of its roles.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Admin, Process, Site, eventually, text};

/// How long a start may take: with the embedded database, it creates one.
const START: Duration = Duration::from_secs(180);

/// How long a stop may take: what is under way finishes first.
const STOP: Duration = Duration::from_secs(40);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// All of it, in one process.
    Up,
    SyncWorker,
    Revoker,
    Console,
}

impl Role {
    /// The verb that starts it, and the name of its file of addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::SyncWorker => "sync-worker",
            Self::Revoker => "revoker",
            Self::Console => "console",
        }
    }
}

/// What a process bound, as base URLs; each start binds anew.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses {
    pub public: Option<String>,
    pub admin: Option<String>,
    pub probes: String,
}

pub struct Member {
    role: Role,
    name: String,
    /// Where it keeps what is its own.
    data: PathBuf,
    process: Process,
    addresses: Arc<Mutex<Addresses>>,
    runs: bool,
}

impl Member {
    /// Starts the process; it serves once [`Member::ready`] returns.
    pub(super) fn start(site: &Site, role: Role, number: usize) -> Self {
        let (name, data) = match role {
            Role::Up => ("leaver".to_owned(), site.path("data")),
            _ => {
                let name = format!("{}-{number}", role.as_str());
                let data = site.path(&format!("data-{name}"));
                (name, data)
            }
        };
        let process = launch(site, role, &name, &data);
        Self { role, name, data, process, addresses: Arc::default(), runs: true }
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// When it ends instead.
    pub(super) async fn ready(&mut self) {
        let (name, process) = (&self.name, &mut self.process);
        eventually(START, &format!("{name} is ready"), async || process.has_ended() || process.printed("ready")).await;
        assert!(!process.has_ended(), "{name} ended instead of becoming ready");
        let file = self.data.join("run").join(format!("{}.json", self.role.as_str()));
        let run = std::fs::read(&file).unwrap_or_else(|error| panic!("{name} writes {}: {error}", file.display()));
        let run: Value = serde_json::from_slice(&run).expect("the file of addresses is JSON");
        let url = |key: &str| run[key].as_str().map(|address| format!("http://{address}"));
        let probes = format!("http://{}", text(&run["probes"]));
        let addresses = Addresses { public: url("public"), admin: url("admin"), probes };
        *self.addresses.lock().expect("no holder panics") = addresses;
    }

    /// Kills it if it still runs, and starts it again on its data.
    pub(super) async fn start_again(&mut self, site: &Site) {
        self.kill9();
        self.process = launch(site, self.role, &self.name, &self.data);
        self.runs = true;
        self.ready().await;
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it has not been told to end.
    pub fn runs(&self) -> bool {
        self.runs
    }

    /// Where it keeps what is its own.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// How leases name it.
    ///
    /// # Panics
    /// Before it has started once.
    pub fn holder(&self) -> String {
        let id = std::fs::read_to_string(self.data.join("id")).expect("a started process has named its folder");
        format!("{}/{}", id.trim(), self.role.as_str())
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The probes, which need no token.
    pub fn probes(&self) -> Admin {
        Admin::new(&self.addresses().probes, None)
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses.lock().expect("no holder panics").clone()
    }

    /// Where it can be found also after it has been started again.
    pub(super) fn signpost(&self) -> Arc<Mutex<Addresses>> {
        self.addresses.clone()
    }

    /// Everything that it has printed so far, over all its starts.
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// What its latest start has printed on stdout.
    pub fn stdout(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Ends it as a power cut would.
    pub fn kill9(&mut self) {
        self.end_by(Signal::SIGKILL);
    }

    /// Asks it to stop, and returns its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.process.signal(Signal::SIGTERM);
        self.runs = false;
        self.process.exit(STOP, &format!("{} ends after SIGTERM", self.name)).await
    }

    /// Asks it to stop, where nothing can be awaited.
    pub(super) fn end(&mut self) {
        self.end_by(Signal::SIGTERM);
    }

    fn end_by(&mut self, signal: Signal) {
        // Once it has ended, its id may be somebody else's.
        if !self.process.has_ended() {
            self.process.signal(signal);
            self.process.reap();
        }
        self.runs = false;
    }

    /// Stands still from now on, as on a machine that swaps or is being moved; the kernel still answers for its sockets.
    pub fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Whether it has ended, told to or not.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }
}

fn launch(site: &Site, role: Role, name: &str, data: &Path) -> Process {
    Process::start(site.command(&[role.as_str()], data), &site.path(""), name)
}
