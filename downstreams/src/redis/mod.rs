#![doc = include_str!("README.md")]

pub(crate) mod client;
pub(crate) mod commands;
mod config;
mod indexed;
mod java;
mod layout;
mod mapping;
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
use lifecycle::Action;

use crate::{ConfigError, Downstream, Match};
use client::Client;
use config::Plan;
pub use config::{Config, Layout, Tls};
use indexed::Indexed;
use mapping::Template;
use scan::{Format, Scan};

const ACTIONS: &[Action] = &[Action::RevokeSessions, Action::Lock];

/// An id that no session has.
const NO_SESSION: &str = "leaver:probe";

/// The adapter, not yet connected.
pub fn build(config: &Config, matching: Match) -> Result<Arc<dyn Downstream>, ConfigError> {
    let plan = config.plan()?;
    let client = Client::of(config.url.expose(), config.tls.as_ref(), config.timeout, config.lookup()?)?;
    Ok(match plan {
        Plan::ConnectRedis { prefix, path } => {
            Arc::new(Scan { client, key: Template::new(prefix, ""), format: Format::Json(path), matching })
        }
        Plan::FlaskSession { prefix, path } => {
            Arc::new(Scan { client, key: Template::new(prefix, ""), format: Format::MessagePack(path), matching })
        }
        Plan::SpringPlain { namespace } => {
            let key = spring::Keys::of(&namespace).session;
            Arc::new(Scan { client, key, format: Format::Spring, matching })
        }
        Plan::SpringIndexed { namespace } => {
            Arc::new(Indexed::new(client, layout::Layout::Spring(spring::Keys::of(&namespace)), matching))
        }
        Plan::Generic { index, session } => {
            Arc::new(Indexed::new(client, layout::Layout::Generic { index, session }, matching))
        }
    })
}

/// The store is not what the configuration says: the revoker treats it as a refusal.
fn rejected(why: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, why).into()
}
