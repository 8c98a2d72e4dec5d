//! One running Leaver with everything that a story needs around it, and the checks that follow every story.

mod admin;
mod answer;
mod database;
mod express;
mod frameworks;
mod hr;
mod process;
mod scim;
mod services;
mod sessions;
mod site;
mod waiting;
mod wire;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

pub use admin::Admin;
pub use answer::Answer;
pub use database::Database;
pub use express::{Browser, Express, InFlight};
pub use frameworks::{Application, Framework};
pub use hr::{Person, person};
pub use process::{Output, Process};
pub use scim::Scim;
pub use services::{redis_url, unique};
pub use sessions::Store;
pub use site::{Names, Site, okta, people};
pub use waiting::{SOON, eventually, until};
pub use wire::Wire;

/// How long a start may take: with the embedded database, it creates one.
const START: Duration = Duration::from_secs(90);

/// A Leaver that is up. When it goes and the story has not failed, the ledger must be clean.
pub struct World {
    // Ends before its folder and its database go.
    process: Process,
    site: Site,
    addresses: Addresses,
    ledger_is_checked: bool,
}

/// What it bound, as base URLs.
struct Addresses {
    public: String,
    admin: String,
    probes: String,
}

impl World {
    /// Starts `leaver up` on a database of its own. `yaml` gives what follows `data_dir`, `http` and `database`.
    pub async fn start(yaml: impl FnOnce(&Names) -> String) -> Self {
        Self::at(Site::new(yaml).await).await
    }

    /// The same on Leaver's own embedded PostgreSQL.
    pub async fn start_embedded(yaml: impl FnOnce(&Names) -> String) -> Self {
        Self::at(Site::embedded(yaml)).await
    }

    /// Starts `leaver up` at a site that the story has prepared.
    pub async fn at(site: Site) -> Self {
        let (process, addresses) = up(&site).await;
        Self { process, site, addresses, ledger_is_checked: true }
    }

    /// Runs the program with these arguments and this world's configuration.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        self.site.run(arguments).await
    }

    /// Like [`World::cli`], for what must succeed and answers in JSON.
    pub async fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--output", "json"]].concat()).await;
        output.expect_code(0).json()
    }

    /// Writes the HR file, all of it at once.
    pub fn hr_file(&self, people: &[Person]) {
        hr::write(&self.site.path("people.csv"), people);
    }

    /// Writes the HR file and reads it.
    pub async fn hr(&self, people: &[Person]) -> Output {
        self.hr_file(people);
        self.cli(&["source", "sync", "people"]).await
    }

    /// A SCIM client with the token that the configuration gives to `source`.
    pub fn scim(&self, source: &str) -> Scim {
        self.scim_with(source, &self.site.names().scim_token())
    }

    pub fn scim_with(&self, source: &str, token: &str) -> Scim {
        Scim::new(&format!("{}/scim/v2/{source}", self.addresses.public), token)
    }

    /// The admin API, with the token of the first start.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.addresses.admin, Some(self.admin_token()))
    }

    pub fn admin_with(&self, token: &str) -> Admin {
        Admin::new(&self.addresses.admin, Some(token.to_owned()))
    }

    pub fn admin_without_token(&self) -> Admin {
        Admin::new(&self.addresses.admin, None)
    }

    pub fn admin_token(&self) -> String {
        let path = self.site.path("data/admin.token");
        std::fs::read_to_string(path).expect("the first start writes admin.token").trim().to_owned()
    }

    /// The probes, which need no token.
    pub fn probes(&self) -> Admin {
        Admin::new(&self.addresses.probes, None)
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The sessions of one downstream; those of `web` are also the express application's.
    pub async fn store(&self, downstream: &str) -> Store {
        Store::open(self.site.names(), downstream).await
    }

    /// A real express application on the sessions of `web`.
    pub async fn express(&self) -> Express {
        Express::start(&self.site).await
    }

    /// Everything that the program has printed so far, over all its starts.
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// What its latest start has printed on stdout.
    pub fn stdout(&self) -> Vec<String> {
        self.process.lines()
    }

    /// The identity that `who` names, as `identity show` says.
    pub async fn identity(&self, who: &str) -> Value {
        self.ask(&["identity", "show", who]).await
    }

    pub async fn id_of(&self, who: &str) -> String {
        self.identity(who).await["id"].as_str().expect("an identity has an id").to_owned()
    }

    pub async fn state_of(&self, who: &str) -> String {
        self.identity(who).await["state"].as_str().expect("an identity has a state").to_owned()
    }

    /// The types of all events about `who`, oldest first.
    pub async fn events_of(&self, who: &str) -> Vec<String> {
        let id = self.id_of(who).await;
        let page = self.admin().get(&format!("/api/v1/events?subject={id}&limit=1000")).await.expect_status(200).json();
        page["items"].as_array().expect("a page has items").iter().map(|e| text(&e["type"])).collect()
    }

    /// The receipt of the latest revocation of `who` at `downstream`; null while there is none.
    pub async fn receipt(&self, who: &str, downstream: &str) -> Value {
        let trace = self.admin().get(&format!("/api/v1/identities/{who}/trace")).await.expect_status(200).json();
        let hops = trace["hops"].as_array().expect("a trace has hops");
        let Some(revocation) = hops.iter().find(|h| h["hop"] == "decided").map(|h| text(&h["event_id"])) else {
            return Value::Null;
        };
        let answer = self.admin().get(&format!("/api/v1/revocations/{revocation}")).await;
        if answer.status != 200 {
            return Value::Null;
        }
        let receipts = answer.json()["receipts"].clone();
        receipts
            .as_array()
            .and_then(|all| all.iter().find(|r| r["downstream"] == downstream))
            .cloned()
            .unwrap_or_default()
    }

    /// Waits until the latest revocation of `who` has reached `state` at `downstream`, and returns its receipt.
    pub async fn reached(&self, who: &str, downstream: &str, state: &str) -> Value {
        let what = format!("{who} is {state} at {downstream}");
        until(SOON, &what, async || Some(self.receipt(who, downstream).await).filter(|r| r["state"] == state)).await
    }

    /// Ends the process as a power cut would.
    pub fn kill9(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.reap();
    }

    /// Starts it again, killing what still runs.
    pub async fn restart(&mut self) {
        self.kill9();
        (self.process, self.addresses) = up(&self.site).await;
    }

    /// Asks it to stop, and returns its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.process.signal(Signal::SIGTERM);
        self.process.exit(Duration::from_secs(40), "leaver up ends after SIGTERM").await
    }

    /// For a story that leaves the program down, or the ledger as it must not be.
    pub fn leave_ledger_unchecked(&mut self) {
        self.ledger_is_checked = false;
    }
}

async fn up(site: &Site) -> (Process, Addresses) {
    let mut process = site.up();
    eventually(START, "leaver up is ready", async || process.has_ended() || process.printed("ready")).await;
    assert!(!process.has_ended(), "leaver up ended instead of becoming ready");
    let run = std::fs::read(site.path("data/run/up.json")).expect("a started leaver writes run/up.json");
    let run: Value = serde_json::from_slice(&run).expect("run/up.json is JSON");
    let url = |key: &str| format!("http://{}", text(&run[key]));
    let addresses = Addresses { public: url("public"), admin: url("admin"), probes: url("probes") };
    (process, addresses)
}

/// The string in a JSON value.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string was expected, not {value}")).to_owned()
}

impl Drop for World {
    fn drop(&mut self) {
        let told = std::thread::panicking() || !self.ledger_is_checked;
        let check = (!told).then(|| self.site.run_blocking(&["ledger", "check"]));
        // A graceful end also stops an embedded database, which would otherwise outlive the world.
        if self.site.is_embedded() {
            self.process.signal(Signal::SIGTERM);
            self.process.reap();
        }
        if let Some(check) = check.filter(|c| c.code != Some(0)) {
            panic!("the ledger is not clean after the story\n{check}");
        }
    }
}
