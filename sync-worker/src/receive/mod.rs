//! What sources push: a SCIM 2.0 service provider per source, at `/scim/v2/{source}`. Every answer comes after the commit.

mod answer;
mod auth;
mod bulk;
mod cursor;
mod dialect;
mod discovery;
mod groups;
mod intake;
mod lists;
mod retry;
mod secrets;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use chrono::Utc;
use directory::{Burst, Cause};
use lifecycle::Class;

use crate::SyncWorker;
use answer::Refusal;
pub use dialect::Seen;
use intake::Intake;
pub(crate) use retry::{Retried, retry};

/// What the routes share.
#[derive(Clone)]
struct Shared {
    worker: Arc<SyncWorker>,
    /// Without a slash at the end, such as `http://127.0.0.1:8470`.
    base: Arc<str>,
    intake: Arc<Intake>,
}

/// On a request that was parked and is carried out again: should it fail again, its record is there already.
#[derive(Clone, Copy)]
struct Again;

impl Shared {
    fn new(worker: Arc<SyncWorker>, base: &str) -> Self {
        Self { worker, base: base.trim_end_matches('/').into(), intake: Arc::default() }
    }

    /// The burst of a source whose token was accepted.
    fn burst(&self, source: &str) -> Burst {
        self.worker.pushed.get(source).map_or(Burst { count: 0, window: Duration::ZERO }, |pushed| pushed.burst)
    }

    fn base(&self, source: &str) -> String {
        format!("{}/scim/v2/{source}", self.base)
    }
}

/// The routes of the public listener. `base` is its address as callers see it.
pub fn routes(worker: Arc<SyncWorker>, base: &str) -> Router {
    let shared = Shared::new(worker, base);
    resources(shared.clone()).layer(from_fn_with_state(shared, intake::admit)).layer(from_fn(crate::trace::request))
}

/// What a request reaches once it is let in: from outside, or as something that was refused and is carried out again.
fn resources(shared: Shared) -> Router {
    Router::new()
        .route("/scim/v2/{source}/Users", get(lists::users).post(users::create))
        .route("/scim/v2/{source}/Users/.search", post(lists::search_users))
        .route(
            "/scim/v2/{source}/Users/{id}",
            get(users::read).put(users::replace).patch(users::patch).delete(users::delete),
        )
        .route("/scim/v2/{source}/Groups", get(lists::groups).post(groups::create))
        .route("/scim/v2/{source}/Groups/.search", post(lists::search_groups))
        .route(
            "/scim/v2/{source}/Groups/{id}",
            get(groups::read).put(groups::replace).patch(groups::patch).delete(groups::delete),
        )
        .route("/scim/v2/{source}/Bulk", post(bulk::carry_out))
        .route("/scim/v2/{source}/.search", post(lists::search_all))
        .merge(discovered())
        .route("/scim/v2/{source}/Me", any(discovery::me))
        .method_not_allowed_fallback(async || Refusal::status(405, "this resource does not support the method"))
        .fallback(async || {
            Refusal::status(404, "there is no such endpoint; see /ServiceProviderConfig and /ResourceTypes")
        })
        .layer(DefaultBodyLimit::max(scim::limits::GROUP_BODY))
        .layer(from_fn_with_state(shared.clone(), intake::follow))
        .with_state(shared)
}

/// What says of itself what it can do.
fn discovered() -> Router<Shared> {
    Router::new()
        .route("/scim/v2/{source}/ServiceProviderConfig", get(discovery::service_provider_config))
        .route("/scim/v2/{source}/ResourceTypes", get(discovery::resource_types))
        .route("/scim/v2/{source}/ResourceTypes/{name}", get(discovery::resource_type))
        .route("/scim/v2/{source}/Schemas", get(discovery::schemas))
        .route("/scim/v2/{source}/Schemas/{urn}", get(discovery::schema))
        .route_layer(from_fn(discovery::unfiltered))
}

/// A push is a change of class 1, received now; a push-only source states no earlier time at which it took effect.
fn cause(source: &str, via: &'static str) -> Cause {
    let now = Utc::now();
    Cause {
        source: Some(source.to_owned()),
        class: Class::Prompt,
        effective_at: Some(now),
        received_at: Some(now),
        trace: crate::trace::current(),
        via,
    }
}
