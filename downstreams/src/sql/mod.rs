#![doc = include_str!("README.md")]

mod cache;
mod client;
mod config;
mod django;
mod laravel;
mod mapping;
mod refusal;
mod rehearsal;
mod signed;
mod statements;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use lifecycle::Action;

use crate::{ConfigError, Downstream, Match, SessionKind, Subject};
use cache::Cached;
use client::Client;
use config::Plan;
pub use config::{Cache, Config, Layout};
use django::Django;
use statements::{Statements, Texts};

const ACTIONS: &[Action] = &[Action::RevokeSessions, Action::Lock];

/// Of a store that also keeps what signs a user in again.
const WITH_REFRESH: &[Action] = &[Action::RevokeSessions, Action::RevokeRefresh, Action::Lock];

/// The adapter, not yet connected.
pub fn build(config: &Config, matching: Match) -> Result<Arc<dyn Downstream>, ConfigError> {
    if config.timeout.is_zero() {
        return Err(ConfigError::NoTimeout);
    }
    let plan = config.plan()?;
    let client = Client::new(config.url.expose(), config.timeout)?;
    Ok(match plan {
        Plan::Statements { find, end, verify } => {
            let texts = Texts { kind: SessionKind::Session, find, end, verify, auth_time: config.auth_time.as_deref() };
            // We cannot see how the application writes. Many session libraries upsert at the end of a request.
            Arc::new(Statements::new(client, &[texts], true, matching)?)
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
    Texts { kind: SessionKind::Session, find, end, verify: find, auth_time: None }
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
