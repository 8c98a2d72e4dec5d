//! Sessions in a realm of a real Keycloak, beside its own logout of a user through the Admin API.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::Store;
use crate::realm::Realm;

/// How many users one request of the import brings.
const CHUNK: usize = 100;

/// The pause between two looks whether a user has a session.
const POLL: Duration = Duration::from_millis(2);

#[derive(Clone)]
pub struct Keycloak {
    realm: Arc<Realm>,
    /// The id in Keycloak of each user.
    ids: Arc<HashMap<String, String>>,
}

impl Keycloak {
    /// A realm with these users.
    pub async fn create(users: impl Iterator<Item = String>) -> Self {
        let realm = Realm::create().await;
        let users: Vec<Value> = users.map(|user| imported(&user)).collect();
        let mut ids = HashMap::new();
        for chunk in users.chunks(CHUNK) {
            let import = json!({ "ifResourceExists": "FAIL", "users": chunk });
            let answer = realm.admin(Method::POST, "/partialImport", import).await;
            for made in answer["results"].as_array().into_iter().flatten() {
                let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
                ids.insert(text("resourceName"), text("id"));
            }
        }
        Self { realm: Arc::new(realm), ids: Arc::new(ids) }
    }

    pub async fn remove(&self) {
        self.realm.remove().await;
    }
}

fn imported(user: &str) -> Value {
    let credentials = json!([{ "type": "password", "value": format!("pw-{user}"), "temporary": false }]);
    json!({
        "username": user, "enabled": true, "email": format!("{user}@example.com"), "emailVerified": true,
        "firstName": user, "lastName": "Example", "credentials": credentials
    })
}

impl Store for Keycloak {
    fn adapter(&self) -> String {
        self.realm.settings("leaver").to_string()
    }

    fn subject(&self) -> &'static str {
        "account(\"okta\").externalId"
    }

    fn id_of(&self, user: &str) -> Option<String> {
        Some(self.ids[user].clone())
    }

    async fn sign_in(&self, user: &str) {
        self.realm.sign_in("portal", user, "openid").await.expect("Keycloak lets everybody in");
    }

    /// An administrator asks Keycloak, over and over, which sessions the user has: its database answers.
    ///
    /// Whether a token still holds is answered from its cache, into which a look during the deletion brings the session back,
    /// where it may stay long after the database has forgotten it.
    fn gone(&self, user: &str) -> impl Future<Output = Instant> + Send + 'static {
        let path = format!("/users/{}/sessions", self.ids[user]);
        let realm = self.realm.clone();
        async move {
            while realm.get(&path).await.as_array().is_none_or(|sessions| !sessions.is_empty()) {
                tokio::time::sleep(POLL).await;
            }
            Instant::now()
        }
    }

    async fn delete(&self, user: &str) {
        let path = format!("/users/{}/logout", self.ids[user]);
        self.realm.admin(Method::POST, &path, Value::Null).await;
    }
}
