//! What `django.contrib.sessions` keeps in a row; pure.
//!
//! `django.core.signing.dumps`: base64 of JSON, with a dot before it if it is compressed, then the time of saving and a
//! signature, with colons between. We hold no key, and need none to read it.

use std::io::Read;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::read::ZlibDecoder;
use serde::Deserialize;
use serde_json::Value;

/// More than any session; what claims to unfold further is none.
const LONGEST: u64 = 16 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nobody,
    Somebody(String),
    /// Another serializer's, or no session.
    Unreadable,
}

#[derive(Deserialize)]
struct Session {
    #[serde(rename = "_auth_user_id", default)]
    user: Value,
}

/// The id under which `django.contrib.auth` knows who is signed in.
pub(super) fn user(data: &str) -> Seen {
    match read(data).map(|session| session.user) {
        Some(Value::String(id)) => Seen::Somebody(id),
        Some(Value::Number(id)) => Seen::Somebody(id.to_string()),
        Some(_) => Seen::Nobody,
        None => Seen::Unreadable,
    }
}

fn read(data: &str) -> Option<Session> {
    let (signed, _signature) = data.rsplit_once(':')?;
    let (payload, _time) = signed.rsplit_once(':')?;
    let Some(compressed) = payload.strip_prefix('.') else {
        return serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok();
    };
    let compressed = URL_SAFE_NO_PAD.decode(compressed).ok()?;
    let mut json = Vec::new();
    ZlibDecoder::new(&*compressed).take(LONGEST).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
