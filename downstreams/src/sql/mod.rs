#![doc = include_str!("README.md")]

mod cache;
mod client;
mod config;
mod django;
mod laravel;
mod mapping;
mod mysql;
mod refusal;
mod rehearsal;
mod signed;
mod statements;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use crate::{ConfigError, Downstream, Match, SessionKind, Subject};
use cache::Cached;
use client::Client;
use config::Plan;
pub use config::{Cache, Config, Credentials, Layout};
use django::Django;
use statements::{SESSIONS, Statements, Texts};

/// The adapter, not yet connected.
pub fn build(config: &Config, matching: Match) -> Result<Arc<dyn Downstream>, ConfigError> {
    if config.timeout.is_zero() {
        return Err(ConfigError::NoTimeout);
    }
    if mysql::is_meant(config.url.expose()) {
        return mysql::build(config, matching);
    }
    if config.numbers {
        return Err(ConfigError::OnlyThere { key: "numbers", server: mysql::SERVER });
    }
    let plan = config.plan()?;
    let client = Client::new(config.url.expose(), config.timeout)?;
    Ok(match plan {
        Plan::Statements { find, end, verify } => {
            let texts = Texts { verify, begun: config.auth_time.as_deref(), ..sessions(find, end) };
            // We cannot see how the application writes. Many session libraries upsert at the end of a request.
            let statements = Statements::new(client, &[texts], true, matching)?;
            Arc::new(statements.marking(config.recheck.as_deref())?.revoking(config.credentials.as_ref())?)
        }
        Plan::Credentials => {
            Arc::new(Statements::new(client, &[], false, matching)?.revoking(config.credentials.as_ref())?)
        }
        Plan::SpringSessionJdbc { table } => {
            let find = match matching {
                Match::Exact => format!("select primary_id::text from {table} where principal_name = $1"),
                Match::IgnoreCase => {
                    format!("select primary_id::text from {table} where lower(principal_name) = lower($1)")
                }
            };
            // The id in the cookie may change during a session; this one does not. The attributes go with it.
            let end = format!("delete from {table} where primary_id = $2::text::bpchar");
            // The library updates what is there and inserts only what begins.
            Arc::new(Statements::new(client, &[sessions(&find, &end)], false, matching)?)
        }
        Plan::Authjs { table } => {
            // Not `"sessionToken"`: the number names the session as well, and is no credential.
            let of = of_user("\"userId\"", config.users.as_deref())?;
            let find = format!("select id from {table} where {of} and expires > now()");
            let end = format!("delete from {table} where id = $2");
            // The library inserts at a login alone; everything later is an update of a row that is there.
            Arc::new(Statements::new(client, &[sessions(&find, &end)], false, matching)?)
        }
        Plan::Laravel { table, remember } => Arc::new(laravel::build(config, client, &table, remember, matching)?),
        Plan::Django { table } => {
            let cache = config.cache.as_ref().map(|cache| Cached::new(cache, config.timeout, matching)).transpose()?;
            Arc::new(Django::new(client, &table, config.users.as_deref(), cache, matching)?)
        }
    })
}

/// Where a layout keeps its sessions.
fn sessions<'a>(find: &'a str, end: &'a str) -> Texts<'a> {
    Texts { kind: SessionKind::Session, keys: SESSIONS, find, end, verify: find, begun: None }
}

/// That `column` is the id of the user `$1`: who that is says `users`, a statement, or the value itself.
fn of_user(column: &str, users: Option<&str>) -> Result<String, ConfigError> {
    match users {
        None => Ok(format!("{column} = $1")),
        Some(users) if !users.contains("$1") => {
            Err(ConfigError::MissingPlaceholder { statement: "users", placeholder: "$1" })
        }
        Some(users) => Ok(format!("{column} in ({})", users.trim().trim_end_matches(';'))),
    }
}

/// The values to ask for. Ignoring case, the lower-case form besides: the statement does the comparing, so it has to
/// fold its column (`where lower(email) = lower($1)`); where it does not, at least the exact spelling is found.
fn values(subject: &Subject, matching: Match) -> Vec<Cow<'_, str>> {
    let mut values = Vec::new();
    for value in subject.names() {
        for value in [value.into(), matching.fold(value)] {
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    values
}
