//! What an operator may set for sessions in a table of PostgreSQL, MariaDB or MySQL.

use std::time::Duration;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ConfigError, redis::Tls};

/// Sessions in a database of PostgreSQL, MariaDB or MySQL: by a layout that is known, or by the operator's own statements.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?sslmode=verify-full]`, or `mysql://` with `?ssl-mode=VERIFY_IDENTITY`,
    /// where values are `?` instead of `$1` and `$2`.
    pub url: Secret,

    /// Which framework writes the sessions. Absent: `find` and `end` say how to deal with them.
    #[serde(default)]
    pub layout: Option<Layout>,

    /// With a layout, the table of sessions: `django_session`, `spring_session` or `sessions` if absent. `schema.table`
    /// in another schema.
    #[serde(default)]
    pub table: Option<String>,

    /// django, authjs, laravel: selects the ids of the user `$1`, such as `select id from auth_user where username = $1`. Absent:
    /// what the subject is called is the id.
    #[serde(default)]
    pub users: Option<String>,

    /// laravel: the table whose `remember_token` signs a user in again, `users` if absent; `none` where nobody is
    /// remembered.
    #[serde(default)]
    pub remember: Option<String>,

    /// django: the cache before the table, if the engine is `cached_db`.
    #[serde(default)]
    pub cache: Option<Cache>,

    /// Selects the sessions of the user `$1`. The first column is the session id: text, varchar, uuid, int4 or int8.
    #[serde(default)]
    pub find: Option<String>,

    /// Ends the session `$2`; may also use `$1`, the user it was found for.
    #[serde(default)]
    pub end: Option<String>,

    /// Selects what is still there after `end`, in the columns of `find`. Absent: `find`.
    #[serde(default)]
    pub verify: Option<String>,

    /// The column of `find`, a timestamptz, that says when the session's user signed in. Absent: the store does not
    /// know.
    #[serde(default)]
    pub auth_time: Option<String>,

    /// With statements: leaves the mark that who signed in before the instant `$2`, a timestamptz or milliseconds since 1970, is to be
    /// asked again who it is, for the user `$1`. It never moves a mark back. Absent: the application does not look.
    #[serde(default)]
    pub recheck: Option<String>,

    /// What the user comes in with and without a session, such as API keys; beside sessions by statements, or alone.
    #[serde(default)]
    pub credentials: Option<Credentials>,

    /// MariaDB and MySQL: what the user is called is compared with whole numbers.
    #[serde(default)]
    pub numbers: bool,

    /// The longest wait for any one answer, such as `5s`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

/// How sessions are laid out in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `django.contrib.sessions` with the engine `db` or `cached_db`: signed JSON, no column for the user.
    Django,
    /// Spring Session JDBC: a column for the principal's name.
    SpringSessionJdbc,
    /// Auth.js, once NextAuth.js, with sessions in the database by its adapter for PostgreSQL.
    Authjs,
    /// Laravel with `SESSION_DRIVER=database`, and its "remember me".
    Laravel,
}

/// Keys, tokens and the like, by the operator's own statements.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Selects the credentials of the user `$1` that are still good. The first column is the id, as in `find` of sessions: the row's own
    /// key rather than the secret.
    pub find: String,

    /// Revokes the credential `$2`; may also use `$1`, the user it was found for.
    pub revoke: String,

    /// Selects what is still good after `revoke`, in the columns of `find`. Absent: `find`.
    #[serde(default)]
    pub verify: Option<String>,

    /// The column of `find`, a timestamptz, that says when it was issued: one that was issued after the event is spared. Absent: none
    /// is.
    #[serde(default)]
    pub issued_at: Option<String>,
}

/// The cache of Django's `cached_db`, in Redis.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// The `LOCATION` of the cache: `redis://[USER][:PASSWORD@]HOST[:PORT][/DB]`, `rediss://` with TLS.
    pub url: Secret,

    /// Whom a server with TLS has to be vouched for by.
    #[serde(default)]
    pub tls: Option<Tls>,

    /// What keys of sessions begin with: `KEY_PREFIX:VERSION:` of the cache, and the name of the engine.
    #[serde(default = "default_prefix")]
    pub prefix: String,
}

/// Where the statements come from.
pub(super) enum Plan<'c> {
    Statements {
        find: &'c str,
        end: &'c str,
        verify: &'c str,
    },
    /// Credentials, and no sessions.
    Credentials,
    Django {
        table: String,
    },
    SpringSessionJdbc {
        table: String,
    },
    Authjs {
        table: String,
    },
    Laravel {
        table: String,
        remember: Option<String>,
    },
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.plan().map(drop)
    }

    /// # Errors
    /// If something is missing, or would be passed over in silence.
    pub(super) fn plan(&self) -> Result<Plan<'_>, ConfigError> {
        let first = |keys: &[(&'static str, bool)]| keys.iter().find(|(_, set)| *set).map(|(key, _)| *key);
        let statements = [
            ("find", self.find.is_some()),
            ("end", self.end.is_some()),
            ("verify", self.verify.is_some()),
            ("auth_time", self.auth_time.is_some()),
            ("recheck", self.recheck.is_some()),
            ("credentials", self.credentials.is_some()),
        ];
        let of_layouts =
            [("users", self.users.is_some()), ("cache", self.cache.is_some()), ("remember", self.remember.is_some())];
        let Some(layout) = self.layout else {
            if let Some(key) = first(&of_layouts).or(self.table.is_some().then_some("table")) {
                return Err(ConfigError::NoLayout { key });
            }
            let of_sessions = first(&statements[1..5]);
            if let (None, true) = (&self.find, self.credentials.is_some()) {
                return of_sessions.map_or(Ok(Plan::Credentials), |key| Err(ConfigError::Needs { key, other: "find" }));
            }
            let find = self.find.as_deref().ok_or(ConfigError::NoStatement { key: "find" })?;
            let end = self.end.as_deref().ok_or(ConfigError::NoStatement { key: "end" })?;
            return Ok(Plan::Statements { find, end, verify: self.verify.as_deref().unwrap_or(find) });
        };
        if let Some(key) = first(&statements) {
            return Err(ConfigError::LayoutAndStatement { key });
        }
        let (name, used): (_, &[&str]) = match layout {
            Layout::Django => ("django", &["users", "cache"]),
            Layout::SpringSessionJdbc => ("spring-session-jdbc", &[]),
            Layout::Authjs => ("authjs", &["users"]),
            Layout::Laravel => ("laravel", &["users", "remember"]),
        };
        if let Some((key, _)) = of_layouts.into_iter().find(|(key, set)| *set && !used.contains(key)) {
            return Err(ConfigError::Stray { key, layout: name });
        }
        let named = |key, name: &Option<String>, default: &str| {
            Ok(plain(key, name.as_deref())?.unwrap_or_else(|| default.to_owned()))
        };
        let table = |default| named("table", &self.table, default);
        Ok(match layout {
            Layout::Django => Plan::Django { table: table("django_session")? },
            Layout::SpringSessionJdbc => Plan::SpringSessionJdbc { table: table("spring_session")? },
            Layout::Authjs => Plan::Authjs { table: table("sessions")? },
            Layout::Laravel => Plan::Laravel {
                table: table("sessions")?,
                remember: match self.remember.as_deref() {
                    Some("none") => None,
                    _ => Some(named("remember", &self.remember, "users")?),
                },
            },
        })
    }
}

/// A name that becomes part of statements, unquoted as the frameworks' own settings are.
fn plain(key: &'static str, name: Option<&str>) -> Result<Option<String>, ConfigError> {
    let Some(name) = name else { return Ok(None) };
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let parts: Vec<&str> = name.split('.').collect();
    let good = parts.len() <= 2 && parts.iter().all(|part| plain(part));
    good.then(|| Some(name.to_owned())).ok_or(ConfigError::Table { key })
}

fn default_prefix() -> String {
    ":1:django.contrib.sessions.cached_db".into()
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
