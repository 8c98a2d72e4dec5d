//! What an operator may set for a session store in Redis.

use std::{path::PathBuf, time::Duration};

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    mapping::{Path, Template},
    marks::Marks,
    servers::Lookup,
    slots::Address,
};
use crate::{ConfigError, Match};

/// A session store in Redis, Valkey, or what speaks their protocol.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `redis://[USER][:PASSWORD@]HOST[:PORT][/DB]`; `rediss://` with TLS, `unix://PATH` for a socket.
    pub url: Secret,

    /// Whom a server with TLS has to be vouched for by. Absent: by the authorities that this machine trusts.
    #[serde(default)]
    pub tls: Option<Tls>,

    /// Nodes of a Redis Cluster, beside the one of `url`, to learn the others from: `HOST:PORT`. `[]` if there are no more.
    #[serde(default)]
    pub cluster: Option<Vec<String>>,

    /// Sentinels, beside the one of `url`, to learn the primary from: `HOST:PORT`.
    #[serde(default)]
    pub sentinels: Option<Vec<String>>,

    /// The name of the primary at the Sentinels. With it, the address of `url` is one of them, and its login the primary's.
    #[serde(default)]
    pub master: Option<String>,

    /// The password of the Sentinels, if they have one.
    #[serde(default)]
    pub sentinel_password: Option<Secret>,

    /// Which library writes the sessions.
    pub layout: Layout,

    /// What the keys of sessions begin with. connect-redis: `sess:` if absent; flask-session: `session:`.
    #[serde(default)]
    pub prefix: Option<String>,

    /// Where in a session the user stands: names with dots between them, such as `passport.user`. A string or a
    /// number. connect-redis: required; flask-session: `_user_id` if absent.
    #[serde(default)]
    pub path: Option<String>,

    /// spring-session: its `redisNamespace`, `spring:session` if absent.
    #[serde(default)]
    pub namespace: Option<String>,

    /// spring-session: whether its repository is the indexed one (`repository-type: indexed`). `true` if absent.
    #[serde(default)]
    pub indexed: Option<bool>,

    /// generic: the key of the set of a user's session ids, such as `user:{subject}:sessions`.
    #[serde(default)]
    pub index: Option<String>,

    /// generic: the key of a session, such as `session:{id}`.
    #[serde(default)]
    pub session: Option<String>,

    /// Whether to keep an index of the sessions by user, in memory, where the layout has none; or, where it has one and `match` is
    /// `ignore_case`, of the spellings in it. Needs further rights, and notifications of the server to be quick.
    #[serde(default)]
    pub session_index: bool,

    /// Where the application looks whether a user is to be asked again who it is. Absent: it does not look.
    #[serde(default)]
    pub recheck: Option<Recheck>,

    /// The longest wait for any one answer, such as `5s`. A scan is many answers.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

/// How the server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A file with the certificates, in PEM, of the authorities that may vouch for the server; no others are trusted.
    pub ca: PathBuf,
}

/// A key that the application compares its sessions with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recheck {
    /// The key of a user, such as `recheck:{user}`. Its value is an instant in milliseconds since 1970.
    pub key: String,
}

/// How sessions are laid out in the keys of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// express-session with connect-redis: one string per session, `<prefix><session id>`, JSON.
    ConnectRedis,
    /// Flask-Session: one string per session, `<prefix><session id>`, MessagePack or JSON.
    FlaskSession,
    /// Spring Session Data Redis: one hash per session, and with `indexed` a set of them per user.
    SpringSession,
    /// One key per session, and a set of session ids per user.
    Generic,
}

/// A layout with all that it needs.
pub(super) enum Plan {
    ConnectRedis { prefix: String, path: Path },
    FlaskSession { prefix: String, path: Path },
    SpringPlain { namespace: String },
    SpringIndexed { namespace: String },
    Generic { index: Template, session: Template },
}

impl Config {
    pub(crate) fn check(&self, matching: Match) -> Result<(), ConfigError> {
        self.lookup()?;
        self.marks(matching)?;
        self.plan(matching).map(drop)
    }

    /// # Errors
    /// If the key is the same for everybody.
    pub(super) fn marks(&self, matching: Match) -> Result<Option<Marks>, ConfigError> {
        let Some(Recheck { key }) = &self.recheck else { return Ok(None) };
        Ok(Some(Marks { key: Template::parse("recheck.key", key, "{user}")?, matching }))
    }

    /// # Errors
    /// If it cannot be both, or an address is none.
    pub(super) fn lookup(&self) -> Result<Lookup, ConfigError> {
        let others = |key, written: &Option<Vec<String>>| -> Result<Vec<Address>, ConfigError> {
            written.iter().flatten().map(|other| address(other).ok_or(ConfigError::Address { key })).collect()
        };
        match (&self.master, &self.cluster) {
            (Some(_), Some(_)) => Err(ConfigError::Both { one: "cluster", other: "master" }),
            (Some(master), None) => Ok(Lookup::Sentinel {
                others: others("sentinels", &self.sentinels)?,
                master: master.clone(),
                password: self.sentinel_password.as_ref().map(|password| password.expose().to_owned()),
            }),
            (None, _) if self.sentinels.is_some() => Err(ConfigError::Needs { key: "sentinels", other: "master" }),
            (None, _) if self.sentinel_password.is_some() => {
                Err(ConfigError::Needs { key: "sentinel_password", other: "master" })
            }
            (None, Some(_)) => Ok(Lookup::Cluster { others: others("cluster", &self.cluster)? }),
            (None, None) => Ok(Lookup::Here),
        }
    }

    /// # Errors
    /// If the layout lacks a key, or has one that means nothing to it: it would be passed over in silence.
    pub(super) fn plan(&self, matching: Match) -> Result<Plan, ConfigError> {
        let (layout, used): (_, &[&str]) = match self.layout {
            Layout::ConnectRedis => ("connect-redis", &["prefix", "path", "session_index"]),
            Layout::FlaskSession => ("flask-session", &["prefix", "path", "session_index"]),
            Layout::SpringSession => ("spring-session", &["namespace", "indexed", "session_index"]),
            Layout::Generic => ("generic", &["index", "session", "session_index"]),
        };
        let set = [
            ("prefix", self.prefix.is_some()),
            ("path", self.path.is_some()),
            ("namespace", self.namespace.is_some()),
            ("indexed", self.indexed.is_some()),
            ("index", self.index.is_some()),
            ("session", self.session.is_some()),
            ("session_index", self.session_index),
        ];
        if let Some((key, _)) = set.into_iter().find(|(key, set)| *set && !used.contains(key)) {
            return Err(ConfigError::Stray { key, layout });
        }
        let has_one = match self.layout {
            Layout::ConnectRedis | Layout::FlaskSession => false,
            Layout::SpringSession => self.indexed != Some(false),
            Layout::Generic => true,
        };
        if self.session_index && has_one && matching == Match::Exact {
            return Err(ConfigError::Needs { key: "session_index", other: "match: ignore_case" });
        }
        let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
        let need = |value: &Option<String>, key| value.clone().ok_or(ConfigError::Missing { key, layout });
        Ok(match self.layout {
            Layout::ConnectRedis => {
                Plan::ConnectRedis { prefix: or(&self.prefix, "sess:"), path: Path::parse(&need(&self.path, "path")?)? }
            }
            Layout::FlaskSession => Plan::FlaskSession {
                prefix: or(&self.prefix, "session:"),
                path: Path::parse(&or(&self.path, "_user_id"))?,
            },
            Layout::SpringSession => {
                let namespace = or(&self.namespace, "spring:session");
                match self.indexed.unwrap_or(true) {
                    true => Plan::SpringIndexed { namespace },
                    false => Plan::SpringPlain { namespace },
                }
            }
            Layout::Generic => Plan::Generic {
                index: Template::parse("index", &need(&self.index, "index")?, "{subject}")?,
                session: Template::parse("session", &need(&self.session, "session")?, "{id}")?,
            },
        })
    }
}

/// `HOST:PORT`; an address of IPv6 is in brackets.
fn address(written: &str) -> Option<Address> {
    let (host, port) = written.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.or((!host.contains([':', '/', '@'])).then_some(host)).filter(|host| !host.is_empty())?;
    Some((host.to_owned(), port.parse().ok()?))
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
