//! Resources as they are sent: the stored canonical form with `schemas`, `id` and `meta` (RFC 7643 §3.1), and versions (RFC 7644
//! §3.14).

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::group::MemberRef;
use crate::schema::{ENTERPRISE, ResourceType};

/// What the service provider adds to a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meta<'a> {
    pub id: &'a str,
    /// Opaque, different after every change; becomes a weak entity tag. Letters and digits.
    pub version: &'a str,
    pub created: DateTime<Utc>,
    pub last_modified: DateTime<Utc>,
    /// The URI of the resource.
    pub location: &'a str,
}

/// A group that a user is in, as `groups` of the user shows it (RFC 7643 §4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The `id` of the group.
    pub value: String,
    pub display: String,
    /// The URI of the group.
    pub location: String,
}

/// A canonical user, ready to be sent. `groups` are left out if there are none.
pub fn user(resource: &Value, meta: &Meta<'_>, groups: &[Membership]) -> Value {
    let mut user = complete(ResourceType::User, resource, meta);
    if !groups.is_empty() {
        let group = |group: &Membership| json!({ "value": group.value, "$ref": group.location, "display": group.display, "type": "direct" });
        user["groups"] = groups.iter().map(group).collect();
    }
    user
}

/// A canonical group, ready to be sent. `members` are left out if `None`: they are never needed to answer a change.
pub fn group(resource: &Value, meta: &Meta<'_>, members: Option<&[MemberRef]>) -> Value {
    let mut group = complete(ResourceType::Group, resource, meta);
    if let Some(members) = members {
        let member = |member: &MemberRef| {
            let kind = if member.nested { ResourceType::Group } else { ResourceType::User };
            json!({ "value": member.value, "type": kind.as_str() })
        };
        group["members"] = members.iter().map(member).collect();
    }
    group
}

fn complete(kind: ResourceType, resource: &Value, meta: &Meta<'_>) -> Value {
    let mut complete = resource.as_object().cloned().unwrap_or_default();
    let mut schemas = vec![kind.schema()];
    if complete.contains_key(ENTERPRISE) {
        schemas.push(ENTERPRISE);
    }
    complete.insert("schemas".to_owned(), schemas.into());
    complete.insert("id".to_owned(), meta.id.into());
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let meta = json!({
        "resourceType": kind.as_str(),
        "created": time(meta.created),
        "lastModified": time(meta.last_modified),
        "location": meta.location,
        "version": etag(meta.version),
    });
    complete.insert("meta".to_owned(), meta);
    Value::Object(complete)
}

/// The weak entity tag of a version, as in the `ETag` header and `meta.version`.
pub fn etag(version: &str) -> String {
    format!("W/\"{version}\"")
}

/// Whether an `If-Match` or `If-None-Match` header names `version`. Compares weakly: all our tags are weak, and RFC 7644 §3.14
/// has clients send them back in `If-Match`, where strong comparison could never succeed.
pub fn matches_version(header: &str, version: &str) -> bool {
    header.split(',').map(str::trim).any(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    const META: Meta<'static> = Meta {
        id: "2819c223",
        version: "3",
        created: DateTime::UNIX_EPOCH,
        last_modified: DateTime::UNIX_EPOCH,
        location: "https://scim.example.com/v2/Users/2819c223",
    };

    #[test]
    fn a_user_is_sent_with_the_schemas_it_uses() {
        let resource = json!({"userName": "Ana", schema::ENTERPRISE: {"department": "R&D"}});
        let meta = json!({
            "resourceType": "User",
            "created": "1970-01-01T00:00:00.000Z",
            "lastModified": "1970-01-01T00:00:00.000Z",
            "location": "https://scim.example.com/v2/Users/2819c223",
            "version": "W/\"3\"",
        });
        let sent = json!({
            "schemas": [schema::USER, schema::ENTERPRISE],
            "id": "2819c223",
            "meta": meta,
            "userName": "Ana",
            schema::ENTERPRISE: {"department": "R&D"},
        });
        assert_eq!(user(&resource, &META, &[]), sent);
        assert_eq!(user(&json!({"userName": "Ana"}), &META, &[])["schemas"], json!([schema::USER]));
    }

    #[test]
    fn a_user_is_sent_with_the_groups_it_is_in() {
        let location = "https://scim.example.com/v2/Groups/1".to_owned();
        let groups = [Membership { value: "1".to_owned(), display: "Sales".to_owned(), location: location.clone() }];
        let sent = json!([{"value": "1", "$ref": location, "display": "Sales", "type": "direct"}]);
        assert_eq!(user(&json!({"userName": "Ana"}), &META, &groups)["groups"], sent);
    }

    #[test]
    fn a_group_is_sent_with_members_only_where_they_are_given() {
        let resource = json!({"displayName": "Sales"});
        assert!(group(&resource, &META, None).get("members").is_none());
        assert_eq!(group(&resource, &META, Some(&[]))["members"], json!([]));
        let members =
            [MemberRef { value: "1".to_owned(), nested: false }, MemberRef { value: "2".to_owned(), nested: true }];
        let sent = json!([{"value": "1", "type": "User"}, {"value": "2", "type": "Group"}]);
        assert_eq!(group(&resource, &META, Some(&members))["members"], sent);
    }

    #[test]
    fn b1_31_a_version_is_matched_weakly() {
        for header in ["*", "W/\"3\"", "\"3\"", "W/\"1\", W/\"3\""] {
            assert!(matches_version(header, "3"), "{header}");
        }
        for header in ["", "3", "W/\"30\"", "W/3", "\""] {
            assert!(!matches_version(header, "3"), "{header}");
        }
    }
}
