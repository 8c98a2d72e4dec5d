//! What every request passes: first who sends it, how often and how large it is; then what came of it is counted, and kept where
//! it was not understood.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use directory::Refused;
use scim::ResourceType;
use scim::limits::GROUP_BODY;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::{Refusal, Refused as Why};
use super::{Again, Shared, secrets};

/// Largest body that is kept to be carried out again.
const KEPT: usize = 256 * 1024;

/// What the listener can bear: how many requests are served at once, and for how long a slow one is waited for.
#[derive(Debug)]
pub(super) struct Intake {
    /// Others wait for their turn. Each uses one connection of the pool at most.
    turns: Semaphore,
    /// How long a request waits for others before it is told to come again.
    turn_within: Duration,
    /// How long a body may be on its way. Nothing waits for it but its own connection.
    body_within: Duration,
}

impl Default for Intake {
    fn default() -> Self {
        Self { turns: Semaphore::new(64), turn_within: Duration::from_secs(10), body_within: Duration::from_secs(30) }
    }
}

impl Intake {
    /// The body, all of it.
    async fn body(&self, body: Body) -> Result<Bytes, Refusal> {
        match tokio::time::timeout(self.body_within, to_bytes(body, GROUP_BODY)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => {
                let detail = format!("the body broke off, or is longer than {GROUP_BODY} bytes; send less at once");
                Err(Refusal::status(413, &detail))
            }
            Err(_) => Err(Refusal::status(408, "the body took too long to arrive; send it again")),
        }
    }

    /// A turn to be served, until it is dropped.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        match tokio::time::timeout(self.turn_within, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Refusal::busy()),
        }
    }
}

/// The source and what is below it, of a path such as `/scim/v2/okta/Users/1`.
fn below(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/scim/v2/")?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some((&rest[..end], &rest[end..]))
}

/// Lets in whom the token of the source belongs to, no more often than agreed, with a body that is all there.
pub(super) async fn admit(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    admitted(&shared, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn admitted(shared: &Shared, request: Request, next: Next) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let Some((source, _)) = below(parts.uri.path()) else {
        return Err(Refusal::status(404, "there is nothing here; SCIM is at /scim/v2/{source}"));
    };
    let digest = shared.admit(source, &parts.headers).await?;
    if let Some(wait) = shared.too_soon(source, &digest) {
        shared.worker.metrics.scim(source, "throttled");
        return Err(Refusal::too_many_requests(wait));
    }
    check_type(&parts.headers)?;
    let body = match shared.intake.body(body).await {
        Ok(body) => body,
        Err(refusal) => {
            shared.worker.metrics.scim(source, "refused");
            return Err(refusal);
        }
    };
    let _turn = shared.intake.turn().await?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

/// Anything that says it is JSON, or does not say what it is (RFC 7644 §3.1 and §8.1).
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(said) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let said = said.to_str().unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    let known = ["application/scim+json", "application/json", ""];
    if known.iter().any(|known| known.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    Err(Refusal::status(415, "the body must be application/scim+json or application/json"))
}

/// Counts what came of a request, and parks one that was not understood.
pub(super) async fn follow(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Some((source, path)) = below(parts.uri.path()) else { return Refusal::not_found().into_response() };
    let (source, path) = (source.to_owned(), path.to_owned());
    let again = parts.extensions.get::<Again>().is_some();
    let method = parts.method.clone();
    let body = match to_bytes(body, GROUP_BODY).await {
        Ok(body) => body,
        Err(_) => return Refusal::status(413, "the body is too large").into_response(),
    };
    if !again {
        shared.look_at(&source, &path, &body, parts.uri.query()).await;
    }
    let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    let outcome = match response.status() {
        status if status.is_server_error() => "failed",
        status if status.is_client_error() => "refused",
        _ => "ok",
    };
    shared.worker.metrics.scim(&source, outcome);
    if outcome == "refused" && !again && is_parked(&method, &path, response.status()) {
        let reason = response.extensions().get::<Why>().map(|why| why.0.detail.clone());
        shared.park(&source, &method, &path, &body, reason.as_deref().unwrap_or("it was refused")).await;
    }
    response
}

/// Questions change nothing, and a caller whose version is old reads again: neither leaves anything for a person to do.
fn is_parked(method: &Method, path: &str, status: StatusCode) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    writes && !path.ends_with("/.search") && status != StatusCode::PRECONDITION_FAILED
}

impl Shared {
    /// What of it only some providers send.
    async fn look_at(&self, source: &str, path: &str, body: &Bytes, query: Option<&str>) {
        let resource = match path.split('/').nth(1) {
            Some("Users") => ResourceType::User,
            Some("Groups") => ResourceType::Group,
            _ => return,
        };
        // Shapes show in small bodies as well; a full push of members is not read twice for them.
        if body.len() > scim::limits::USER_BODY {
            return;
        }
        // What cannot be read is refused by its route, in better words.
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        self.note_quirks(source, resource, &body, query).await;
    }

    /// By its place and reason, with its shape; what could be carried out again is kept for a week beside it.
    async fn park(&self, source: &str, method: &Method, path: &str, body: &Bytes, reason: &str) {
        let resource = path.split('/').nth(1).unwrap_or_default();
        let parsed: Option<Value> = scim::check_json(body, GROUP_BODY).ok();
        // Of a bulk request each operation is kept by itself.
        let kept = body.len() <= KEPT && ["Users", "Groups"].contains(&resource);
        let original = parsed.as_ref().filter(|_| kept).map(secrets::without);
        let example = parsed.as_ref().map(scim::redact::redact);
        let refused = Refused {
            source,
            place: &format!("{method} /{}", known(resource)),
            reason,
            example: example.as_ref(),
            method: method.as_str(),
            path,
            original: original.as_ref(),
        };
        if let Err(error) = self.worker.directory.park_refused(&refused).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refused SCIM request could not be parked");
        }
    }
}

/// Anybody may write anything into a path.
fn known(resource: &str) -> &str {
    let known = ["Users", "Groups", "Bulk", "Me"];
    if known.contains(&resource) { resource } else { "(unknown)" }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use futures::StreamExt;
    use futures::stream;

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    /// A listener that serves one at a time and waits for nobody.
    fn strict() -> Intake {
        Intake { turns: Semaphore::new(1), turn_within: AT_ONCE, body_within: AT_ONCE }
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_given_up_and_one_that_is_there_is_taken() {
        let begun = stream::iter([Ok::<_, std::convert::Infallible>("{")]).chain(stream::pending());
        let refused = strict().body(Body::from_stream(begun)).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(strict().body(Body::from("{}")).await.unwrap(), "{}");
        let broken = stream::iter([Err::<&str, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
        let refused = strict().body(Body::from_stream(broken)).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn whoever_comes_while_all_are_served_is_told_when_to_come_again() {
        let intake = strict();
        let turn = intake.turn().await.unwrap();
        let refused = intake.turn().await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        drop(turn);
        assert!(intake.turn().await.is_ok());
    }
}
