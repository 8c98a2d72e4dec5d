//! `/Users`: each write is one apply transaction, so every shape of a deactivation ends sessions the same way.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use directory::{AccountRow, GroupOf, UserRow};
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
    let user = shared.change_user(&source, &id, "SCIM PUT", &headers, move |_| Ok(user.clone())).await?;
    Ok(shared.written(StatusCode::OK, &source, &user, &query))
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
    let becomes = move |current: &Value| User::parse(&patch.apply_to_user(current)?);
    let user = shared.change_user(&source, &id, "SCIM PATCH", &headers, becomes).await?;
    Ok(shared.written(StatusCode::OK, &source, &user, &query))
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
    let body = query.project(shared.render_users(&source, std::slice::from_ref(&row), &query).await?.remove(0));
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
        let user = self.worker.directory.create_user(&cause, self.burst(source), &facts).await?;
        self.worker.metrics.committed(&cause);
        Ok(self.written(StatusCode::CREATED, source, &user, query))
    }

    async fn change_user(
        &self,
        source: &str,
        id: &str,
        via: &'static str,
        headers: &HeaderMap,
        change: impl Fn(&Value) -> Result<User, scim::Error> + Send + Sync + 'static,
    ) -> Result<UserRow, Refusal> {
        let headers = headers.clone();
        let becomes = move |current: &AccountRow| {
            check_version(&headers, &current.version.to_string())?;
            let user = change(&current.attributes)?;
            let standing = stated(&user, Standing::Unknown);
            Ok::<_, scim::Error>(facts(user, current.native_id.clone(), standing))
        };
        let cause = cause(source, via);
        let user = self
            .worker
            .directory
            .change_user(&cause, self.burst(source), id, becomes)
            .await?
            .ok_or_else(Refusal::not_found)??;
        self.worker.metrics.committed(&cause);
        Ok(user)
    }

    /// What became of a user, as far as the caller asks for it.
    fn written(&self, status: StatusCode, source: &str, user: &UserRow, query: &scim::Query) -> Response {
        let UserRow { account, groups } = user;
        let location = self.location(source, account);
        let groups: Vec<Membership> = groups.iter().map(|group| self.membership(source, group)).collect();
        let body = query.project(render(account, &location, &groups));
        resource(status, &body, &account.version.to_string(), &location)
    }

    fn membership(&self, source: &str, group: &GroupOf) -> Membership {
        Membership {
            value: group.native_id.clone(),
            display: group.display_name.clone(),
            location: format!("{}/Groups/{}", self.base(source), group.native_id),
        }
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
                groups.entry(group.account).or_default().push(self.membership(source, &group));
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
