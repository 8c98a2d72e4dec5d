//! `/Users`: each write is one apply transaction, so every shape of a deactivation ends sessions the same way.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use directory::{AccountRow, UserFilter};
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, Standing};
use scim::filter::{Comparison, Literal};
use scim::limits::USER_BODY;
use scim::render::Meta;
use scim::{Filter, Patch, ResourceType, ScimType, User};
use serde_json::Value;

use super::answer::{Refusal, body, check_version, no_content, resource, scim_json};
use super::{Shared, cause};

type Answer = Result<Response, Refusal>;

pub(super) async fn create(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    shared.admit(&source, &headers).await?;
    shared.counted(&source, "POST /Users", shared.create_user(&source, bytes).await).await
}

pub(super) async fn replace(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    shared.admit(&source, &headers).await?;
    let done = async {
        let user = User::parse(&body(bytes, USER_BODY)?)?;
        shared.change_user(&source, &id, "SCIM PUT", &headers, |_| Ok(user.clone())).await
    };
    shared.counted(&source, "PUT /Users", done.await).await
}

pub(super) async fn patch(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    shared.admit(&source, &headers).await?;
    let done = async {
        let patch = Patch::parse(&body(bytes, USER_BODY)?)?;
        shared
            .change_user(&source, &id, "SCIM PATCH", &headers, |current| User::parse(&patch.apply_to_user(current)?))
            .await
    };
    shared.counted(&source, "PATCH /Users", done.await).await
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    shared.admit(&source, &headers).await?;
    let done = async {
        let cause = cause(&source, "SCIM DELETE");
        if shared.worker.directory.delete_user(&cause, shared.burst(&source), &id).await? {
            shared.worker.metrics.committed(&cause);
            Ok(no_content())
        } else {
            Err(Refusal::not_found())
        }
    };
    shared.counted(&source, "DELETE /Users", done.await).await
}

pub(super) async fn read(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    shared.admit(&source, &headers).await?;
    let query = scim::Query::parse(ResourceType::User, pairs)?;
    let row = shared.worker.directory.user(&source, &id).await?.ok_or_else(Refusal::not_found)?;
    let location = shared.location(&source, &row);
    Ok(resource(StatusCode::OK, &query.project(&render(&row, &location)), &row.version.to_string(), &location))
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    shared.admit(&source, &headers).await?;
    let query = scim::Query::parse(ResourceType::User, pairs)?;
    let filter = query.filter.as_ref().map(conditions).transpose()?.unwrap_or_default();
    let start_index = by_index(&query)?;
    let start = i64::try_from(start_index.saturating_sub(1)).unwrap_or(i64::MAX);
    let count = i64::try_from(query.count).unwrap_or(i64::MAX);
    let (rows, total) = shared.worker.directory.users(&source, &filter, start, count).await?;
    let resources = rows.iter().map(|row| query.project(&render(row, &shared.location(&source, row)))).collect();
    Ok(scim_json(StatusCode::OK, &scim::list::response(total.unsigned_abs(), start_index, resources)))
}

impl Shared {
    async fn create_user(&self, source: &str, bytes: Result<Bytes, BytesRejection>) -> Answer {
        let user = User::parse(&body(bytes, USER_BODY)?)?;
        let standing = stated(&user, Standing::Active);
        let facts = facts(user, directory::new_id(), standing);
        let cause = cause(source, "SCIM POST");
        let row = self.worker.directory.create_user(&cause, self.burst(source), &facts).await?;
        self.worker.metrics.committed(&cause);
        let location = self.location(source, &row);
        Ok(resource(StatusCode::CREATED, &render(&row, &location), &row.version.to_string(), &location))
    }

    async fn change_user(
        &self,
        source: &str,
        id: &str,
        via: &'static str,
        headers: &HeaderMap,
        change: impl Fn(&Value) -> Result<User, scim::Error> + Sync,
    ) -> Answer {
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
        let location = self.location(source, &row);
        Ok(resource(StatusCode::OK, &render(&row, &location), &row.version.to_string(), &location))
    }

    fn location(&self, source: &str, row: &AccountRow) -> String {
        format!("{}/Users/{}", self.base(source), row.native_id)
    }

    /// Counts the request; one that was not understood is also parked, by its place and reason, without its content.
    pub(super) async fn counted(&self, source: &str, place: &str, answer: Answer) -> Answer {
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(refusal) if refusal.is_of_client() => "refused",
            Err(_) => "failed",
        };
        self.worker.metrics.scim(source, outcome);
        if let Err(refusal) = &answer
            && outcome == "refused"
            && let Err(error) = self.worker.directory.park(source, place, refusal.detail()).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refused SCIM request could not be parked");
        }
        answer
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

fn render(row: &AccountRow, location: &str) -> Value {
    let version = row.version.to_string();
    let meta = Meta {
        id: &row.native_id,
        version: &version,
        created: row.created_at,
        last_modified: row.changed_at,
        location,
    };
    scim::render::user(&row.attributes, &meta)
}

/// The conditions that the directory finds users by; all of them must hold.
fn conditions(filter: &Filter) -> Result<Vec<UserFilter>, scim::Error> {
    match filter {
        Filter::And(all) => Ok(all.iter().map(conditions).collect::<Result<Vec<_>, _>>()?.concat()),
        Filter::Compare { attribute, op: Comparison::Eq, value: Literal::String(text) } => {
            let text = text.clone();
            Ok(vec![match (attribute.name, attribute.extension) {
                ("id", None) => UserFilter::Id(text),
                ("userName", None) => UserFilter::UserName(text),
                ("externalId", None) => UserFilter::ExternalId(text),
                ("displayName", None) => UserFilter::DisplayName(text),
                _ => return Err(unsupported()),
            }])
        }
        Filter::Values { attribute, filter } if attribute.name == "emails" => email(filter).map(|email| vec![email]),
        _ => Err(unsupported()),
    }
}

fn email(filter: &Filter) -> Result<UserFilter, scim::Error> {
    let parts = match filter {
        Filter::And(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let stated = |wanted: &str| {
        parts.iter().find_map(|part| match part {
            Filter::Compare { attribute, op: Comparison::Eq, value: Literal::String(text) }
                if attribute.name == wanted =>
            {
                Some(text.clone())
            }
            _ => None,
        })
    };
    match (stated("value"), stated("type"), parts.len()) {
        (Some(value), None, 1) => Ok(UserFilter::Email { value, kind: None }),
        (Some(value), kind @ Some(_), 2) => Ok(UserFilter::Email { value, kind }),
        _ => Err(unsupported()),
    }
}

/// A filter that is understood but not found by yet.
pub(super) fn unsupported() -> scim::Error {
    let detail =
        "only `eq` and `and` are supported, on id, externalId, userName, displayName and the addresses of emails";
    scim::Error::bad_request(ScimType::InvalidFilter, detail)
}

/// The first resource wanted; there are no cursors yet.
pub(super) fn by_index(query: &scim::Query) -> Result<u64, scim::Error> {
    match query.page {
        scim::Page::Index(start) => Ok(start),
        scim::Page::First | scim::Page::Cursor(_) => Err(scim::Error::invalid_cursor()),
    }
}
