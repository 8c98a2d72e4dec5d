//! Which groups are privileged: by their names, and by what their source says of them.

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value};

/// An attribute of a group, and the values that make it privileged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAttribute {
    /// As its source names it. What stands within another is named after it: `URN:name` in an extension, `name.sub`.
    pub name: String,
    /// Any of them. A number, or true and false, is compared as it is written.
    pub values: Vec<String>,
}

/// What makes a group privileged; one thing is enough.
#[derive(Debug, Clone, Default)]
pub(crate) struct Privileged {
    names: GlobSet,
    attributes: Vec<GroupAttribute>,
}

impl Privileged {
    /// By patterns over display names.
    pub fn by_names(patterns: &[String]) -> Result<Self, globset::Error> {
        let mut names = GlobSetBuilder::new();
        for pattern in patterns {
            names.add(Glob::new(pattern)?);
        }
        Ok(Self { names: names.build()?, attributes: Vec::new() })
    }

    pub fn or_by(self, attributes: Vec<GroupAttribute>) -> Self {
        Self { attributes, ..self }
    }

    pub fn is(&self, name: &str, attributes: &Value) -> bool {
        self.names.is_match(name) || self.attributes.iter().any(|attribute| attribute.is_in(attributes))
    }
}

impl GroupAttribute {
    fn is_in(&self, attributes: &Value) -> bool {
        attributes.as_object().is_some_and(|of| self.stands_in(of, &self.name))
    }

    /// Names of attributes and URNs know no case (RFC 7643 §2.1). Dots and colons may be part of a key, so keys tell where it ends.
    fn stands_in(&self, of: &Map<String, Value>, name: &str) -> bool {
        of.iter().any(|(key, value)| {
            let Some((head, rest)) = name.split_at_checked(key.len()) else { return false };
            head.eq_ignore_ascii_case(key)
                && match (rest, rest.strip_prefix([':', '.'])) {
                    ("", _) => self.has(value),
                    (_, Some(below)) => {
                        list(value).iter().filter_map(Value::as_object).any(|o| self.stands_in(o, below))
                    }
                    (_, None) => false,
                }
        })
    }

    /// Of several values one is enough, and what a value with parts stands for is its `value` (RFC 7643 §2.4).
    fn has(&self, value: &Value) -> bool {
        list(value).iter().any(|one| {
            let written = match one.get("value").unwrap_or(one) {
                Value::String(text) => text.clone(),
                plain @ (Value::Number(_) | Value::Bool(_)) => plain.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return false,
            };
            self.values.contains(&written)
        })
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(several) => several,
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CORP: &str = "urn:example:corp:2.0:Group";

    fn by(name: &str, attributes: &Value) -> bool {
        let attribute = GroupAttribute { name: name.to_owned(), values: vec!["0".to_owned(), "true".to_owned()] };
        Privileged::default().or_by(vec![attribute]).is("staff", attributes)
    }

    #[test]
    fn one_of_the_values_makes_a_group_privileged_wherever_its_attribute_stands() {
        let of = |value: Value| json!({"displayName": "staff", "tier": value});
        for value in [json!("0"), json!(0), json!(true), json!(["1", "0"]), json!([{"value": "0"}])] {
            assert!(by("tier", &of(value.clone())) && by("TIER", &of(value.clone())), "{value}");
        }
        for value in [json!("1"), json!("00"), json!(0.5), json!(false), json!([]), json!({"0": "0"}), json!(null)] {
            assert!(!by("tier", &of(value.clone())), "{value}");
        }
        let within = json!({CORP: {"tier": "0", "owner": {"tier.of": ["0"]}}, "meta.tier": "0"});
        for name in [format!("{CORP}:tier"), CORP.to_uppercase() + ":Tier", format!("{CORP}:owner.tier.of")] {
            assert!(by(&name, &within), "{name}");
        }
        assert!(by("meta.tier", &within));
        for name in ["tier", "meta", CORP, "urn:example:corp:2.0:Group:owner", "urn:example:corp:2.0:Grouptier", ""] {
            assert!(!by(name, &within), "{name}");
        }
        assert!(!by("tier", &Value::Null));
    }

    #[test]
    fn a_name_or_an_attribute_is_enough() {
        let both = Privileged::by_names(&["prod-*".to_owned()]).expect("it is a pattern");
        let both = both.or_by(vec![GroupAttribute { name: "tier".to_owned(), values: vec!["0".to_owned()] }]);
        assert!(both.is("prod-db", &json!({})) && both.is("staff", &json!({"tier": "0"})));
        assert!(!both.is("staff", &json!({"tier": "1"})));
    }
}
