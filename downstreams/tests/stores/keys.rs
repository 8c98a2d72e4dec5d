//! A part of the shared Redis: the keys under one prefix, and logins for them.

use std::sync::Mutex;

use ::redis::{AsyncCommands, aio::MultiplexedConnection, cmd};

use super::{env, login, unique};

pub struct Keys {
    pub url: String,
    pub prefix: String,
    pub connection: MultiplexedConnection,
    logins: Mutex<Vec<String>>,
}

impl Keys {
    pub async fn new() -> Self {
        Self::at(env("LEAVER_TEST_REDIS_URL")).await
    }

    async fn at(url: String) -> Self {
        let connection = ::redis::Client::open(&*url).unwrap().get_multiplexed_async_connection().await.unwrap();
        Self { url, prefix: format!("t{}:", unique()), connection, logins: Mutex::default() }
    }

    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        self.connection.clone().set::<_, _, ()>(key, value.as_ref()).await.unwrap();
    }

    /// All keys that begin with `prefix`, without it.
    pub async fn below(&self, prefix: &str) -> Vec<String> {
        let keys: Vec<String> = self.connection.clone().keys(format!("{prefix}*")).await.unwrap();
        keys.into_iter().map(|key| key[prefix.len()..].to_owned()).collect()
    }

    /// A login with the given rights over these keys.
    pub async fn url_with(&self, rights: &[&str]) -> String {
        let (user, password) = (unique(), unique());
        let mut order = cmd("ACL");
        order.arg("SETUSER").arg(&user).arg("on").arg(format!(">{password}")).arg(format!("~{}*", self.prefix));
        order.arg(rights).exec_async(&mut self.connection.clone()).await.unwrap();
        let url = login(&self.url, &user, &password);
        self.logins.lock().unwrap().push(user);
        url
    }

    pub async fn remove(&self) {
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
