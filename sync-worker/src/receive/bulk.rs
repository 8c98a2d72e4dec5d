//! `/Bulk` (RFC 7644 §3.7): each operation goes the way of a single request, in a transaction of its own, and the answer comes after
//! the last of them.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use scim::bulk::{Bulk, Done, Method, Run, Step};
use scim::limits::{BULK_BODY, GROUP_BODY};
use serde_json::Value;
use tower::ServiceExt;

use super::answer::{Refusal, Refused, body, scim_json};
use super::{Shared, resources};

pub(super) async fn carry_out(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let bulk = Bulk::parse(&body(bytes, BULK_BODY)?)?;
    let mut run = Run::new(bulk, &shared.base(&source));
    let routes = resources(shared);
    while let Some(step) = run.next() {
        run.done(take(routes.clone(), &source, &step).await);
    }
    Ok(scim_json(StatusCode::OK, &run.response()))
}

async fn take(routes: Router, source: &str, step: &Step) -> Result<Done, scim::Error> {
    let id = step.id.as_deref().map(|id| format!("/{id}")).unwrap_or_default();
    // The response has no resources in it: their members and groups need not be read.
    let asked = if step.method == Method::Delete { "" } else { "?attributes=id" };
    let uri = format!("/scim/v2/{source}{}{id}{asked}", step.resource.endpoint());
    let mut request = Request::builder().method(step.method.as_str()).uri(uri);
    if let Some(version) = &step.version {
        request = request.header(header::IF_MATCH, version);
    }
    let body = if step.data.is_null() { Body::empty() } else { Body::from(step.data.to_string()) };
    let Ok(request) = request.body(body) else { return Err(scim::Error::not_found()) };
    let Ok(response) = routes.oneshot(request).await;
    if let Some(Refused(error)) = response.extensions().get() {
        return Err(error.clone());
    }
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let version = tag.map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
    if !response.status().is_success() {
        return Err(scim::Error::status(response.status().as_u16(), "it could not be carried out"));
    }
    let id = match &step.id {
        Some(id) => Some(id.clone()),
        None => created(response).await,
    };
    let id = id.ok_or_else(|| scim::Error::status(500, "the answer to this operation has no id"))?;
    Ok(Done { id, version })
}

async fn created(response: Response) -> Option<String> {
    let bytes = to_bytes(response.into_body(), GROUP_BODY).await.ok()?;
    let resource: Value = serde_json::from_slice(&bytes).ok()?;
    resource["id"].as_str().map(str::to_owned)
}
