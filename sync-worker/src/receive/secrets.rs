//! What must not be kept of a refused body, not even for a week.

use serde_json::Value;

/// The body without passwords and the like, wherever they stand; operations on them are left out whole.
pub(super) fn without(body: &Value) -> Value {
    match body {
        Value::Object(object) => {
            let told = object.iter().filter(|(name, _)| !is_secret(name));
            Value::Object(told.map(|(name, value)| (name.clone(), without(value))).collect())
        }
        Value::Array(all) => all.iter().filter(|one| !is_about_a_secret(one)).map(without).collect(),
        other => other.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "credential"].iter().any(|word| name.contains(word))
}

fn is_about_a_secret(operation: &Value) -> bool {
    let path = operation.as_object().and_then(|all| all.iter().find(|(name, _)| name.eq_ignore_ascii_case("path")));
    path.and_then(|(_, path)| path.as_str()).is_some_and(is_secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn b1_29_what_is_kept_to_be_carried_out_again_has_no_password() {
        let body = json!({
            "userName": "ana", "password": "hunter2",
            "Operations": [
                {"op": "replace", "path": "password", "value": "hunter2"},
                {"op": "replace", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:password": "hunter2", "active": true}},
            ],
        });
        let kept = without(&body);
        assert!(!kept.to_string().contains("hunter2"), "{kept}");
        assert_eq!(kept["Operations"], json!([{"op": "replace", "value": {"active": true}}]));
        assert_eq!(kept["userName"], "ana");
    }
}
