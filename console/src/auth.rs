//! Lets in who has an admin token, and says who it is.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use directory::TokenKind;

use crate::{Console, problem::Problem};

/// The name on the token that a call came with.
#[derive(Debug, Clone)]
pub(crate) struct Administrator(pub String);

pub(crate) async fn require(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let refused = || {
        Problem::new(401, "an admin token is required")
            .help("LEAVER_TOKEN, or the file admin.token in data_dir, holds one")
    };
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned())
        .ok_or_else(refused)?;
    let name = console.directory.check_token(TokenKind::Admin, &token).await?.ok_or_else(refused)?;
    request.extensions_mut().insert(Administrator(name));
    Ok(next.run(request).await)
}
