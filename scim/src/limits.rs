//! What a request may cost, and the check of a body before anything is understood of it.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::json::Distinct;

/// Body of a request about one user, in bytes.
pub const USER_BODY: usize = 1024 * 1024;
/// Body of a request about one group, in bytes: a full push of 100,000 members takes about 10 MiB.
pub const GROUP_BODY: usize = 16 * 1024 * 1024;
/// Body of a bulk request, in bytes: `maxPayloadSize` of `/ServiceProviderConfig`.
pub const BULK_BODY: usize = 4 * 1024 * 1024;
/// Operations in one bulk request: `maxOperations` of `/ServiceProviderConfig`.
pub const BULK_OPERATIONS: usize = 1_000;
/// Levels of arrays and objects in a body.
pub const JSON_DEPTH: usize = 32;
/// Operations in one PATCH.
pub const OPERATIONS: usize = 1_000;
/// Attributes of a resource, and of each extension of it. Names are compared one by one, so their number must have a bound.
pub const ATTRIBUTES: usize = 1_000;
/// Values of a multi-valued attribute. Members of a group are no such list: they have no bound but that of the body.
pub const VALUES: usize = 1_000;
/// Length of a filter or of a PATCH path, in bytes.
pub const FILTER_LENGTH: usize = 4_096;
/// Levels of parentheses and brackets in a filter.
pub const FILTER_DEPTH: usize = 16;
/// Comparisons in a filter: each may become a condition in a database.
pub const FILTER_COMPARISONS: usize = 100;
/// Names in `attributes` or `excludedAttributes`: each is looked for in each resource of a page.
pub const SELECTED: usize = 100;
/// Length of a cursor, in bytes.
pub const CURSOR_LENGTH: usize = 2_048;
/// Resources on one page of a list, also what `/ServiceProviderConfig` advertises.
pub const PAGE: u64 = 1_000;
/// Resources on a page when the caller does not say.
pub const DEFAULT_PAGE: u64 = 100;

/// Parses a body of at most `limit` bytes.
///
/// # Errors
/// 413 above `limit`; `invalidSyntax` for what is no JSON (with line and column, never the content), nests deeper than
/// [`JSON_DEPTH`], or states a name twice in one object, in any case.
pub fn check_json(body: &[u8], limit: usize) -> Result<Value> {
    if body.len() > limit {
        return Err(Error::status(413, format!("the body is longer than {limit} bytes; send less at once")));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid_syntax("the body is empty; send a JSON object"));
    }
    if let Some(at) = deeper_than(body, JSON_DEPTH) {
        let detail = format!("the body nests deeper than {JSON_DEPTH} levels at byte {at}");
        return Err(Error::invalid_syntax(detail));
    }
    serde_json::from_slice(body).map(|Distinct(value)| value).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "an object states a name twice" } else { "the body is not JSON" };
        Error::invalid_syntax(format!("{what}: see line {line}, column {column}"))
    })
}

/// The first byte that opens a level below `depth`. Works on anything, so that the parser never sees deep input.
fn deeper_than(body: &[u8], depth: usize) -> Option<usize> {
    let (mut level, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in body.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                level += 1;
                if level > depth {
                    return Some(at);
                }
            }
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ScimType;

    #[test]
    fn a_body_above_the_limit_is_too_large() {
        assert_eq!(check_json(b"{\"a\":1}", 6).unwrap_err().status, 413);
        assert_eq!(check_json(b"{\"a\":1}", 7), Ok(json!({"a": 1})));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check_json(nested(JSON_DEPTH).as_bytes(), USER_BODY).is_ok());
        let error = check_json(nested(JSON_DEPTH + 1).as_bytes(), USER_BODY).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidSyntax));
        assert!(check_json(nested(1_000_000).as_bytes(), 2_000_000).is_err());
        let text = serde_json::to_vec(&json!("[\"{".repeat(100))).unwrap();
        assert!(check_json(&text, USER_BODY).is_ok());
    }

    #[test]
    fn what_is_no_json_is_located_but_not_repeated() {
        let error = check_json(b"{\n  \"password\": hunter2\n}", USER_BODY).unwrap_err();
        assert_eq!(error.detail, "the body is not JSON: see line 2, column 15");
        assert!(check_json(b"  ", USER_BODY).unwrap_err().detail.contains("empty"));
    }

    #[test]
    fn b1_02_a_name_that_is_stated_twice_is_refused_rather_than_guessed() {
        for body in [
            r#"{"active": true, "active": false}"#,
            r#"{"Operations": [{"op": "replace", "path": "active", "value": true, "Value": false}]}"#,
            r#"[{"a": {"b": [1, {"x": 1, "X": 1}]}}]"#,
        ] {
            let error = check_json(body.as_bytes(), USER_BODY).unwrap_err();
            assert_eq!(error.scim_type, Some(ScimType::InvalidSyntax));
            assert!(error.detail.starts_with("an object states a name twice: see line 1, column "), "{}", error.detail);
        }
        let names = |count: usize| (0..count).map(|at| format!("\"a{at}\": 1")).collect::<Vec<_>>().join(",");
        assert!(check_json(format!("{{{}}}", names(100)).as_bytes(), USER_BODY).is_ok());
        assert!(check_json(format!("{{{}, \"A50\": 1}}", names(100)).as_bytes(), USER_BODY).is_err());
    }

    #[test]
    fn what_is_read_is_what_was_sent() {
        let body = json!({"a": [null, true, -1, 18_446_744_073_709_551_615_u64, 1.5, "é\u{1f600}\"", {}, []]});
        assert_eq!(check_json(&serde_json::to_vec(&body).unwrap(), USER_BODY), Ok(body));
    }
}
