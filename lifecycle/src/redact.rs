//! A value that must not appear in logs, errors or debug output.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// A secret in memory. Its `Debug` is `***`; it has no `Serialize`, so that it cannot be written out by accident.
///
/// In a schema it is a string of `format: password`; the configuration resolves references exactly there.
#[derive(Clone, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transparent, description = "A secret: `env:NAME`, `file:PATH`, or the value itself.", extend("format" = "password"))]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; call it only where it is handed to the system that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Secret)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
