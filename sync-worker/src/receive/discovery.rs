//! Discovery: what this service provider really does (RFC 7644 §4).

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use scim::ResourceType;
use scim::discovery::{Cursor, Features};

use super::answer::{Refusal, scim_json};
use super::{Shared, cursor};

type Answer = Result<Response, Refusal>;

pub(super) async fn service_provider_config(State(shared): State<Shared>, Path(source): Path<String>) -> Answer {
    let features = Features { bulk: true, sort: true, cursor: Some(Cursor { timeout: Some(cursor::TIMEOUT) }) };
    Ok(scim_json(StatusCode::OK, &scim::discovery::service_provider_config(&shared.base(&source), &features)))
}

pub(super) async fn resource_types(State(shared): State<Shared>, Path(source): Path<String>) -> Answer {
    Ok(scim_json(StatusCode::OK, &scim::discovery::resource_types(&shared.base(&source))))
}

pub(super) async fn resource_type(
    State(shared): State<Shared>,
    Path((source, name)): Path<(String, String)>,
) -> Answer {
    let kind = match name.as_str() {
        "User" => ResourceType::User,
        "Group" => ResourceType::Group,
        _ => return Err(Refusal::not_found()),
    };
    Ok(scim_json(StatusCode::OK, &scim::discovery::resource_type(&shared.base(&source), kind)))
}

pub(super) async fn schemas(State(shared): State<Shared>, Path(source): Path<String>) -> Answer {
    Ok(scim_json(StatusCode::OK, &scim::discovery::schemas(&shared.base(&source))))
}

pub(super) async fn schema(State(shared): State<Shared>, Path((source, urn)): Path<(String, String)>) -> Answer {
    let schema = scim::discovery::schema_by_urn(&shared.base(&source), &urn).ok_or_else(Refusal::not_found)?;
    Ok(scim_json(StatusCode::OK, &schema))
}

/// What a filter finds here would be taken for all that there is (RFC 7644 §4).
pub(super) async fn unfiltered(Query(asked): Query<Vec<(String, String)>>, request: Request, next: Next) -> Answer {
    if asked.iter().any(|(name, _)| name.eq_ignore_ascii_case("filter")) {
        return Err(Refusal::status(403, "discovery cannot be filtered; read all of it"));
    }
    Ok(next.run(request).await)
}

/// A token belongs to a source, and a source is nobody (RFC 7644 §3.11).
pub(super) async fn me() -> Refusal {
    scim::Error::no_me().into()
}
