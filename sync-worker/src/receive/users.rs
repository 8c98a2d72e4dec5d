//! `/Users`: each write is one apply transaction, so every shape of a deactivation ends sessions the same way.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use directory::AccountRow;
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, Standing};
use scim::limits::USER_BODY;
use scim::render::{Membership, Meta};
use scim::{Patch, ResourceType, User};
use serde_json::Value;
use uuid::Uuid;

use super::answer::{Refusal, body, check_version, found, no_content, resource};
use super::{Shared, cause};

type Answer = Result<Response, Refusal>;

pub(super) async fn create(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse(ResourceType::User, pairs)?;
    shared.create_user(&source, bytes, &query).await
}

pub(super) async fn replace(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse(ResourceType::User, pairs)?;
    let user = User::parse(&body(bytes, USER_BODY)?)?;
    let row = shared.change_user(&source, &id, "SCIM PUT", &headers, |_| Ok(user.clone())).await?;
    shared.changed(&source, &row, &query).await
}

pub(super) async fn patch(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse(ResourceType::User, pairs)?;
    let patch = Patch::parse(&body(bytes, USER_BODY)?)?;
    let becomes = |current: &Value| User::parse(&patch.apply_to_user(current)?);
    let row = shared.change_user(&source, &id, "SCIM PATCH", &headers, becomes).await?;
    shared.changed(&source, &row, &query).await
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let cause = cause(&source, "SCIM DELETE");
    let check = |current: &AccountRow| check_version(&headers, &current.version.to_string());
    let gone = shared.worker.directory.delete_user(&cause, shared.burst(&source), &id, check).await?;
    gone.ok_or_else(Refusal::not_found)??;
    shared.worker.metrics.committed(&cause);
    Ok(no_content())
}

pub(super) async fn read(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let query = scim::Query::parse(ResourceType::User, pairs)?;
    let row = shared.worker.directory.user(&source, &id).await?.ok_or_else(Refusal::not_found)?;
    let location = shared.location(&source, &row);
    let body = query.project(&shared.render_user(&source, &row, &query).await?);
    // The version says nothing of the groups, so who asks for them is sent them.
    if query.returns("groups") {
        return Ok(resource(StatusCode::OK, &body, &row.version.to_string(), &location));
    }
    Ok(found(&headers, &body, &row.version.to_string(), &location))
}

impl Shared {
    async fn create_user(&self, source: &str, bytes: Result<Bytes, BytesRejection>, query: &scim::Query) -> Answer {
        let user = User::parse(&body(bytes, USER_BODY)?)?;
        let standing = stated(&user, Standing::Active);
        let facts = facts(user, directory::new_id(), standing);
        let cause = cause(source, "SCIM POST");
        let row = self.worker.directory.create_user(&cause, self.burst(source), &facts).await?;
        self.worker.metrics.committed(&cause);
        let location = self.location(source, &row);
        let body = query.project(&self.render_user(source, &row, query).await?);
        Ok(resource(StatusCode::CREATED, &body, &row.version.to_string(), &location))
    }

    async fn change_user(
        &self,
        source: &str,
        id: &str,
        via: &'static str,
        headers: &HeaderMap,
        change: impl Fn(&Value) -> Result<User, scim::Error> + Sync,
    ) -> Result<AccountRow, Refusal> {
        let becomes = |current: &AccountRow| {
            check_version(headers, &current.version.to_string())?;
            let user = change(&current.attributes)?;
            let standing = stated(&user, Standing::Unknown);
            Ok::<_, scim::Error>(facts(user, current.native_id.clone(), standing))
        };
        let cause = cause(source, via);
        let row = self
            .worker
            .directory
            .change_user(&cause, self.burst(source), id, becomes)
            .await?
            .ok_or_else(Refusal::not_found)??;
        self.worker.metrics.committed(&cause);
        Ok(row)
    }

    /// What became of a user, as far as the caller asks for it.
    async fn changed(&self, source: &str, row: &AccountRow, query: &scim::Query) -> Answer {
        let location = self.location(source, row);
        let body = query.project(&self.render_user(source, row, query).await?);
        Ok(resource(StatusCode::OK, &body, &row.version.to_string(), &location))
    }

    async fn render_user(&self, source: &str, row: &AccountRow, query: &scim::Query) -> Result<Value, Refusal> {
        Ok(self.render_users(source, std::slice::from_ref(row), query).await?.remove(0))
    }

    /// Users as they are sent, with their groups if those are asked for: one question for all of them.
    pub(super) async fn render_users(
        &self,
        source: &str,
        rows: &[AccountRow],
        query: &scim::Query,
    ) -> Result<Vec<Value>, Refusal> {
        let mut groups: HashMap<Uuid, Vec<Membership>> = HashMap::new();
        if query.returns("groups") {
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            for group in self.worker.directory.groups_of(&ids).await? {
                let location = format!("{}/Groups/{}", self.base(source), group.native_id);
                let shown = Membership { value: group.native_id, display: group.display_name, location };
                groups.entry(group.account).or_default().push(shown);
            }
        }
        let none = Vec::new();
        let one = |row: &AccountRow| render(row, &self.location(source, row), groups.get(&row.id).unwrap_or(&none));
        Ok(rows.iter().map(one).collect())
    }

    fn location(&self, source: &str, row: &AccountRow) -> String {
        format!("{}/Users/{}", self.base(source), row.native_id)
    }
}

/// What the client says of `active`; a client that says nothing means `otherwise`.
fn stated(user: &User, otherwise: Standing) -> Standing {
    match user.active {
        Some(true) => Standing::Active,
        Some(false) => Standing::Inactive,
        None => otherwise,
    }
}

fn facts(user: User, native_id: String, standing: Standing) -> AccountFacts {
    AccountFacts {
        native_id,
        external_id: user.external_id,
        profile: Profile {
            user_name: Some(user.user_name),
            email: user.email,
            employee_number: user.employee_number,
            display_name: user.display_name,
            department: user.department,
            manager: user.manager,
        },
        standing,
        starts_at: None,
        ends_at: None,
        kind: None,
        attributes: user.resource,
        groups: None,
    }
}

fn render(row: &AccountRow, location: &str, groups: &[Membership]) -> Value {
    let version = row.version.to_string();
    let meta = Meta {
        id: &row.native_id,
        version: &version,
        created: row.created_at,
        last_modified: row.changed_at,
        location,
    };
    scim::render::user(&row.attributes, &meta, groups)
}
