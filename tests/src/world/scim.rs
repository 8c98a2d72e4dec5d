//! A small SCIM 2.0 client that sends what identity providers send.

use serde_json::{Value, json};

use super::{Answer, Person, services, text};

const SCIM: &str = "application/scim+json";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[derive(Debug, Clone)]
pub struct Scim {
    http: reqwest::Client,
    base: String,
    token: String,
    /// The trace that its requests belong to.
    trace: Option<String>,
    /// What its requests say in `If-Match`.
    version: Option<String>,
}

impl Scim {
    pub(super) fn new(base: &str, token: &str) -> Self {
        Self { http: services::http(), base: base.to_owned(), token: token.to_owned(), trace: None, version: None }
    }

    /// The same within a trace, by its W3C `traceparent`.
    pub fn within(self, trace: &str) -> Self {
        Self { trace: Some(trace.to_owned()), ..self }
    }

    /// The same, with `If-Match` of this version.
    pub fn if_match(&self, version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..self.clone() }
    }

    /// Any request; `body` is sent as it stands.
    pub async fn raw(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        self.request(method, path, body.is_some().then_some(("content-type", SCIM)), body).await
    }

    /// The same with one more header.
    pub async fn with(&self, method: &str, path: &str, header: (&str, &str), body: Option<String>) -> Answer {
        self.request(method, path, Some(header), body).await
    }

    /// The same with a body of this type.
    pub async fn typed(&self, method: &str, path: &str, kind: &str, body: String) -> Answer {
        self.request(method, path, Some(("content-type", kind)), Some(body)).await
    }

    async fn request(&self, method: &str, path: &str, header: Option<(&str, &str)>, body: Option<String>) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(trace) = &self.trace {
            request = request.header("traceparent", trace);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(version) = &self.version {
            request = request.header("if-match", version);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        Answer::of(request).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.raw(method, path, Some(body.to_string())).await
    }

    /// What a POST or PUT of this person says.
    pub fn resource(person: &Person, active: bool) -> Value {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "userName": person.user,
            "externalId": format!("ext-{}", person.number),
            "active": active,
            "emails": [{"value": person.email, "type": "work", "primary": true}],
            ENTERPRISE: {"employeeNumber": person.number, "department": person.department},
        })
    }

    /// Creates an active user and returns its SCIM id.
    pub async fn create(&self, person: &Person) -> String {
        text(&self.post(person, true).await.expect_status(201).json()["id"])
    }

    pub async fn post(&self, person: &Person, active: bool) -> Answer {
        self.send("POST", "/Users", &Self::resource(person, active)).await
    }

    pub async fn put(&self, id: &str, person: &Person, active: bool) -> Answer {
        self.send("PUT", &format!("/Users/{id}"), &Self::resource(person, active)).await
    }

    pub async fn delete(&self, id: &str) -> Answer {
        self.raw("DELETE", &format!("/Users/{id}"), None).await
    }

    pub async fn get(&self, id: &str) -> Answer {
        self.raw("GET", &format!("/Users/{id}"), None).await
    }

    /// One PATCH with one operation.
    pub async fn patch(&self, id: &str, operation: &Value) -> Answer {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
        self.send("PATCH", &format!("/Users/{id}"), &body).await
    }

    /// As Entra deactivates: a capital in `op`, and a string where the schema has a boolean.
    pub async fn deactivate(&self, id: &str) {
        self.patch(id, &json!({"op": "Replace", "path": "active", "value": "False"})).await.expect_status(200);
    }

    pub async fn set_department(&self, id: &str, department: &str) {
        let path = format!("{ENTERPRISE}:department");
        self.patch(id, &json!({"op": "Replace", "path": path, "value": department})).await.expect_status(200);
    }
}
