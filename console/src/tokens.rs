//! Bearer tokens: shown once, when they are made.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::Utc;
use directory::TokenKind;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Console, problem::Problem};

pub(crate) async fn list(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": console.directory.tokens().await?})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    admin: Option<String>,
    #[serde(default, with = "humantime_serde")]
    expires: Option<Duration>,
}

pub(crate) async fn create(
    State(console): State<Console>,
    wish: Result<Json<Wish>, axum::extract::rejection::JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(wish) = wish.map_err(|e| Problem::new(400, e.body_text()))?;
    let (kind, name) = match (&wish.source, &wish.admin) {
        (Some(source), None) => (TokenKind::Source, source),
        (None, Some(admin)) => (TokenKind::Admin, admin),
        _ => return Err(Problem::new(400, "a token is for one source or for one administrator")),
    };
    if name.trim().is_empty() {
        return Err(Problem::new(400, "a token needs a name"));
    }
    if kind == TokenKind::Source && console.directory.source(name).await?.is_none() {
        return Err(Problem::new(404, format!("no source is called {name}")).help("leaver source list shows them"));
    }
    let expires_at = wish.expires.map(|life| Utc::now() + life);
    let token = directory::generate_token();
    let id = console.directory.create_token(kind, name, &token, expires_at).await?;
    let body = json!({"id": id, "token": token, "source": wish.source, "admin": wish.admin, "expires_at": expires_at.as_ref().map(directory::instant::text)});
    Ok((StatusCode::CREATED, Json(body)))
}

pub(crate) async fn revoke(State(console): State<Console>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    if console.directory.revoke_token(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(404, format!("no live token has the id {id}")))
    }
}
