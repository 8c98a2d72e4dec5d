//! The one error of this crate: what a caller of a SCIM endpoint is told (RFC 7644 §3.12).

use serde_json::{Value, json};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The `scimType` keywords of RFC 7644 §3.12, table 9, and of RFC 9865 §2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScimType {
    InvalidFilter,
    TooMany,
    Uniqueness,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
    InvalidVers,
    Sensitive,
    InvalidCursor,
    ExpiredCursor,
    InvalidCount,
}

impl ScimType {
    /// The keyword as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ScimType::InvalidFilter => "invalidFilter",
            ScimType::TooMany => "tooMany",
            ScimType::Uniqueness => "uniqueness",
            ScimType::Mutability => "mutability",
            ScimType::InvalidSyntax => "invalidSyntax",
            ScimType::InvalidPath => "invalidPath",
            ScimType::NoTarget => "noTarget",
            ScimType::InvalidValue => "invalidValue",
            ScimType::InvalidVers => "invalidVers",
            ScimType::Sensitive => "sensitive",
            ScimType::InvalidCursor => "invalidCursor",
            ScimType::ExpiredCursor => "expiredCursor",
            ScimType::InvalidCount => "invalidCount",
        }
    }
}

/// A refusal, ready to be sent.
///
/// `detail` says what is wrong, where, and how to mend it. It names attributes but never repeats their values: those may be
/// personal data or secrets, and error bodies end up in the logs of both sides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    /// HTTP status code.
    pub status: u16,
    pub scim_type: Option<ScimType>,
    pub detail: String,
}

impl Error {
    /// Any refusal that carries no `scimType`, such as 401, 404 or 412.
    pub fn status(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// A 400 with the given keyword.
    pub fn bad_request(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// 409: another resource of the same service already has this value of `attribute`.
    pub fn uniqueness(attribute: &str) -> Self {
        let detail = format!("another resource already has this `{}`", shown(attribute));
        Self { status: 409, scim_type: Some(ScimType::Uniqueness), detail }
    }

    /// A cursor that this service provider did not issue, or issued for another query.
    pub fn invalid_cursor() -> Self {
        let detail =
            "the cursor is not one of this query; send an empty one to begin, and then `nextCursor` as it was returned";
        Self::bad_request(ScimType::InvalidCursor, detail)
    }

    /// A cursor that is valid no longer.
    pub fn expired_cursor() -> Self {
        Self::bad_request(ScimType::ExpiredCursor, "the cursor has expired; begin again with an empty one")
    }

    /// 501: `/Me` is an alias of the caller's own resource (RFC 7644 §3.11), and the bearer of a directory's token is no user of
    /// that directory.
    pub fn no_me() -> Self {
        Self::status(501, "/Me is not supported: the token stands for a directory, not for one of its users")
    }

    /// 404 for a resource that is not there (or no longer).
    pub fn not_found() -> Self {
        Self::status(404, "there is no resource with this id")
    }

    /// The value at `path` is not what the attribute takes; `expected` completes the sentence "… takes …".
    pub(crate) fn invalid_value(path: &str, expected: &str) -> Self {
        Self::bad_request(ScimType::InvalidValue, format!("`{}` takes {expected}", shown(path)))
    }

    /// `path` is not for callers to change; `reason` completes the sentence.
    pub(crate) fn mutability(path: &str, reason: &str) -> Self {
        Self::bad_request(ScimType::Mutability, format!("`{}` {reason}", shown(path)))
    }

    pub(crate) fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidSyntax, detail)
    }

    pub(crate) fn invalid_path(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidPath, detail)
    }

    /// The response body. `status` is a string, as RFC 7644 §3.12 asks; an absent `scimType` is left out, not null.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "schemas": [crate::schema::ERROR],
            "status": self.status.to_string(),
            "detail": self.detail,
        });
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.as_str().into();
        }
        body
    }
}

/// `name` as it may be repeated to its sender: short, and only if it looks like an attribute name or path without a filter.
/// Anything else could be a value that was sent in the wrong place.
pub(crate) fn shown(name: &str) -> &str {
    const LONGEST: usize = 128;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_' | '$');
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(plain) { name } else { "(attribute)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_states_the_status_as_a_string() {
        let body = Error::invalid_value("active", "true or false").to_json();
        assert_eq!(
            body,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
                "status": "400",
                "scimType": "invalidValue",
                "detail": "`active` takes true or false",
            })
        );
    }

    #[test]
    fn an_absent_scim_type_is_left_out() {
        assert!(Error::not_found().to_json().get("scimType").is_none());
    }

    #[test]
    fn b1_15_a_conflict_carries_uniqueness() {
        let error = Error::uniqueness("userName");
        assert_eq!((error.status, error.scim_type), (409, Some(ScimType::Uniqueness)));
    }

    #[test]
    fn what_does_not_look_like_a_name_is_not_repeated() {
        for sent in ["", "ana@example.com", "emails[value eq \"x\"]", &"a".repeat(500)] {
            assert_eq!(shown(sent), "(attribute)");
        }
        assert_eq!(shown("name.givenName"), "name.givenName");
    }
}
