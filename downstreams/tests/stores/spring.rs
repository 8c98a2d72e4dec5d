//! Redis as Spring Session 3.5 with Spring Security fills it: both of its repositories, byte for byte.

use async_trait::async_trait;
use redis::AsyncCommands;
use serde_json::{Value, json};

use super::{Rights, Store, keys::Keys};

/// What a login of `ana` left in a session; its last bytes are the name.
const CONTEXT: &[u8] = include_bytes!("../../src/redis/fixtures/spring-security-context.bin");
const INTEGER: &[u8] = b"\xac\xed\x00\x05sr\x00\x11java.lang.Integer\x12\xe2\xa0\xa4\xf7\x81\x878\x02\x00\x01I\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";
const LONG: &[u8] = b"\xac\xed\x00\x05sr\x00\x0ejava.lang.Long;\x8b\xe4\x90\xcc\x8f#\xdf\x02\x00\x01J\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";

pub struct Spring {
    pub keys: Keys,
    namespace: String,
    indexed: bool,
}

impl Spring {
    pub async fn create(indexed: bool) -> Self {
        let keys = Keys::new().await;
        Self { namespace: format!("{}s", keys.prefix), keys, indexed }
    }

    pub fn session(&self, id: &str) -> String {
        format!("{}:sessions:{id}", self.namespace)
    }

    pub fn index(&self, user: &str) -> String {
        let index = "org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME";
        format!("{}:index:{index}:{user}", self.namespace)
    }

    pub fn expires(&self, id: &str) -> String {
        format!("{}:sessions:expires:{id}", self.namespace)
    }

    pub async fn field(&self, id: &str, field: &str, value: impl AsRef<[u8]>) {
        self.keys.connection.clone().hset::<_, _, _, ()>(self.session(id), field, value.as_ref()).await.unwrap();
    }
}

/// Text as Java serializes it within a stream.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for unit in text.encode_utf16() {
        let low = |bits: u16| 0x80 | (bits & 0x3f) as u8;
        match unit {
            1..=0x7f => bytes.push(unit as u8),
            0 | 0x80..=0x7ff => bytes.extend([0xc0 | (unit >> 6) as u8, low(unit)]),
            _ => bytes.extend([0xe0 | (unit >> 12) as u8, low(unit >> 6), low(unit)]),
        }
    }
    [b"t", &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

fn stream(content: &[u8]) -> Vec<u8> {
    [b"\xac\xed\x00\x05", content].concat()
}

pub fn context(user: &str) -> Vec<u8> {
    [CONTEXT.strip_suffix(b"t\x00\x03ana").unwrap(), &text(user)].concat()
}

fn long(value: i64) -> Vec<u8> {
    [LONG, &value.to_be_bytes()].concat()
}

#[async_trait]
impl Store for Spring {
    fn name(&self) -> &'static str {
        if self.indexed { "spring-session, indexed" } else { "spring-session, plain" }
    }

    fn config(&self) -> Value {
        let mut config =
            json!({ "type": "redis", "url": self.keys.url, "layout": "spring-session", "namespace": self.namespace });
        if !self.indexed {
            config["indexed"] = json!(false);
        }
        config
    }

    fn users(&self) -> [&'static str; 3] {
        ["ana", "an", "bob@example.com"]
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        self.field(&id, "creationTime", long(1_795_244_700_000)).await;
        self.field(&id, "maxInactiveInterval", [INTEGER, &1800_i32.to_be_bytes()].concat()).await;
        self.field(&id, "sessionAttr:SPRING_SECURITY_CONTEXT", context(user)).await;
        self.write_back(&id, user).await;
        let mut redis = self.keys.connection.clone();
        redis.expire::<_, ()>(self.session(&id), 2100).await.unwrap();
        if self.indexed {
            redis.sadd::<_, _, ()>(self.index(user), stream(&text(&id))).await.unwrap();
            redis.set_ex::<_, _, ()>(self.expires(&id), "", 1800).await.unwrap();
        }
        id
    }

    /// The indexed repository saves what a request changed; the other one only if the session is still there.
    async fn write_back(&self, id: &str, _user: &str) {
        let mut redis = self.keys.connection.clone();
        if self.indexed || redis.exists::<_, bool>(self.session(id)).await.unwrap() {
            self.field(id, "lastAccessedTime", long(1_795_244_800_000)).await;
        }
    }

    async fn ids(&self) -> Vec<String> {
        let mut live = Vec::new();
        for id in self.keys.below(&self.session("")).await.into_iter().filter(|id| !id.contains(':')) {
            let interval: Vec<u8> =
                self.keys.connection.clone().hget(self.session(&id), "maxInactiveInterval").await.unwrap();
            if interval.last_chunk() != Some(&[0_u8; 4]) {
                live.push(id);
            }
        }
        super::sorted(live)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.keys.url_with(if self.indexed { &["+smembers", "+hmget"] } else { &["+scan", "+hmget"] }).await
    }

    fn rights(&self) -> Option<Rights<'_>> {
        let commands: &[_] = match self.indexed {
            true => &["smembers", "hmget", "eval", "hset", "ttl", "expire", "unlink", "srem"],
            false => &["scan", "hmget", "unlink"],
        };
        Some(Rights { keys: &self.keys, commands })
    }

    async fn remove(&self) {
        self.keys.remove().await;
    }
}
