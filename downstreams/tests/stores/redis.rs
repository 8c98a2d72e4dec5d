//! Redis as express-session and connect-redis fill it.

use std::sync::Mutex;

use ::redis::{AsyncCommands, aio::MultiplexedConnection, cmd};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Store, env, login, unique};

pub struct Redis {
    url: String,
    pub prefix: String,
    pub connection: MultiplexedConnection,
    numbers: bool,
    logins: Mutex<Vec<String>>,
}

impl Redis {
    pub async fn with_names() -> Self {
        Self::create(false).await
    }

    /// The application keeps its users' numbers as JSON numbers.
    pub async fn with_numbers() -> Self {
        Self::create(true).await
    }

    async fn create(numbers: bool) -> Self {
        let url = env("LEAVER_TEST_REDIS_URL");
        let connection = ::redis::Client::open(&*url).unwrap().get_multiplexed_async_connection().await.unwrap();
        Self { url, prefix: format!("t{}:", unique()), connection, numbers, logins: Mutex::default() }
    }

    pub async fn set(&self, key: &str, value: &str) {
        self.connection.clone().set::<_, _, ()>(key, value).await.unwrap();
    }

    /// A login with the given rights over this store's keys.
    pub async fn url_with(&self, rights: &[&str]) -> String {
        let (user, password) = (unique(), unique());
        cmd("ACL")
            .arg("SETUSER")
            .arg(&user)
            .arg("on")
            .arg(format!(">{password}"))
            .arg(format!("~{}*", self.prefix))
            .arg(rights)
            .exec_async(&mut self.connection.clone())
            .await
            .unwrap();
        let url = login(&self.url, &user, &password);
        self.logins.lock().unwrap().push(user);
        url
    }
}

#[async_trait]
impl Store for Redis {
    fn name(&self) -> &'static str {
        if self.numbers { "redis, numbers" } else { "redis, names" }
    }

    fn config(&self) -> Value {
        json!({ "type": "redis", "url": self.url, "layout": "connect-redis", "prefix": self.prefix, "path": "passport.user" })
    }

    fn users(&self) -> [&'static str; 3] {
        if self.numbers { ["7", "77", "-7"] } else { ["ana", "an", "bob@example.com"] }
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = unique();
        self.write_back(&id, user).await;
        id
    }

    async fn write_back(&self, id: &str, user: &str) {
        let user = if self.numbers { json!(user.parse::<i64>().unwrap()) } else { json!(user) };
        let session = json!({
            "cookie": { "originalMaxAge": 86_400_000, "expires": "2030-01-01T00:00:00.000Z", "httpOnly": true, "path": "/" },
            "passport": { "user": user },
        });
        self.set(&format!("{}{id}", self.prefix), &session.to_string()).await;
    }

    async fn ids(&self) -> Vec<String> {
        let keys: Vec<String> = self.connection.clone().keys(format!("{}*", self.prefix)).await.unwrap();
        super::sorted(keys.into_iter().map(|key| key[self.prefix.len()..].to_owned()))
    }

    async fn url_that_may_only_read(&self) -> String {
        self.url_with(&["+scan", "+mget"]).await
    }

    async fn remove(&self) {
        let keys: Vec<String> = self.connection.clone().keys(format!("{}*", self.prefix)).await.unwrap();
        if !keys.is_empty() {
            self.connection.clone().del::<_, ()>(keys).await.unwrap();
        }
        let logins = std::mem::take(&mut *self.logins.lock().unwrap());
        if !logins.is_empty() {
            cmd("ACL").arg("DELUSER").arg(logins).exec_async(&mut self.connection.clone()).await.unwrap();
        }
    }
}
