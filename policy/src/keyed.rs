//! The function `hmac(text)`: what somebody is called, hidden behind a key that only subscribers share.

use std::sync::LazyLock;

use cel::{ExecutionError, Value};
use hmac::{Hmac, KeyInit, Mac};
use lifecycle::Secret;
use sha2::Sha256;

use crate::expression::{self, Root};
use crate::naming::text;
use crate::vocabulary::HMAC;

/// Shorter ones can be guessed, and with them every address that was hidden.
const SHORTEST: usize = 16;

/// Why names cannot be hidden.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `hmac` is used by the subject of this name, and there is no key.
    #[error("`{0}` uses hmac, which needs a key")]
    Missing(String),
    #[error("the key is shorter than {SHORTEST} bytes")]
    TooShort,
}

/// The key as [`Hmac`] keeps it: without a way back to what was given, and without `Debug`.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    /// The key is the UTF-8 bytes of the secret.
    pub fn new(secret: &Secret) -> Result<Self, KeyError> {
        let bytes = secret.expose().as_bytes();
        if bytes.len() < SHORTEST {
            return Err(KeyError::TooShort);
        }
        Ok(Self::of(bytes))
    }

    fn of(bytes: &[u8]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length"))
    }

    /// HMAC-SHA256 (RFC 2104) of the UTF-8 bytes, in lower-case hex.
    pub fn hide(&self, text: &str) -> String {
        hex::encode(self.0.clone().chain_update(text).finalize().into_bytes())
    }

    /// The functions of expressions, with an `hmac` that first changes its text so.
    pub fn root(&self, change: fn(&str) -> String) -> Root {
        let key = self.clone();
        let hmac = move |value: Value| -> Result<Value, ExecutionError> {
            let hidden = text(&value).ok_or_else(|| no_such_overload(value.type_of().to_string()))?;
            // The hash of nothing would be a name that many people share.
            if hidden.is_empty() {
                return Err(no_such_overload("null".to_owned()));
            }
            Ok(key.hide(&change(&hidden)).into())
        };
        let mut root = expression::root();
        root.add_function(HMAC, hmac).expect("no standard function has this name");
        root
    }
}

fn no_such_overload(argument: String) -> ExecutionError {
    ExecutionError::no_such_overload(HMAC, vec![argument])
}

/// For trying expressions before there is a key.
pub(crate) static TRIAL: LazyLock<Root> = LazyLock::new(|| Key::of(b"").root(str::to_owned));
