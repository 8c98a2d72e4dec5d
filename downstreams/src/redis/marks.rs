//! Marks that applications compare their sessions with: who signed in before the instant is to be asked again who it is.

use ::redis::{Pipeline, RedisError, Value, from_redis_value_ref};

use super::{
    NO_SESSION,
    client::Client,
    commands::{self, PAGE, Redis},
    mapping::Template,
};
use crate::{Error, Mark, Match, Result};

/// Where the marks of one store are.
pub(super) struct Marks {
    /// The key of a user.
    pub(super) key: Template,
    pub(super) matching: Match,
}

/// Moves one mark, never back: whoever is late must not take back what another has said. Answers with the mark as it is.
/// An instant of zero moves nothing.
const MOVE: &str = "\
local there = redis.call('GET', KEYS[1])
local instant = there and tonumber(there)
if there and not instant then return redis.error_reply('ERR the key of a mark holds something else') end
if (instant or 0) >= tonumber(ARGV[1]) then return there or '0' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return ARGV[1]";

/// Which of the commands of [`MOVE`] this login may not run; servers before Redis 7 cannot tell.
const REFUSED: &str = "\
if not redis.acl_check_cmd then return '' end
for _, order in ipairs({{'GET', KEYS[1]}, {'SET', KEYS[1], '1'}, {'PEXPIREAT', KEYS[1], '1'}}) do
  if not redis.acl_check_cmd(unpack(order)) then return order[1] end
end
return ''";

/// Leaves marks where `of` says that they are looked for.
pub(super) async fn leave(client: &Client, of: Option<&Marks>, marks: &[Mark<'_>]) -> Result<()> {
    let of = of.ok_or_else(|| Error::cannot(lifecycle::Action::Recheck))?;
    client.run(|redis| async move { of.leave(&redis, marks).await }).await
}

impl Marks {
    async fn leave(&self, redis: &Redis, marks: &[Mark<'_>]) -> Result<(), RedisError> {
        let mut orders: Vec<(String, i64, i64)> = Vec::new();
        for mark in marks {
            let (before, until) = (mark.milliseconds(), mark.until.timestamp_millis());
            for name in mark.subject.names() {
                // Ignoring case, the application may look for either.
                for name in [name.into(), self.matching.fold(name)] {
                    let order = (self.key.with(&name), before, until);
                    if !orders.contains(&order) {
                        orders.push(order);
                    }
                }
            }
        }
        for page in orders.chunks(PAGE) {
            let mut commands = Pipeline::with_capacity(page.len());
            for (key, before, until) in page {
                commands.cmd("EVAL").arg(MOVE).arg(1).arg(key).arg(*before).arg(*until);
            }
            for ((_, before, _), there) in page.iter().zip(commands::ask(redis, commands).await?) {
                if from_redis_value_ref::<i64>(&there)? < *before {
                    return Err(super::rejected("a mark was not moved"));
                }
            }
        }
        Ok(())
    }

    /// Tries the rights, for nobody, and moves nothing.
    pub(super) async fn rehearse(&self, redis: &Redis) -> Result<(), RedisError> {
        let key = self.key.with(NO_SESSION);
        let mut commands = Pipeline::new();
        commands.cmd("EVAL").arg(REFUSED).arg(1).arg(&key);
        if let [Value::BulkString(refused)] = &commands::ask(redis, commands).await?[..]
            && !refused.is_empty()
        {
            let command = String::from_utf8_lossy(refused).to_lowercase();
            let detail = format!("this user has no permissions to run the '{command}' command");
            return Err(::redis::make_extension_error("NOPERM".into(), Some(detail)));
        }
        // Servers that cannot tell refuse at least to read.
        let mut commands = Pipeline::new();
        commands.cmd("EVAL").arg(MOVE).arg(1).arg(&key).arg(0).arg(0);
        commands::ask(redis, commands).await.map(drop)
    }
}
