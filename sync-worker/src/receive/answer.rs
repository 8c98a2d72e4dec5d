//! Answers in SCIM's own form: resources, lists, and errors that say what, where and how to mend it.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Refusal {
    error: scim::Error,
    /// In how many seconds the same may be sent again.
    retry: Option<u64>,
}

/// Why a request was refused, beside the answer, for whoever counts and keeps it.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub scim::Error);

impl Refusal {
    pub(super) fn status(status: u16, detail: &str) -> Self {
        Self { error: scim::Error::status(status, detail), retry: None }
    }

    pub(super) fn not_found() -> Self {
        scim::Error::not_found().into()
    }

    /// The token has used up what it may; it may call again after `wait`.
    pub(super) fn too_many_requests(wait: Duration) -> Self {
        let error = scim::Error::status(429, "this token calls too often; send it again after the time in Retry-After");
        Self { error, retry: Some(wait.as_secs() + 1) }
    }

    /// Others are being served; nothing is wrong with the request.
    pub(super) fn busy() -> Self {
        Self { error: scim::Error::status(503, "too much is asked at once; send it again"), retry: Some(1) }
    }
}

impl From<scim::Error> for Refusal {
    fn from(error: scim::Error) -> Self {
        Self { error, retry: None }
    }
}

impl From<directory::Error> for Refusal {
    fn from(error: directory::Error) -> Self {
        match &error {
            directory::Error::Taken { what } => scim::Error::uniqueness(what).into(),
            directory::Error::Unstorable { why } => scim::Error::bad_request(scim::ScimType::InvalidValue, *why).into(),
            directory::Error::TooCostly => {
                let detail =
                    "finding this takes too long; filter by `id`, `userName`, `externalId` or `displayName`, too";
                scim::Error::bad_request(scim::ScimType::TooMany, detail).into()
            }
            directory::Error::Unavailable(_) | directory::Error::Conflict(_) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a SCIM request could not be stored; the client is told to retry"
                );
                Self {
                    error: scim::Error::status(503, "the change could not be stored now; send it again"),
                    retry: Some(1),
                }
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a SCIM request failed");
                Self { error: scim::Error::status(500, "the request failed here and was not carried out"), retry: None }
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = scim_json(status, &self.error.to_json());
        if let Some(seconds) = self.retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scim\""));
        }
        response.extensions_mut().insert(Refused(self.error));
        response
    }
}

/// A body of type `application/scim+json`.
pub(super) fn scim_json(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/scim+json"));
    response
}

/// A resource with its ETag; for a new one also its location.
pub(super) fn resource(status: StatusCode, body: &Value, version: &str, location: &str) -> Response {
    let mut response = scim_json(status, body);
    tag(&mut response, version);
    if let (StatusCode::CREATED, Ok(location)) = (status, HeaderValue::from_str(location)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The same of a resource that is there, with its ETag.
pub(super) fn changed_without_content(version: &str) -> Response {
    let mut response = no_content();
    tag(&mut response, version);
    response
}

fn tag(response: &mut Response, version: &str) {
    if let Ok(tag) = HeaderValue::from_str(&scim::render::etag(version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// A resource that was asked for; without it where the caller has this version (RFC 7644 §3.14).
pub(super) fn found(headers: &HeaderMap, body: &Value, version: &str, location: &str) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if !known.is_some_and(|known| scim::render::matches_version(known, version)) {
        return resource(StatusCode::OK, body, version, location);
    }
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tag(&mut response, version);
    response
}

/// The JSON body, within `limit` bytes.
pub(super) fn body(bytes: Result<Bytes, BytesRejection>, limit: usize) -> Result<Value, Refusal> {
    let bytes = bytes.map_err(|rejection| {
        Refusal::status(rejection.status().as_u16(), "the body could not be read or is too large")
    })?;
    Ok(scim::check_json(&bytes, limit)?)
}

/// Refuses with 412 when `If-Match` names another version (RFC 7644 §3.14).
pub(super) fn check_version(headers: &HeaderMap, version: &str) -> Result<(), scim::Error> {
    match headers.get(header::IF_MATCH).and_then(|v| v.to_str().ok()) {
        Some(wanted) if !scim::render::matches_version(wanted, version) => {
            Err(scim::Error::status(412, "the resource has changed since the version in If-Match; read it again"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_takes_too_long_is_too_many_and_a_database_that_is_away_is_worth_another_try() {
        let costly = Refusal::from(directory::Error::TooCostly);
        assert_eq!((costly.error.status, costly.error.scim_type), (400, Some(scim::ScimType::TooMany)));
        let later = Refusal::from(directory::Error::Unavailable(sqlx::Error::PoolTimedOut)).into_response();
        assert_eq!(later.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(later.headers()[header::RETRY_AFTER], "1");
    }
}
