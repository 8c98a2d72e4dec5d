//! The layouts of sessions in Redis, each with the bytes that its library writes at a login.

use std::time::Instant;

use redis::cmd;
use serde_json::json;

use super::Store;
use crate::watch::Watch;

/// A security context of Spring Security as Java serializes it; its last bytes are the name `ana`.
const CONTEXT: &[u8] = include_bytes!("../../../downstreams/src/redis/fixtures/spring-security-context.bin");
const LONG: &[u8] = b"\xac\xed\x00\x05sr\x00\x0ejava.lang.Long;\x8b\xe4\x90\xcc\x8f#\xdf\x02\x00\x01J\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";
const INTEGER: &[u8] = b"\xac\xed\x00\x05sr\x00\x11java.lang.Integer\x12\xe2\xa0\xa4\xf7\x81\x878\x02\x00\x01I\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";
const INDEX: &str = "org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME";

pub const ALL: [Layout; 5] =
    [Layout::ConnectRedis, Layout::FlaskSession, Layout::Generic, Layout::SpringIndexed, Layout::SpringPlain];

#[derive(Debug, Clone, Copy)]
pub enum Layout {
    ConnectRedis,
    FlaskSession,
    Generic,
    /// Spring's repository with an index by user.
    SpringIndexed,
    SpringPlain,
}

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectRedis => "redis, connect-redis",
            Self::FlaskSession => "redis, flask-session",
            Self::Generic => "redis, generic",
            Self::SpringIndexed => "redis, spring-session, indexed",
            Self::SpringPlain => "redis, spring-session, plain",
        }
    }

    /// What the keys of its sessions begin with; the user's name follows.
    fn prefix(self) -> String {
        match self {
            Self::ConnectRedis => "connect:".to_owned(),
            Self::FlaskSession => "flask:".to_owned(),
            Self::Generic => "generic:session:".to_owned(),
            Self::SpringIndexed | Self::SpringPlain => format!("{}:sessions:", self.namespace()),
        }
    }

    fn namespace(self) -> &'static str {
        if matches!(self, Self::SpringIndexed) { "spring-indexed" } else { "spring-plain" }
    }
}

#[derive(Clone)]
pub struct Redis {
    layout: Layout,
    url: String,
    watch: Watch,
}

impl Redis {
    pub async fn open(layout: Layout, url: &str) -> Self {
        // A session of the indexed repository stays as one that has run out.
        let gone = if matches!(layout, Layout::SpringIndexed) { "hset" } else { "del" };
        Self { layout, url: url.to_owned(), watch: Watch::of(url, &layout.prefix(), gone).await }
    }

    fn key(&self, user: &str) -> String {
        format!("{}{user}", self.layout.prefix())
    }

    async fn run(&self, command: &redis::Cmd) {
        command.exec_async(&mut self.watch.connection()).await.expect("Redis answers");
    }

    async fn set(&self, user: &str, value: Vec<u8>) {
        self.run(cmd("SET").arg(self.key(user)).arg(value).arg("EX").arg(86_400)).await;
    }
}

impl Store for Redis {
    fn adapter(&self) -> String {
        let (prefix, namespace) = (self.layout.prefix(), self.layout.namespace());
        let layout = match self.layout {
            Layout::ConnectRedis => format!("layout: connect-redis, prefix: \"{prefix}\", path: passport.user"),
            Layout::FlaskSession => format!("layout: flask-session, prefix: \"{prefix}\""),
            Layout::Generic => {
                format!("layout: generic, index: \"generic:user:{{subject}}\", session: \"{prefix}{{id}}\"")
            }
            Layout::SpringIndexed => format!("layout: spring-session, namespace: \"{namespace}\""),
            Layout::SpringPlain => format!("layout: spring-session, namespace: \"{namespace}\", indexed: false"),
        };
        format!("{{ type: redis, url: \"{}\", {layout} }}", self.url)
    }

    async fn sign_in(&self, user: &str) {
        match self.layout {
            Layout::ConnectRedis => self.watch.sign_in(user).await,
            Layout::FlaskSession => {
                let session = json!({ "_permanent": true, "_fresh": true, "_id": "b".repeat(128), "_user_id": user });
                self.set(user, rmp_serde::to_vec(&session).expect("JSON is also MessagePack")).await;
            }
            Layout::Generic => {
                self.set(user, user.into()).await;
                self.run(cmd("SADD").arg(format!("generic:user:{user}")).arg(user)).await;
            }
            Layout::SpringIndexed | Layout::SpringPlain => {
                let mut hash = cmd("HSET");
                hash.arg(self.key(user));
                hash.arg("creationTime").arg([LONG, &1_795_244_700_000_i64.to_be_bytes()].concat());
                hash.arg("lastAccessedTime").arg([LONG, &1_795_244_700_000_i64.to_be_bytes()].concat());
                hash.arg("maxInactiveInterval").arg(interval(1800));
                hash.arg("sessionAttr:SPRING_SECURITY_CONTEXT").arg(context(user));
                self.run(&hash).await;
                self.run(cmd("EXPIRE").arg(self.key(user)).arg(86_400)).await;
                if matches!(self.layout, Layout::SpringIndexed) {
                    let namespace = self.layout.namespace();
                    let member = [b"\xac\xed\x00\x05".to_vec(), text(user)].concat();
                    self.run(cmd("SADD").arg(format!("{namespace}:index:{INDEX}:{user}")).arg(member)).await;
                    let expires = format!("{namespace}:sessions:expires:{user}");
                    self.run(cmd("SET").arg(expires).arg("").arg("EX").arg(86_400)).await;
                }
            }
        }
    }

    fn gone(&self, user: &str) -> impl Future<Output = Instant> + Send + 'static {
        let told = self.watch.expect(user);
        async { told.await.expect("the store tells of it") }
    }

    async fn delete(&self, user: &str) {
        match self.layout {
            Layout::SpringIndexed => {
                self.run(cmd("HSET").arg(self.key(user)).arg("maxInactiveInterval").arg(interval(0))).await;
            }
            _ => self.run(cmd("UNLINK").arg(self.key(user))).await,
        }
    }
}

fn interval(seconds: i32) -> Vec<u8> {
    [INTEGER, &seconds.to_be_bytes()].concat()
}

fn context(user: &str) -> Vec<u8> {
    [CONTEXT.strip_suffix(b"t\x00\x03ana").expect("the context ends with its name"), &text(user)].concat()
}

/// ASCII as Java serializes it within a stream.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short name");
    [b"t", &length.to_be_bytes()[..], text.as_bytes()].concat()
}
