//! Values as they are typed: durations, whole ids, the address of a server.

use std::time::Duration;

use url::Url;
use uuid::Uuid;

pub(super) fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    humantime::parse_duration(text).map_err(InvalidDuration)
}

#[derive(Debug, thiserror::Error)]
#[error("a duration is a number with ms, s, m, h or d behind it, such as 30s")]
pub(super) struct InvalidDuration(#[source] humantime::DurationError);

pub(super) fn whole_id(text: &str) -> Result<Uuid, InvalidId> {
    text.parse().map_err(InvalidId)
}

#[derive(Debug, thiserror::Error)]
#[error("what acts takes a whole id, such as 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8")]
pub(super) struct InvalidId(#[source] uuid::Error);

pub(super) fn server(text: &str) -> Result<Url, InvalidServer> {
    // `localhost:8471` is a URL, of the scheme `localhost`.
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(Url::has_host).ok_or(InvalidServer)
}

#[derive(Debug, thiserror::Error)]
#[error("a server is written http://HOST:PORT or https://HOST")]
pub(super) struct InvalidServer;
