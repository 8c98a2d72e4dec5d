//! Redis as Spring Session 3.5 with Spring Security fills it: both of its repositories, byte for byte.

use async_trait::async_trait;
use redis::cmd;
use serde_json::{Value, json};

use super::{Rights, Store, keys::Keys};

/// What a login of `ana` left in a session; its last bytes are the name.
const CONTEXT: &[u8] = include_bytes!("../../src/redis/fixtures/spring-security-context.bin");
const INTEGER: &[u8] = b"\xac\xed\x00\x05sr\x00\x11java.lang.Integer\x12\xe2\xa0\xa4\xf7\x81\x878\x02\x00\x01I\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";
const LONG: &[u8] = b"\xac\xed\x00\x05sr\x00\x0ejava.lang.Long;\x8b\xe4\x90\xcc\x8f#\xdf\x02\x00\x01J\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";

pub struct Spring {
    name: &'static str,
    pub keys: Keys,
    namespace: String,
    indexed: bool,
}

impl Spring {
    pub async fn create(indexed: bool) -> Self {
        let name = if indexed { "spring-session, indexed" } else { "spring-session, plain" };
        Self::on(name, Keys::new().await, indexed)
    }

    /// The indexed repository: an index, a session and its marker lie in slots of their own.
    pub async fn of_cluster() -> Self {
        Self::on("spring-session, indexed, cluster", Keys::of_cluster().await, true)
    }

    fn on(name: &'static str, keys: Keys, indexed: bool) -> Self {
        Self { name, namespace: format!("{}s", keys.prefix), keys, indexed }
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
        self.keys.run::<()>(cmd("HSET").arg(self.session(id)).arg(field).arg(value.as_ref())).await;
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
        self.name
    }

    fn config(&self) -> Value {
        let mut config = self.keys.config(json!({ "layout": "spring-session", "namespace": self.namespace }));
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
        self.keys.run::<()>(cmd("EXPIRE").arg(self.session(&id)).arg(2100)).await;
        if self.indexed {
            self.keys.run::<()>(cmd("SADD").arg(self.index(user)).arg(stream(&text(&id)))).await;
            self.keys.run::<()>(cmd("SETEX").arg(self.expires(&id)).arg(1800).arg("")).await;
        }
        id
    }

    /// The indexed repository saves what a request changed; the other one only if the session is still there.
    async fn write_back(&self, id: &str, _user: &str) {
        if self.indexed || self.keys.run(cmd("EXISTS").arg(self.session(id))).await {
            self.field(id, "lastAccessedTime", long(1_795_244_800_000)).await;
        }
    }

    async fn ids(&self) -> Vec<String> {
        let mut live = Vec::new();
        for id in self.keys.below(&self.session("")).await.into_iter().filter(|id| !id.contains(':')) {
            let interval: Vec<u8> = self.keys.run(cmd("HGET").arg(self.session(&id)).arg("maxInactiveInterval")).await;
            if interval.last_chunk() != Some(&[0_u8; 4]) {
                live.push(id);
            }
        }
        super::sorted(live)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.keys.url_that_may(if self.indexed { &["+smembers", "+hmget"] } else { &["+scan", "+hmget"] }).await
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
