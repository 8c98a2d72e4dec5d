//! Spring Session Data Redis: its keys, and how a session of the indexed repository is ended.
//!
//! A session is a hash. To the library it exists while it has a time of creation, and is expired once `lastAccessedTime`
//! plus `maxInactiveInterval` has passed. Deleting the hash of an indexed session is no end: a request in flight writes
//! some of its fields back, and each later request with that cookie fails over what is missing. So we do what
//! `RedisIndexedSessionRepository.deleteById` does: an interval of zero, which no request in flight writes over.

use ::redis::{Pipeline, RedisError, Value};

use super::{
    commands::{self, Redis},
    java,
    mapping::Template,
};

/// The fields of a session that say whether it is one, and whose: the name that an application may have set for the
/// index, which goes before the security context.
pub(super) const FIELDS: [&str; 3] = ["creationTime", "sessionAttr:SPRING_SECURITY_CONTEXT", PRINCIPAL];

const PRINCIPAL: &str =
    "sessionAttr:org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME";

/// A `java.lang.Integer` as `ObjectOutputStream` writes it, up to its four bytes of value.
const INTEGER: &[u8] = b"\xac\xed\x00\x05sr\x00\x11java.lang.Integer\x12\xe2\xa0\xa4\xf7\x81\x878\x02\x00\x01I\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";

/// One session's hash: atomically, as a hash that the application has just deleted must not come into being again.
/// One without a limit never went away by itself; it may now.
const END: &str = "\
local session = redis.call('HMGET', KEYS[1], 'creationTime', 'maxInactiveInterval')
if not session[1] or session[2] == ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'maxInactiveInterval', ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], 300) end
return 1";

/// Which of the commands of [`END`] this login may not run; servers before Redis 7 cannot tell.
const REFUSED: &str = "\
if not redis.acl_check_cmd then return '' end
for _, order in ipairs({{'HMGET', KEYS[1], 'f'}, {'HSET', KEYS[1], 'f', 'v'}, {'TTL', KEYS[1]}, {'EXPIRE', KEYS[1], '1'}}) do
  if not redis.acl_check_cmd(unpack(order)) then return order[1] end
end
return ''";

/// The keys of one store.
pub(super) struct Keys {
    pub(super) index: Template,
    pub(super) session: Template,
    pub(super) expires: Template,
}

impl Keys {
    pub(super) fn of(namespace: &str) -> Self {
        let index = "org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME";
        Self {
            index: Template::new(format!("{namespace}:index:{index}:"), ""),
            session: Template::new(format!("{namespace}:sessions:"), ""),
            expires: Template::new(format!("{namespace}:sessions:expires:"), ""),
        }
    }
}

fn no_time() -> Vec<u8> {
    [INTEGER, &[0; 4]].concat()
}

/// Asks whether a session is live.
pub(super) fn look<'c>(commands: &'c mut Pipeline, key: &str) -> &'c mut Pipeline {
    commands.cmd("HMGET").arg(key).arg(&["creationTime", "maxInactiveInterval"])
}

/// Understands the answer to [`look`].
///
/// # Errors
/// If the application does not write as Java does: we could not end such a session.
pub(super) fn is_live(answer: &Value) -> Result<bool, RedisError> {
    let Value::Array(fields) = answer else { return Ok(false) };
    match &fields[..] {
        [Value::BulkString(_), Value::BulkString(interval)] if interval.starts_with(INTEGER) => {
            Ok(*interval != no_time())
        }
        [Value::BulkString(_), Value::BulkString(_)] => Err(super::rejected(
            "sessions are written by a serializer of the application's own (springSessionDefaultRedisSerializer)",
        )),
        _ => Ok(false),
    }
}

/// Ends a session; answers 1 if it was live.
pub(super) fn end<'c>(commands: &'c mut Pipeline, key: &str) -> &'c mut Pipeline {
    commands.cmd("EVAL").arg(END).arg(1).arg(key).arg(no_time())
}

/// Tries the rights of [`end`] on a key that no session has.
pub(super) async fn probe(redis: &Redis, key: &str) -> Result<(), RedisError> {
    let mut commands = Pipeline::new();
    commands.cmd("EVAL").arg(REFUSED).arg(1).arg(key);
    end(&mut commands, key);
    match &commands::ask(redis, commands).await?[..] {
        [Value::BulkString(refused), _] if !refused.is_empty() => {
            let command = String::from_utf8_lossy(refused).to_lowercase();
            let detail = format!("this user has no permissions to run the '{command}' command");
            Err(::redis::make_extension_error("NOPERM".into(), Some(detail)))
        }
        _ => Ok(()),
    }
}

/// The id of a session in the index.
pub(super) fn id(member: &[u8]) -> Result<String, RedisError> {
    java::text(member).ok_or_else(|| super::rejected("the index has members that are no text serialized by Java"))
}

/// A note, if a store that is said not to be indexed looks as if it were.
pub(super) async fn is_indexed(redis: &Redis, key: &Template) -> Result<Option<String>, RedisError> {
    let expires = Template::new(key.with("expires:"), "");
    let keys = commands::sample(redis, &expires.pattern(), None).await?;
    let note = "Its sessions are written by the indexed repository: without `indexed: false`, they end without errors \
                in the application.";
    Ok((!keys.is_empty()).then(|| note.to_owned()))
}

/// A note, if a store that is said to be indexed looks as if it were not. Without the right to scan, none.
pub(super) async fn is_plain(redis: &Redis, keys: &Keys) -> Result<Option<String>, RedisError> {
    let sample = async |key: &Template, kind| commands::sample(redis, &key.pattern(), kind).await;
    let sessions = match sample(&keys.session, Some("hash")).await {
        Ok(sessions) => sessions.len(),
        Err(error) if error.code() == Some("NOPERM") => return Ok(None),
        Err(error) => return Err(error),
    };
    let expires = sample(&keys.expires, None).await?;
    let note = format!(
        "None of {sessions} sessions looked at is indexed: set `repository-type: indexed` in the application, or \
         `indexed: false` here."
    );
    Ok((sessions > 0 && expires.is_empty()).then_some(note))
}
