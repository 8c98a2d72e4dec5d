//! The configuration: one YAML file, overridden by the environment, read once and checked as a whole.
//!
//! Everything that is wrong is reported at once, each with its line. Nothing below this module reads the environment.

mod checks;
mod document;
mod keys;
mod load;
mod outward;
mod overrides;
mod problem;
mod quote;
mod rules;
mod secrets;
mod shape;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod tests;
mod tree;
mod typed;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

pub use load::{load, load_with_draft, load_without_secrets, schema};
pub use problem::{Place, Problem, Problems};
pub use quote::Quote;
pub use rules::{failing, problems as problems_of_policy};

/// The environment as it was when the process started.
pub type Environment = BTreeMap<String, String>;

/// What an operator may set. A relative path is relative to the folder of the file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where Leaver keeps what is its own: the embedded database, the first admin token, the addresses it bound.
    pub data_dir: PathBuf,
    /// What is served where.
    pub http: Http,
    /// The database. Absent: Leaver starts a PostgreSQL of its own below `data_dir`.
    pub database: Option<Database>,
    /// Where the programs of Leaver's own PostgreSQL come from.
    pub postgres: Postgres,
    /// What carries events. Absent: they stay within this process.
    pub bus: Bus,
    /// What subscribers of the bus are told about people.
    pub publish: Publish,
    /// Where traces go. Absent: nowhere.
    pub traces: Option<Traces>,
    /// The systems that know who may have access, by name: lower-case letters, digits and dashes.
    pub sources: BTreeMap<String, sync_worker::Config>,
    /// The systems in which sessions live, by name: lower-case letters, digits and dashes.
    pub downstreams: BTreeMap<String, revoker::Config>,
    /// The file with the policy. Absent: the built-in one.
    pub policy: Option<PathBuf>,
    /// The file with a draft of the next policy: it is decided beside the policy on every event, does nothing, and is counted
    /// where it differs.
    pub shadow: Option<PathBuf>,
    pub groups: Groups,
    /// Who is never revoked, by userName or e-mail address. For the account that mends everything else.
    pub break_glass: Vec<String>,
    pub hands: Hands,
    /// What stands in the file of `policy`, or the built-in policy.
    #[serde(skip, default = "builtin")]
    pub rules: Arc<policy::Policy>,
    /// What stands in the file of `shadow`.
    #[serde(skip)]
    pub draft: Option<Arc<policy::Policy>>,
}

/// The addresses that are listened on. Port 0 is any free port; `run/<role>.json` below `data_dir` says which.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// SCIM and hooks: what sources call.
    #[schemars(with = "String")]
    pub public: SocketAddr,
    /// How sources reach `public`, where that is not its address: behind a proxy, or in a container. SCIM's `meta.location`
    /// begins with it.
    pub public_url: Option<String>,
    /// The console and the admin API: what people call.
    #[schemars(with = "String")]
    pub admin: SocketAddr,
    /// Health, readiness and metrics.
    #[schemars(with = "String")]
    pub probes: SocketAddr,
}

/// A PostgreSQL, 15 or newer, that somebody else runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub url: Secret,
}

/// For sites where the programs are not installed in the usual places and cannot be downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// The folder that holds `bin/postgres`.
    pub binaries: Option<PathBuf>,
    /// An archive of the programs, as it would have been downloaded.
    pub archive: Option<PathBuf>,
}

/// What joins processes, beside the database.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// A Kafka that somebody else runs. Roles in processes of their own need it, and so do subscribers.
    pub kafka: Option<bus::kafka::Config>,
}

/// What subscribers of the bus are told about people: no names of ours, but those that they know already.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    /// The key of `hmac(...)`. Subscribers that look people up by a hashed name have the same one.
    pub hmac_key: Option<Secret>,
    /// What a subject is called outside, by name: expressions over `identity` and `account("SOURCE")`, in CEL.
    pub subjects: BTreeMap<String, String>,
    /// Lets names and addresses of people onto the bus as they are, which otherwise only `hmac(...)` may.
    pub allow_personal_data: bool,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// A collector for OTLP over HTTP, such as `http://localhost:4318`.
    pub otlp: String,
    /// The share of changes that is traced, from 0 to 1.
    #[serde(default = "all")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub ratio: f64,
}

/// What is said about groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Patterns of display names, such as `prod-*`: to lose such a group ends sessions.
    pub privileged: Vec<String>,
    /// Attributes that make a group as privileged as its name can.
    pub privileged_by: Vec<PrivilegedBy>,
}

/// An attribute of a group, as its source states it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivilegedBy {
    /// Its name, such as `tier`; in an extension of SCIM after the URN: `urn:example:corp:2.0:Group:tier`.
    pub attribute: String,
    /// The values of which one makes the group privileged.
    pub values: Vec<String>,
}

/// What people may do by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hands {
    /// A plan of more rows than this is applied only once two people have approved it. Absent: one is enough.
    pub mass: Option<u64>,
}

impl Config {
    /// The policy and the draft beside it, each with its file; the built-in one has none.
    pub fn policies(&self) -> impl Iterator<Item = (Option<&Path>, &policy::Policy)> {
        let draft = self.draft.as_deref().map(|draft| (self.shadow.as_deref(), draft));
        std::iter::once((self.policy.as_deref(), &*self.rules)).chain(draft)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./leaver-data"),
            http: Http::default(),
            database: None,
            postgres: Postgres::default(),
            bus: Bus::default(),
            publish: Publish::default(),
            traces: None,
            sources: BTreeMap::new(),
            downstreams: BTreeMap::new(),
            policy: None,
            shadow: None,
            groups: Groups::default(),
            break_glass: Vec::new(),
            hands: Hands::default(),
            rules: builtin(),
            draft: None,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { public: local(8470), public_url: None, admin: local(8471), probes: local(0) }
    }
}

fn builtin() -> Arc<policy::Policy> {
    Arc::new(policy::Policy::builtin())
}

fn all() -> f64 {
    1.0
}
