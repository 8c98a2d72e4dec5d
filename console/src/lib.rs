//! The admin API: shows what is, and turns what people ask for into request rows that the workers take.

mod auth;
mod events;
mod groups;
mod holds;
mod identities;
mod ledger;
mod looks;
mod owed;
mod parked;
mod plans;
mod problem;
mod replay;
mod requests;
mod revocations;
mod tokens;
mod trace;
mod waiting;
mod whom;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post};
use directory::Directory;
use policy::Judge;

use problem::Problem;

/// What the routes share.
#[derive(Clone)]
pub struct Console {
    pub directory: Directory,
    /// Names of the configured downstreams, to refuse others at once.
    pub downstreams: Arc<[String]>,
    /// Names of the configured sources, which a draft may ask for accounts.
    pub sources: Arc<[String]>,
    /// What decides; here to try what it would decide.
    pub judge: Judge,
    /// The draft that is decided beside it.
    pub shadow: Option<Judge>,
    /// More people at once than this take a second person.
    pub mass: Option<u64>,
}

/// Largest body of an admin call.
const BODY: usize = 64 * 1024;
/// Largest draft of a policy, with what is around it.
const DRAFT: usize = 1024 * 1024;

/// The routes of the admin listener. Every one needs a bearer token, on loopback too.
pub fn routes(console: Console) -> Router {
    let api = Router::new()
        .route("/identities", get(identities::list))
        .route("/identities/{who}", get(identities::show))
        .route("/identities/{who}/sessions", get(looks::sessions))
        .route("/identities/{who}/trace", get(identities::trace))
        .route("/revocations", post(revocations::create))
        .route("/revocations/{id}", get(revocations::read))
        .route("/locks", post(revocations::lock))
        .route("/unlocks", post(revocations::unlock))
        .route("/sources", get(requests::sources))
        .route("/sources/{name}/sync", post(requests::sync))
        .route("/sources/{name}/plan", post(requests::plan))
        .route("/sources/{name}/pause", post(requests::pause))
        .route("/sources/{name}/resume", post(requests::resume))
        .route("/requests/{id}", get(requests::read))
        .route("/plans", get(plans::list))
        .route("/plans/{id}", get(plans::show))
        .route("/plans/{id}/approve", post(plans::approve))
        .route("/plans/{id}/reject", post(plans::reject))
        .route("/holds", get(holds::list))
        .route("/holds/{id}", get(holds::show))
        .route("/holds/{id}/approve", post(holds::approve))
        .route("/holds/{id}/reject", post(holds::reject))
        .route("/owed", get(owed::list))
        .route("/owed/{id}", get(owed::show))
        .route("/owed/{id}/retry", post(owed::retry))
        .route("/parked", get(parked::list))
        .route("/parked/{id}/retry", post(parked::retry))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/events", get(events::list))
        .route("/ledger/check", get(ledger::check))
        .route("/policy/replay", post(replay::replay).layer(DefaultBodyLimit::max(DRAFT)))
        .method_not_allowed_fallback(async || Problem::new(405, "this resource does not support the method"))
        .fallback(async || Problem::new(404, "there is no such resource in /api/v1"))
        .layer(middleware::from_fn_with_state(console.clone(), auth::require))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(console);
    Router::new().nest("/api/v1", api)
}
