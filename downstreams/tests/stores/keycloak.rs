//! A realm of Keycloak, in which people sign in to applications.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use downstreams::{Downstream, Match};
use reqwest::Url;
use serde_json::Value;
use tokio::sync::Mutex;

#[path = "../../../tests/keycloak/realm.rs"]
mod realm;

pub use realm::{Realm, Tokens};

use super::{Store, build, login};

const NAMES: [&str; 3] = ["ana", "ben", "cleo"];

pub struct Keycloak {
    pub realm: Realm,
    /// The ids of the users of these names, in Keycloak.
    pub users: [&'static str; 3],
    /// By our id of the session.
    signed_in: Mutex<HashMap<String, Tokens>>,
}

impl Keycloak {
    pub async fn create() -> Self {
        let realm = Realm::create().await;
        let mut users = [""; 3];
        for (user, name) in users.iter_mut().zip(NAMES) {
            *user = realm.user_id(name).await.leak();
        }
        Self { realm, users, signed_in: Mutex::default() }
    }

    /// Signs in at an application and returns our id of the session, and what the application got.
    pub async fn sign_in_at(&self, app: &str, user: &str, offline: bool) -> (String, Tokens) {
        let name = NAMES[self.users.iter().position(|id| *id == user).unwrap()];
        let (kind, scope) = if offline { ("offline", "openid offline_access") } else { ("online", "openid") };
        let tokens = self.realm.sign_in(app, name, scope).await.unwrap();
        (format!("{kind}:{}", tokens.session), tokens)
    }
}

#[async_trait]
impl Store for Keycloak {
    fn name(&self) -> &'static str {
        "keycloak"
    }

    fn config(&self) -> Value {
        self.realm.settings("leaver")
    }

    fn users(&self) -> [&'static str; 3] {
        self.users
    }

    /// Online and offline by turns.
    async fn sign_in(&self, user: &str) -> String {
        let mut signed_in = self.signed_in.lock().await;
        let (id, tokens) = self.sign_in_at("portal", user, signed_in.len() % 2 == 1).await;
        signed_in.insert(id.clone(), tokens);
        id
    }

    /// As near as anybody can come: a refresh of the session that was ended.
    async fn write_back(&self, id: &str, _: &str) {
        self.realm.refresh("portal", &self.signed_in.lock().await[id]).await.unwrap_err();
    }

    /// It takes a request that was under way when the session ended, inside of Keycloak.
    fn can_write_back(&self) -> bool {
        false
    }

    async fn ids(&self) -> Vec<String> {
        self.realm.sessions(&self.users).await
    }

    async fn url_that_may_only_read(&self) -> String {
        login(&self.realm.url, "leaver-looks", "leaver-looks-secret")
    }

    /// A login in the address stands for a client and its secret.
    fn adapter_with(&self, mut with: Value) -> Arc<dyn Downstream> {
        let url = with["url"].as_str().and_then(|url| Url::parse(url).ok());
        if let Some((mut url, password)) = url.and_then(|url| Some((url.clone(), url.password()?.to_owned()))) {
            with["client_id"] = url.username().into();
            with["client_secret"] = password.into();
            url.set_username("").unwrap();
            url.set_password(None).unwrap();
            with["url"] = url.as_str().into();
        }
        let with = with.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        build(self.config(), with, Match::Exact)
    }

    async fn remove(&self) {
        self.realm.remove().await;
    }
}
