//! `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas` (RFC 7643 §5-7): what is advertised here is what this crate does.
//! `base_url` is the URL below which `/Users` stands, with or without a slash at its end.

use serde_json::{Map, Value, json};

use crate::limits;
use crate::list;
use crate::schema::{self, Attribute, ResourceType};

/// What the service provider around this crate has switched on. PATCH, filters, entity tags and pages by index are always on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// `/Bulk`, within the limits of [`limits`].
    pub bulk: bool,
    /// `sortBy` and `sortOrder`; without it they are passed over, as RFC 7644 §3.4.2.3 allows.
    pub sort: bool,
    /// Pages by cursor.
    pub cursor: Option<Cursor>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// How long a cursor is good for at least, in seconds; `None` leaves it open.
    pub timeout: Option<u64>,
}

/// The body of `/ServiceProviderConfig`. Who asks for no kind of page gets pages by index.
pub fn service_provider_config(base_url: &str, features: &Features) -> Value {
    let (operations, payload) = if features.bulk { (limits::BULK_OPERATIONS, limits::BULK_BODY) } else { (0, 0) };
    let mut pagination = json!({
        "cursor": features.cursor.is_some(),
        "index": true,
        "defaultPaginationMethod": "index",
        "defaultPageSize": limits::DEFAULT_PAGE,
        "maxPageSize": limits::PAGE,
    });
    if let Some(timeout) = features.cursor.and_then(|cursor| cursor.timeout) {
        pagination["cursorTimeout"] = timeout.into();
    }
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": features.bulk, "maxOperations": operations, "maxPayloadSize": payload},
        "filter": {"supported": true, "maxResults": limits::PAGE},
        "changePassword": {"supported": false},
        "sort": {"supported": features.sort},
        "etag": {"supported": true},
        "pagination": pagination,
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "A bearer token in the Authorization header.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": meta("ServiceProviderConfig", base_url, "/ServiceProviderConfig"),
    })
}

/// The body of `/ResourceTypes`.
pub fn resource_types(base_url: &str) -> Value {
    whole([ResourceType::User, ResourceType::Group].map(|kind| resource_type(base_url, kind)))
}

/// The body of `/ResourceTypes/User` or `/ResourceTypes/Group`.
pub fn resource_type(base_url: &str, kind: ResourceType) -> Value {
    let (description, extensions) = match kind {
        ResourceType::User => ("User Account", json!([{"schema": schema::ENTERPRISE, "required": false}])),
        ResourceType::Group => ("Group", json!([])),
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": kind.as_str(),
        "name": kind.as_str(),
        "endpoint": kind.endpoint(),
        "description": description,
        "schema": kind.schema(),
        "schemaExtensions": extensions,
        "meta": meta("ResourceType", base_url, &format!("/ResourceTypes/{}", kind.as_str())),
    })
}

/// The body of `/Schemas`.
pub fn schemas(base_url: &str) -> Value {
    whole([schema::USER, schema::GROUP, schema::ENTERPRISE].map(|urn| schema(base_url, urn)))
}

/// The body of `/Schemas/{urn}`, in any case; `None` if there is no such schema.
pub fn schema_by_urn(base_url: &str, urn: &str) -> Option<Value> {
    let known =
        [schema::USER, schema::GROUP, schema::ENTERPRISE].into_iter().find(|known| known.eq_ignore_ascii_case(urn))?;
    Some(schema(base_url, known))
}

fn schema(base_url: &str, urn: &str) -> Value {
    let (name, description, table) = match urn {
        schema::USER => ("User", "User Account", schema::USER_TABLE),
        schema::GROUP => ("Group", "Group", schema::GROUP_TABLE),
        _ => ("EnterpriseUser", "Enterprise User", schema::ENTERPRISE_USER),
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": urn,
        "name": name,
        "description": description,
        "attributes": table.iter().map(attribute).collect::<Value>(),
        "meta": meta("Schema", base_url, &format!("/Schemas/{urn}")),
    })
}

/// Characteristics that do not apply are left out: Entra takes no nulls.
fn attribute(attribute: &Attribute) -> Value {
    let mut definition = Map::from_iter([
        ("name".to_owned(), attribute.name.into()),
        ("type".to_owned(), attribute.kind.as_str().into()),
        ("multiValued".to_owned(), attribute.multi_valued.into()),
        ("description".to_owned(), attribute.description.into()),
        ("required".to_owned(), attribute.required.into()),
        ("mutability".to_owned(), attribute.mutability.as_str().into()),
        ("returned".to_owned(), "default".into()),
    ]);
    let mut state = |name: &str, value: Value| definition.insert(name.to_owned(), value);
    match attribute.kind {
        schema::Kind::Complex | schema::Kind::Boolean | schema::Kind::DateTime => {}
        schema::Kind::String | schema::Kind::Reference | schema::Kind::Binary => {
            state("caseExact", attribute.case_exact.into());
            state("uniqueness", if attribute.unique { "server" } else { "none" }.into());
        }
    }
    if !attribute.canonical_values.is_empty() {
        state("canonicalValues", attribute.canonical_values.into());
    }
    if !attribute.reference_types.is_empty() {
        state("referenceTypes", attribute.reference_types.into());
    }
    if !attribute.sub_attributes.is_empty() {
        state("subAttributes", attribute.sub_attributes.iter().map(self::attribute).collect());
    }
    Value::Object(definition)
}

/// A list that is not paged (RFC 7644 §4: filters and paging do not apply to discovery).
fn whole<const N: usize>(resources: [Value; N]) -> Value {
    list::response(N as u64, 1, resources.into())
}

fn meta(kind: &str, base_url: &str, path: &str) -> Value {
    json!({"resourceType": kind, "location": format!("{}{path}", base_url.trim_end_matches('/'))})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ENTERPRISE, GROUP, USER};

    const BASE: &str = "https://scim.example.com/v2/";

    fn assert_no_nulls(value: &Value) {
        match value {
            Value::Null => panic!("a null is sent"),
            Value::Array(list) => list.iter().for_each(assert_no_nulls),
            Value::Object(object) => object.values().for_each(assert_no_nulls),
            _ => {}
        }
    }

    fn attributes(urn: &str) -> Vec<Value> {
        schema_by_urn(BASE, urn).unwrap()["attributes"].as_array().unwrap().clone()
    }

    #[test]
    fn b1_30_lists_where_lists_are_due_and_no_nulls() {
        for (list, ids) in
            [(resource_types(BASE), vec!["User", "Group"]), (schemas(BASE), vec![USER, GROUP, ENTERPRISE])]
        {
            assert_eq!(list["schemas"], json!([schema::LIST_RESPONSE]));
            assert_eq!(list["totalResults"], json!(ids.len()));
            let sent: Vec<_> = list["Resources"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
            assert_eq!(sent, ids);
            assert_no_nulls(&list);
        }
        assert_no_nulls(&service_provider_config(BASE, &Features::default()));
    }

    #[test]
    fn locations_are_below_the_base_url() {
        assert_eq!(
            resource_type(BASE, ResourceType::User)["meta"]["location"],
            "https://scim.example.com/v2/ResourceTypes/User"
        );
        let location = format!("https://scim.example.com/v2/Schemas/{ENTERPRISE}");
        assert_eq!(schema_by_urn(BASE, &ENTERPRISE.to_lowercase()).unwrap()["meta"]["location"], location);
        assert_eq!(schema_by_urn(BASE, "urn:example:other"), None);
    }

    #[test]
    fn user_name_has_the_characteristics_of_the_standard() {
        let user_name = &attributes(USER)[0];
        let expected = json!({
            "name": "userName", "type": "string", "multiValued": false, "required": true, "caseExact": false,
            "mutability": "readWrite", "returned": "default", "uniqueness": "server",
            "description": user_name["description"],
        });
        assert_eq!(user_name, &expected);
    }

    #[test]
    fn what_is_dropped_is_not_advertised() {
        let names: Vec<_> = attributes(USER).iter().map(|one| one["name"].clone()).collect();
        for dropped in ["password", "id", "meta"] {
            assert!(!names.contains(&dropped.into()), "{dropped}");
        }
        let groups = attributes(USER).into_iter().find(|one| one["name"] == "groups").unwrap();
        assert_eq!(groups["mutability"], "readOnly");
        let subs = groups["subAttributes"].as_array().unwrap();
        assert!(subs.iter().all(|sub| sub["mutability"] == "readOnly"), "{groups}");
    }

    #[test]
    fn b1_30_what_is_advertised_is_what_is_switched_on() {
        let little = service_provider_config(BASE, &Features::default());
        let cursor = Some(Cursor { timeout: Some(3600) });
        let much = service_provider_config(BASE, &Features { bulk: true, sort: true, cursor });
        for (feature, always, switched) in [
            ("patch", true, false),
            ("filter", true, false),
            ("etag", true, false),
            ("changePassword", false, false),
            ("bulk", false, true),
            ("sort", false, true),
        ] {
            assert_eq!(little[feature]["supported"], always, "{feature}");
            assert_eq!(much[feature]["supported"], always || switched, "{feature}");
        }
        assert_eq!(much["bulk"], json!({"supported": true, "maxOperations": 1_000, "maxPayloadSize": 4_194_304}));
        assert_eq!(much["filter"]["maxResults"], 1_000);
    }

    #[test]
    fn b1_33_both_ways_to_page_are_advertised() {
        let pagination =
            |cursor| service_provider_config(BASE, &Features { cursor, ..Features::default() })["pagination"].take();
        let mut expected = json!({
            "cursor": false, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": 100, "maxPageSize": 1_000,
        });
        assert_eq!(pagination(None), expected);
        expected["cursor"] = json!(true);
        assert_eq!(pagination(Some(Cursor { timeout: None })), expected);
        expected["cursorTimeout"] = json!(600);
        assert_eq!(pagination(Some(Cursor { timeout: Some(600) })), expected);
    }
}
