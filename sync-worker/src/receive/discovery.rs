//! Discovery: what this service provider really does (RFC 7644 §4).

use axum::extract::{Path, State};
use axum::http::StatusCode;
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

/// A token belongs to a source, and a source is nobody (RFC 7644 §3.11).
pub(super) async fn me() -> Refusal {
    scim::Error::no_me().into()
}
