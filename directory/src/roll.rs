//! The roll of a source: whom it was known to have when a snapshot began, and who has answered since.
//!
//! It says without a look into the database who is unchanged, which on most days is nearly everybody, and in the end who was
//! missing. It lives in the worker's memory, with 16 bytes of a digest for a name and as many for what was said of it: about
//! 70 MB for a million. A worker that dies takes it along, and its run with it, which counts for nothing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use lifecycle::{AccountFacts, Standing};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Directory, Error, Result};

type Short = [u8; 16];

/// See the module.
#[derive(Debug, Default)]
pub struct Roll {
    names: HashMap<Short, Entry>,
    /// Of those who were on it from the beginning.
    silent: usize,
}

#[derive(Debug)]
struct Entry {
    content: Short,
    fact: Standing,
    answered: bool,
}

impl Directory {
    /// Everybody whom the source is known to have. Only the source's one worker adds to them or changes what they say, so what
    /// was read stays true for its run; a worker that was overtaken is refused by its fence, in the end at the latest.
    pub async fn roll(&self, source: &str) -> Result<Roll> {
        let mut roll = Roll::default();
        let mut rows = sqlx::query!(
            "SELECT native_id, content_hash, fact FROM directory.accounts WHERE source = $1 AND tombstone IS NULL",
            source
        )
        .fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            let fact = Standing::parse(&row.fact).ok_or_else(|| Error::Inconsistent {
                table: "accounts",
                column: "fact",
                row: row.native_id.clone(),
            })?;
            let entry = Entry { content: short(&row.content_hash), fact, answered: false };
            roll.names.insert(name(&row.native_id), entry);
        }
        roll.silent = roll.names.len();
        Ok(roll)
    }
}

impl Roll {
    /// They have answered. Leaves those in `accounts` of whom something else is said than before, and tells how many others
    /// there were.
    pub fn call(&mut self, accounts: &mut Vec<AccountFacts>, now: DateTime<Utc>) -> u64 {
        let before = accounts.len();
        accounts.retain(|facts| {
            let (content, stated) = (short(&facts.content_hash()), facts.standing_at(now));
            match self.names.get_mut(&name(&facts.native_id)) {
                Some(entry) => {
                    self.silent -= usize::from(!entry.answered);
                    entry.answered = true;
                    let moves = stated != Standing::Unknown && stated != entry.fact;
                    let differs = entry.content != content || moves;
                    entry.content = content;
                    entry.fact = if moves { stated } else { entry.fact };
                    differs
                }
                None => {
                    let entry = Entry { content, fact: stated, answered: true };
                    self.names.insert(name(&facts.native_id), entry);
                    true
                }
            }
        });
        (before - accounts.len()) as u64
    }

    /// They are there, and nothing else is known of them.
    pub fn saw(&mut self, native_ids: &[String]) {
        for native_id in native_ids {
            if let Some(entry) = self.names.get_mut(&name(native_id)).filter(|entry| !entry.answered) {
                entry.answered = true;
                self.silent -= 1;
            }
        }
    }

    /// The accounts of those who have not answered.
    pub(crate) async fn missing(&self, tx: &mut PgConnection, source: &str) -> Result<Vec<Uuid>> {
        let mut missing = Vec::with_capacity(self.silent);
        if self.silent == 0 {
            return Ok(missing);
        }
        let mut rows = sqlx::query!(
            "SELECT id, native_id FROM directory.accounts WHERE source = $1 AND tombstone IS NULL",
            source
        )
        .fetch(tx);
        while let Some(row) = rows.try_next().await? {
            if self.names.get(&name(&row.native_id)).is_some_and(|entry| !entry.answered) {
                missing.push(row.id);
            }
        }
        Ok(missing)
    }
}

fn name(native_id: &str) -> Short {
    short(&Sha256::digest(native_id))
}

/// The beginning of a digest. One that is empty, as of whoever was missing once, is like no other.
fn short(digest: &[u8]) -> Short {
    let mut short = Short::default();
    short.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    short
}
