#![doc = include_str!("README.md")]

pub(crate) mod client;
pub(crate) mod commands;
mod config;
mod ears;
mod follow;
mod indexed;
mod java;
mod layout;
mod learn;
mod mapping;
mod marks;
mod refusal;
mod scan;
mod servers;
mod slots;
mod spring;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::redis::{ErrorKind, RedisError};

use crate::{ConfigError, Downstream, Match, entries::Entries};
use client::Client;
use config::Plan;
pub use config::{Config, Layout, Tls};
use indexed::Indexed;
use mapping::Template;
use scan::{Format, Scan};

/// An id that no session has.
const NO_SESSION: &str = "leaver:probe";

/// The adapter, not yet connected.
pub fn build(config: &Config, matching: Match) -> Result<Arc<dyn Downstream>, ConfigError> {
    let plan = config.plan(matching)?;
    let entries = config.session_index.then(|| Entries::new(matching));
    let marks = config.marks(matching)?;
    let client = Client::of(config.url.expose(), config.tls.as_ref(), config.timeout, config.lookup()?)?;
    Ok(match plan {
        Plan::ConnectRedis { prefix, path } => {
            let (key, format) = (Template::new(prefix, ""), Format::Json(path));
            Arc::new(Scan { client, key, format, matching, entries, marks })
        }
        Plan::FlaskSession { prefix, path } => {
            let (key, format) = (Template::new(prefix, ""), Format::MessagePack(path));
            Arc::new(Scan { client, key, format, matching, entries, marks })
        }
        Plan::SpringPlain { namespace } => {
            let key = spring::Keys::of(&namespace).session;
            Arc::new(Scan { client, key, format: Format::Spring, matching, entries, marks })
        }
        Plan::SpringIndexed { namespace } => Arc::new(Indexed::new(
            client,
            layout::Layout::Spring(spring::Keys::of(&namespace)),
            matching,
            entries,
            marks,
        )),
        Plan::Generic { index, session } => {
            Arc::new(Indexed::new(client, layout::Layout::Generic { index, session }, matching, entries, marks))
        }
    })
}

/// The store is not what the configuration says: the revoker treats it as a refusal.
fn rejected(why: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, why).into()
}
