//! Sessions in a realm of a real Keycloak, beside its own logout of a user through the Admin API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Store;
use crate::realm::{Realm, Tokens};

/// How many users one request of the import brings.
const CHUNK: usize = 100;

/// The pause between two looks whether a token still holds.
const POLL: Duration = Duration::from_millis(2);

/// How long one such look may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Keycloak {
    realm: Arc<Realm>,
    /// The id in Keycloak of each user.
    ids: Arc<HashMap<String, String>>,
    tokens: Arc<Mutex<HashMap<String, Tokens>>>,
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
        Self { realm: Arc::new(realm), ids: Arc::new(ids), tokens: Arc::default() }
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
        let tokens = self.realm.sign_in("portal", user, "openid").await.expect("Keycloak lets everybody in");
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), tokens);
    }

    /// An application asks Keycloak, over and over, whether a token still holds.
    fn gone(&self, user: &str) -> impl Future<Output = Instant> + Send + 'static {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner)[user].clone();
        let realm = self.realm.clone();
        async move {
            // An answer that does not come is asked for again, as an application would.
            while !matches!(timeout(PATIENCE, realm.is_active("portal", &tokens)).await, Ok(false)) {
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
