//! The same sessions in MariaDB or MySQL: what differs from PostgreSQL is here, and nothing else knows it.
//!
//! Values are `?`, by their order: in `find` and `verify` each is the user, in `end` the last is the session and those before it
//! the user, in `recheck` the last is the instant; in those of credentials likewise. The server does not say what it compares a value with, so the operator does (`numbers`).

mod client;
mod statements;

use std::sync::Arc;

use super::config::{Config, Plan};
use crate::{ConfigError, Downstream, Match, SessionKind};
use client::Client;
use statements::{SESSIONS, Statements, Texts};

/// Whether this is an address of such a server.
pub(super) fn is_meant(url: &str) -> bool {
    url.starts_with("mysql://") || url.starts_with("mariadb://")
}

/// The adapter, not yet connected.
pub(super) fn build(config: &Config, matching: Match) -> Result<Arc<dyn Downstream>, ConfigError> {
    let plan = config.plan()?;
    let client = Client::new(config.url.expose(), config.timeout)?;
    if config.auth_time.is_some() {
        return Err(ConfigError::NotThere { key: "auth_time", server: SERVER });
    }
    if config.credentials.as_ref().is_some_and(|credentials| credentials.issued_at.is_some()) {
        return Err(ConfigError::NotThere { key: "issued_at", server: SERVER });
    }
    let (users, numbers) = (config.users.as_deref(), config.numbers);
    Ok(match plan {
        Plan::Statements { find, end, verify } => {
            let texts = Texts { verify, ..sessions(find, end) };
            // We cannot see how the application writes. Many session libraries upsert at the end of a request.
            let statements = Statements::new(client, &[texts], numbers, true, matching)?;
            Arc::new(statements.marking(config.recheck.as_deref())?.revoking(config.credentials.as_ref())?)
        }
        Plan::Credentials => {
            Arc::new(Statements::new(client, &[], numbers, false, matching)?.revoking(config.credentials.as_ref())?)
        }
        Plan::SpringSessionJdbc { table } => {
            // As the library's script spells it: here names of tables may heed case.
            let table = if config.table.is_some() { table } else { "SPRING_SESSION".to_owned() };
            let find = match matching {
                // Most collations do not heed case; the first comparison is for the index.
                Match::Exact => format!(
                    "select primary_id from {table} where principal_name = ? \
                     and cast(convert(principal_name using utf8mb4) as binary) = cast(? as binary)"
                ),
                Match::IgnoreCase => format!("select primary_id from {table} where lower(principal_name) = lower(?)"),
            };
            let end = format!("delete from {table} where primary_id = ?");
            // The library updates what is there and inserts only what begins.
            Arc::new(Statements::new(client, &[sessions(&find, &end)], false, false, matching)?)
        }
        Plan::Laravel { table, remember } => {
            let find = format!("select id from {table} where {}", of_user("user_id", users)?);
            let end = format!("delete from {table} where id = ?");
            let remember = remember.unwrap_or_default();
            let of = of_user("id", users)?;
            let find_token = format!("select {HASH} from {remember} where {of} and remember_token <> ''");
            let end_token = format!("update {remember} set remember_token = null where {of} and {HASH} = ?");
            let tokens = Texts { kind: SessionKind::Refresh, ..sessions(&find_token, &end_token) };
            // In the order, and for the reasons, that hold on PostgreSQL.
            let places = [tokens, sessions(&find, &end)];
            let places = if remember.is_empty() { &places[1..] } else { &places };
            // Without `users` what a subject is called is the id, which the framework makes a number.
            Arc::new(Statements::new(client, places, numbers || users.is_none(), true, matching)?)
        }
        Plan::Django { .. } => return Err(ConfigError::NotThere { key: "layout: django", server: SERVER }),
        Plan::Authjs { .. } => return Err(ConfigError::NotThere { key: "layout: authjs", server: SERVER }),
    })
}

pub(super) const SERVER: &str = "MariaDB or MySQL";

/// The token itself never leaves the database: its hash says as well whether it is still the same.
const HASH: &str = "sha2(remember_token, 256)";

fn sessions<'a>(find: &'a str, end: &'a str) -> Texts<'a> {
    Texts { kind: SessionKind::Session, keys: SESSIONS, find, end, verify: find }
}

/// That `column` is the id of the user: who that is says `users`, a statement, or the value itself.
fn of_user(column: &str, users: Option<&str>) -> Result<String, ConfigError> {
    match users {
        None => Ok(format!("{column} = ?")),
        Some(users) if !users.contains('?') => {
            Err(ConfigError::MissingPlaceholder { statement: "users", placeholder: "?" })
        }
        Some(users) => Ok(format!("{column} in ({})", users.trim().trim_end_matches(';'))),
    }
}
