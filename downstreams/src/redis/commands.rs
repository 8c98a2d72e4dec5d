//! The commands that we send: to one server, or each to the node of a cluster that has its key.
//!
//! No command of ours spans keys where there are slots, so the keys of one user may lie anywhere.

use std::{collections::BTreeMap, sync::Arc};

use ::redis::{Arg, Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection, cmd};
use futures::future::try_join_all;

use super::slots::Slots;

/// The servers that hold the keys, signed in to.
#[derive(Clone)]
pub(crate) struct Redis {
    /// More than one in a cluster only.
    nodes: Arc<[MultiplexedConnection]>,
    slots: Option<Arc<Slots>>,
}

impl Redis {
    /// One server, or in a cluster the primaries in the order in which `slots` numbers them.
    pub(super) fn of(servers: Vec<MultiplexedConnection>, slots: Option<Arc<Slots>>) -> Self {
        Self { nodes: servers.into(), slots }
    }

    /// Each server as if it were alone.
    pub(super) fn each(&self) -> impl Iterator<Item = Redis> {
        self.nodes.iter().map(|node| Self { nodes: [node.clone()].into(), slots: None })
    }
}

/// Where a walk over all keys is: it goes over one primary after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    node: usize,
    at: u64,
}

impl Cursor {
    pub(super) const START: Cursor = Cursor { node: 0, at: 0 };
}

/// Keys asked for, read or deleted at a time: few round trips, and no pause that other clients of the server would
/// feel.
pub(crate) const PAGE: usize = 1000;

/// One page of the keys that fit `pattern` and are of that type, if any, and where to go on; `None` after the last. A
/// key may be returned more than once.
pub(super) async fn scan(
    redis: &Redis,
    pattern: &str,
    kind: Option<&str>,
    cursor: Cursor,
) -> Result<(Option<Cursor>, Vec<Vec<u8>>), RedisError> {
    let mut order = cmd("SCAN");
    order.arg(cursor.at).arg("MATCH").arg(pattern).arg("COUNT").arg(PAGE);
    if let Some(kind) = kind {
        order.arg("TYPE").arg(kind);
    }
    let (at, keys): (u64, _) = order.query_async(&mut redis.nodes[cursor.node].clone()).await?;
    let next = match at {
        0 => Cursor { node: cursor.node + 1, at },
        _ => Cursor { at, ..cursor },
    };
    Ok(((next.node < redis.nodes.len()).then_some(next), keys))
}

/// Some of the keys that fit: enough to judge by, of as much of the store as may be walked over for that.
pub(super) async fn sample(redis: &Redis, pattern: &str, kind: Option<&str>) -> Result<Vec<Vec<u8>>, RedisError> {
    let (mut cursor, mut sample) = (Some(Cursor::START), Vec::new());
    for _ in 0..20 {
        let Some(at) = cursor.filter(|_| sample.len() < PAGE / 10) else { break };
        let (next, keys) = scan(redis, pattern, kind, at).await?;
        sample.extend(keys);
        cursor = next;
    }
    sample.sort();
    sample.dedup();
    Ok(sample)
}

/// The answers to all commands, in their order, unless one of them is a refusal. Each has one key.
pub(crate) async fn ask(redis: &Redis, commands: Pipeline) -> Result<Vec<Value>, RedisError> {
    let Some(slots) = &redis.slots else { return ask_one(&redis.nodes[0], commands).await };
    let mut parts: BTreeMap<usize, (Vec<usize>, Pipeline)> = BTreeMap::new();
    for (place, command) in commands.cmd_iter().enumerate() {
        let (places, part) = parts.entry(slots.node(key(command))).or_default();
        places.push(place);
        part.add_command(command.clone());
    }
    let (nodes, parts): (Vec<usize>, Vec<_>) = parts.into_iter().unzip();
    let (places, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let answers =
        try_join_all(nodes.into_iter().zip(parts).map(|(node, part)| ask_one(&redis.nodes[node], part))).await?;
    let mut ordered = vec![Value::Nil; commands.len()];
    for (place, answer) in places.into_iter().flatten().zip(answers.into_iter().flatten()) {
        ordered[place] = answer;
    }
    Ok(ordered)
}

async fn ask_one(server: &MultiplexedConnection, mut commands: Pipeline) -> Result<Vec<Value>, RedisError> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    // Otherwise the library would answer with an error of its own, without the server's code.
    let answers: Vec<Result<Value, RedisError>> = commands.ignore_errors().query_async(&mut server.clone()).await?;
    answers.into_iter().collect()
}

/// The key of a command: its first argument, but for a script.
fn key(command: &Cmd) -> &[u8] {
    let argument = |at| match command.args_iter().nth(at) {
        Some(Arg::Simple(argument)) => argument,
        _ => &[],
    };
    match argument(0) {
        b"EVAL" => argument(3),
        _ => argument(1),
    }
}

/// The values of `keys`, in their order; `Nil` for what is gone by now or is no string.
pub(super) async fn read(redis: &Redis, keys: &[Vec<u8>]) -> Result<Vec<Value>, RedisError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    if redis.slots.is_none() {
        return cmd("MGET").arg(keys).query_async(&mut redis.nodes[0].clone()).await;
    }
    // Not GET, which refuses what is no string.
    let mut commands = Pipeline::with_capacity(keys.len());
    for key in keys {
        commands.cmd("MGET").arg(key);
    }
    let alone = |answer| match answer {
        Value::Array(mut values) => values.pop().unwrap_or(Value::Nil),
        other => other,
    };
    Ok(ask(redis, commands).await?.into_iter().map(alone).collect())
}

/// Deletes `keys` and says how many were there.
pub(crate) async fn unlink(redis: &Redis, keys: impl Iterator<Item = String>) -> Result<u64, RedisError> {
    if redis.slots.is_none() {
        let mut order = cmd("UNLINK");
        for key in keys {
            order.arg(key);
        }
        return order.query_async(&mut redis.nodes[0].clone()).await;
    }
    let mut commands = Pipeline::new();
    for key in keys {
        commands.cmd("UNLINK").arg(key);
    }
    let answers = ask(redis, commands).await?;
    answers.iter().map(::redis::from_redis_value_ref::<u64>).sum::<Result<u64, _>>().map_err(Into::into)
}

/// What the server, or the first of them, says of itself: lines of `name:value`.
pub(super) async fn info(redis: &Redis) -> Result<String, RedisError> {
    cmd("INFO").arg("server").query_async(&mut redis.nodes[0].clone()).await
}

/// A setting of the server, or the first of them; `None` where it knows none of that name.
pub(super) async fn setting(redis: &Redis, name: &str) -> Result<Option<String>, RedisError> {
    let answer: Vec<String> = cmd("CONFIG").arg("GET").arg(name).query_async(&mut redis.nodes[0].clone()).await?;
    Ok(answer.into_iter().nth(1))
}
