//! A realm of its own on the Keycloak of `scripts/keycloak start`, made as `realm.json` says, for the tests of several crates.
#![allow(dead_code, reason = "each crate that includes this uses another part of it")]

use std::sync::Once;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// What both `leaver` and its tests need to know of it.
pub struct Realm {
    /// Where Keycloak answers.
    pub url: String,
    pub name: String,
    http: reqwest::Client,
    admin: Mutex<Option<(String, Instant)>>,
}

/// What an application gets when somebody signs in.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    /// The id of the session, of whichever kind.
    pub session: String,
}

impl Realm {
    pub async fn create() -> Self {
        let url = std::env::var("LEAVER_TEST_KEYCLOAK_URL")
            .expect("LEAVER_TEST_KEYCLOAK_URL is not set: run scripts/keycloak start and source target/keycloak.env");
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let realm = Self { url, name, http: reqwest::Client::new(), admin: Mutex::default() };
        let text = include_str!("realm.json").replace("corp", &realm.name);
        let made = realm.send(Method::POST, "/admin/realms", &serde_json::from_str(&text).unwrap()).await;
        assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
        // The administrator's rights to the new realm came with it, and are not in a token from before.
        *realm.admin.lock().await = None;
        realm
    }

    /// The realm's client `client`, which has the secret CLIENT-secret, as settings of ours.
    pub fn settings(&self, client: &str) -> Value {
        json!({
            "type": "keycloak", "url": self.url, "realm": self.name, "client_id": client,
            "client_secret": format!("{client}-secret"),
        })
    }

    /// Anything of the Admin API below the realm, as an administrator.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, &format!("/admin/realms/{}{path}", self.name), &body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.admin(Method::GET, path, Value::Null).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let token = self.administrator().await;
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn administrator(&self) -> String {
        let mut current = self.admin.lock().await;
        match &*current {
            Some((token, made)) if made.elapsed() < Duration::from_secs(30) => token.clone(),
            _ => {
                let form = [
                    ("grant_type", "password"),
                    ("client_id", "admin-cli"),
                    ("username", "admin"),
                    ("password", "admin"),
                ];
                let (status, answer) = self.openid("master", "token", &form).await;
                let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{status} {answer}")).to_owned();
                *current = Some((token.clone(), Instant::now()));
                token
            }
        }
    }

    /// Disables a user as the service account of `client`, which may manage users.
    pub async fn disable_as(&self, client: &str, user_id: &str) {
        let secret = format!("{client}-secret");
        let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", &secret)];
        let token = self.openid(&self.name, "token", &form).await.1["access_token"].as_str().unwrap().to_owned();
        let mut user = self.get(&format!("/users/{user_id}")).await;
        user["enabled"] = false.into();
        let request = self.http.put(format!("{}/admin/realms/{}/users/{user_id}", self.url, self.name));
        let request = request.bearer_auth(token).header("content-type", "application/json").body(user.to_string());
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    }

    async fn openid(&self, realm: &str, endpoint: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}/realms/{realm}/protocol/openid-connect/{endpoint}", self.url);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    pub async fn user_id(&self, name: &str) -> String {
        let found = self.get(&format!("/users?username={name}&exact=true")).await;
        found[0]["id"].as_str().unwrap_or_else(|| panic!("no user {name}")).to_owned()
    }

    /// An active user with the password pw-NAME.
    pub async fn add_user(&self, name: &str) -> String {
        let credentials = json!([{ "type": "password", "value": format!("pw-{name}"), "temporary": false }]);
        let email = format!("{name}@example.com");
        let user = json!({
            "username": name, "enabled": true, "email": email, "emailVerified": true, "firstName": name,
            "lastName": "Example", "credentials": credentials
        });
        self.admin(Method::POST, "/users", user).await;
        self.user_id(name).await
    }

    /// As an administrator does in the console.
    pub async fn enable(&self, user_id: &str, enabled: bool) {
        let mut user = self.get(&format!("/users/{user_id}")).await;
        user["enabled"] = enabled.into();
        self.admin(Method::PUT, &format!("/users/{user_id}"), user).await;
    }

    pub async fn group_id(&self, name: &str) -> String {
        let found = self.get(&format!("/groups?search={name}&exact=true")).await;
        found[0]["id"].as_str().unwrap_or_else(|| panic!("no group {name}")).to_owned()
    }

    /// Signs in at an application; `offline_access` in the scope makes it an offline session.
    ///
    /// # Errors
    /// What Keycloak said.
    pub async fn sign_in(&self, app: &str, user: &str, scope: &str) -> Result<Tokens, String> {
        let (secret, password) = (format!("{app}-secret"), format!("pw-{user}"));
        let form = [
            ("grant_type", "password"),
            ("client_id", app),
            ("client_secret", &secret),
            ("username", user),
            ("password", &password),
            ("scope", scope),
        ];
        tokens(self.openid(&self.name, "token", &form).await)
    }

    /// # Errors
    /// What Keycloak said.
    pub async fn refresh(&self, app: &str, tokens_: &Tokens) -> Result<Tokens, String> {
        let secret = format!("{app}-secret");
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", app),
            ("client_secret", &secret),
            ("refresh_token", &tokens_.refresh),
        ];
        tokens(self.openid(&self.name, "token", &form).await)
    }

    /// What introspection says of the access token.
    pub async fn is_active(&self, app: &str, tokens: &Tokens) -> bool {
        let secret = format!("{app}-secret");
        let form = [("client_id", app), ("client_secret", &secret), ("token", tokens.access.as_str())];
        let (status, answer) = self.openid(&self.name, "token/introspect", &form).await;
        answer["active"].as_bool().unwrap_or_else(|| panic!("{status} {answer}"))
    }

    /// All sessions of these users, as `online:ID` and `offline:ID`, sorted.
    pub async fn sessions(&self, users: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for user in users {
            let ids = |kind: &str, sessions: &Value| -> Vec<String> {
                let sessions = sessions.as_array().unwrap().iter();
                sessions.map(|session| format!("{kind}:{}", session["id"].as_str().unwrap())).collect()
            };
            found.extend(ids("online", &self.get(&format!("/users/{user}/sessions")).await));
            for app in ["portal", "mail"] {
                let client = self.get(&format!("/clients?clientId={app}")).await[0]["id"].as_str().unwrap().to_owned();
                found.extend(ids("offline", &self.get(&format!("/users/{user}/offline-sessions/{client}")).await));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// A client with a service account that has exactly these roles of `realm-management`.
    pub async fn add_client(&self, name: &str, roles: &[&str]) {
        let client = json!({
            "clientId": name, "secret": format!("{name}-secret"), "publicClient": false, "standardFlowEnabled": false,
            "serviceAccountsEnabled": true
        });
        self.admin(Method::POST, "/clients", client).await;
        let account = self.user_id(&format!("service-account-{name}")).await;
        let management = self.get("/clients?clientId=realm-management").await[0]["id"].as_str().unwrap().to_owned();
        let mut granted = Vec::new();
        for role in roles {
            granted.push(self.get(&format!("/clients/{management}/roles/{role}")).await);
        }
        let path = format!("/users/{account}/role-mappings/clients/{management}");
        self.admin(Method::POST, &path, granted.into()).await;
    }

    pub async fn remove(&self) {
        self.admin(Method::DELETE, "", Value::Null).await;
    }
}

fn tokens((status, answer): (StatusCode, Value)) -> Result<Tokens, String> {
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    match (text("access_token"), text("refresh_token"), text("session_state")) {
        (Some(access), Some(refresh), Some(session)) => Ok(Tokens { access, refresh, session }),
        _ => Err(text("error_description").unwrap_or_else(|| format!("{status} {answer}"))),
    }
}
