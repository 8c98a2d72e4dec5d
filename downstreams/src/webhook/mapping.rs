//! Our words in the form of others; pure: the body is CloudEvents 1.0, the signature that of Standard Webhooks.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use lifecycle::Secret;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::Signal;

/// What a signature is made with. It has no `Debug`.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    /// `None` where the secret is not of the standard's form.
    pub(super) fn read(secret: &Secret) -> Option<Self> {
        let bytes = STANDARD.decode(secret.expose().strip_prefix("whsec_")?).ok()?;
        let long_enough = (24..=64).contains(&bytes.len());
        long_enough.then(|| Hmac::new_from_slice(&bytes).map(Self).ok())?
    }
}

/// The event with what the receiver calls whom it is about; `None` if it is none.
pub(super) fn body(signal: &Signal<'_>) -> Option<String> {
    let mut event: Value = serde_json::from_str(signal.event).ok()?;
    let names: Vec<&str> = signal.subject.names().collect();
    event.get_mut("data")?.as_object_mut()?.insert("subjects".to_owned(), json!(names));
    Some(event.to_string())
}

/// The header `webhook-signature`: one for each key.
pub(super) fn signatures(keys: &[Key], id: &str, seconds: u64, body: &str) -> String {
    let signature = |key: &Key| {
        let mut mac = key.0.clone();
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    };
    keys.iter().map(signature).collect::<Vec<_>>().join(" ")
}
