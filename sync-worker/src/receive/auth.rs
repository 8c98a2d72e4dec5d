//! Bearer tokens of sources: given by the configuration or created by `leaver token create --source`.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use directory::TokenKind;
use governor::clock::Clock;
use subtle::ConstantTimeEq;

use super::Shared;
use super::answer::Refusal;

impl Shared {
    /// Lets the request in when its token belongs to this very source, and returns the digest of that token. An unknown source
    /// and a wrong token look alike.
    pub(super) async fn admit(&self, source: &str, headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
        let refused = || {
            Refusal::status(401, "a bearer token of this source is required; leaver token create --source makes one")
        };
        let presented = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(refused)?;
        let Some(pushed) = self.worker.pushed.get(source) else { return Err(refused()) };
        let digest = directory::hash_token(presented);
        // Digests of equal length: the comparison takes the same time wherever they differ.
        let configured = pushed
            .tokens
            .iter()
            .fold(false, |known, token| known | bool::from(directory::hash_token(token.expose()).ct_eq(&digest)));
        if configured {
            return Ok(digest);
        }
        match self.worker.directory.check_token(TokenKind::Source, presented).await? {
            Some(name) if name == source => Ok(digest),
            _ => Err(refused()),
        }
    }

    /// How long this token has to wait, if it calls too often.
    pub(super) fn too_soon(&self, source: &str, digest: &Vec<u8>) -> Option<Duration> {
        let rates = &self.worker.pushed.get(source)?.rates;
        rates.check_key(digest).err().map(|until| until.wait_time_from(rates.clock().now()))
    }
}
