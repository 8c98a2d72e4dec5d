//! Carries out again what was refused, by the very routes that refused it, once somebody has mended the cause.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use directory::RefusedRequest;
use tower::ServiceExt;
use uuid::Uuid;

use super::answer::Refused;
use super::{Again, Shared, resources};
use crate::SyncWorker;

/// What came of a retry.
pub(crate) struct Retried {
    pub done: usize,
    /// Of the first one that was refused again.
    pub error: Option<String>,
}

const OVERTAKEN: &str =
    "the source has said something newer of it since, which this would overwrite; have it send the change again";

/// Carries out the kept requests of a parked record, oldest first. What is done is erased, what fails is kept.
pub(crate) async fn retry(worker: &Arc<SyncWorker>, source: &str, parked: Uuid) -> directory::Result<Retried> {
    let mut again = Retry { shared: Shared::new(worker.clone(), ""), source, own: BTreeMap::new() };
    let mut retried = Retried { done: 0, error: None };
    for request in worker.directory.refused_requests(parked).await? {
        match again.carry_out(&request).await? {
            None => {
                worker.directory.forget_refused(request.id).await?;
                retried.done += 1;
            }
            Some(error) => retried.error = retried.error.or(Some(error)),
        }
    }
    worker.directory.retried(parked, retried.error.as_deref()).await?;
    Ok(retried)
}

struct Retry<'a> {
    shared: Shared,
    source: &'a str,
    /// Versions that earlier requests of this retry have made: those are no news of the source.
    own: BTreeMap<String, i64>,
}

impl Retry<'_> {
    /// `None` when it is done, else why not.
    async fn carry_out(&mut self, request: &RefusedRequest) -> directory::Result<Option<String>> {
        let directory = &self.shared.worker.directory;
        let id = request.path.split('/').nth(2).unwrap_or_default().to_owned();
        let mut unchanged = None;
        if id.is_empty() {
            let text = |name: &str| request.body.as_ref().and_then(|body| body[name].as_str());
            let names = (text("userName"), text("externalId"));
            if directory.user_changed_since(self.source, names.0, names.1, request.received_at).await? {
                return Ok(Some(OVERTAKEN.to_owned()));
            }
        } else {
            if let Some((version, at)) = directory.version_of(self.source, &id).await? {
                if at > request.received_at && self.own.get(&id) != Some(&version) {
                    return Ok(Some(OVERTAKEN.to_owned()));
                }
                unchanged = Some(version);
            }
        }
        let refused = self.send(request, unchanged).await;
        if refused.is_none()
            && let Some((version, _)) = directory.version_of(self.source, &id).await?
        {
            self.own.insert(id, version);
        }
        Ok(refused)
    }

    /// Under the version that was looked at, so that what the source says meanwhile wins.
    async fn send(&self, request: &RefusedRequest, version: Option<i64>) -> Option<String> {
        let uri = format!("/scim/v2/{}{}", self.source, request.path);
        let mut built = Request::builder().method(request.method.as_str()).uri(uri).extension(Again);
        if let Some(version) = version {
            built = built.header(header::IF_MATCH, scim::render::etag(&version.to_string()));
        }
        let body = request.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let Ok(built) = built.body(Body::from(body)) else {
            return Some("its path cannot be understood".to_owned());
        };
        let Ok(response) = resources(self.shared.clone()).oneshot(built).await;
        if response.status().is_success() {
            return None;
        }
        let detail = response.extensions().get::<Refused>().map(|refused| refused.0.detail.clone());
        Some(detail.unwrap_or_else(|| format!("it was answered {}", response.status())))
    }
}
