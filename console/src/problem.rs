//! Errors of the admin API: what, and what to do next.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error on its way to the caller.
#[derive(Debug)]
pub(crate) struct Problem {
    status: u16,
    error: String,
    help: Option<&'static str>,
    matches: Option<Value>,
    problems: Option<Value>,
}

impl Problem {
    pub(crate) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), help: None, matches: None, problems: None }
    }

    pub(crate) fn help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404
    }

    /// What is wrong with a policy that was sent, each with its line and column.
    pub(crate) fn of_draft(problems: Vec<policy::Problem>) -> Self {
        let error = format!("the draft has {} problem(s)", problems.len());
        Self { problems: Some(json!(problems)), ..Self::new(400, error) }
    }

    /// Several answer to the name; here they are.
    pub(crate) fn several(who: &str, matches: Value) -> Self {
        let error = format!("{who} names several identities");
        Self { matches: Some(matches), ..Self::new(409, error) }.help("name one by its id")
    }
}

impl From<directory::Error> for Problem {
    fn from(error: directory::Error) -> Self {
        use directory::Error::*;
        match &error {
            Refused(why) => Problem::new(409, why.clone()),
            Unstorable { why } => Problem::new(400, *why),
            TooCostly => Problem::new(400, "the answer takes too long").help("ask for less"),
            Unavailable(_) | Conflict(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an admin call could not reach the database");
                Problem::new(503, "the database could not be reached").help("ask again; nothing was changed")
            }
            Taken { .. } | CheckpointMoved { .. } | Inconsistent { .. } | Statement(_) | NotOwner(_) | Migrate(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an admin call failed");
                Problem::new(500, "the call failed here and was not carried out").help("the log says why")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({"error": self.error});
        if let Some(help) = self.help {
            body["help"] = json!(help);
        }
        if let Some(matches) = self.matches {
            body["matches"] = matches;
        }
        if let Some(problems) = self.problems {
            body["problems"] = problems;
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"leaver\""));
        }
        response
    }
}
