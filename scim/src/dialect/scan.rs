//! Finds the shapes outside of the standard in a request, before and apart from its being understood.

use serde_json::{Map, Value};

use super::{Quirk, Quirks};
use crate::canonical::get;
use crate::filter;
use crate::path::{AttributePath, Path};
use crate::schema::{self, Attribute, ENTERPRISE, Kind, ResourceType};

/// The shapes in a request about `resource`: its body, of POST, PUT or PATCH (null if there is none), and its decoded query
/// parameters. Of a bulk request, ask for each operation.
pub fn quirks(resource: ResourceType, body: &Value, query: &[(String, String)]) -> Quirks {
    let mut scan = Scan { resource, seen: Quirks::new() };
    if let Value::Object(body) = body {
        match get(body, "Operations") {
            Some(Value::Array(operations)) => {
                scan.schemas(body, &[schema::PATCH_OP]);
                operations.iter().filter_map(Value::as_object).for_each(|operation| scan.operation(operation));
            }
            _ => scan.resource(body),
        }
    }
    query.iter().for_each(|(name, value)| scan.parameter(name, value));
    scan.seen
}

struct Scan {
    resource: ResourceType,
    seen: Quirks,
}

impl Scan {
    fn see(&mut self, quirk: Quirk, if_so: bool) {
        if if_so {
            self.seen.insert(quirk);
        }
    }

    fn resource(&mut self, body: &Map<String, Value>) {
        self.schemas(body, &[self.resource.schema()]);
        self.attributes(body);
    }

    /// A schema beside `expected` is known if the body holds something of it.
    fn schemas(&mut self, body: &Map<String, Value>, expected: &[&str]) {
        let Some(Value::Array(stated)) = get(body, "schemas") else {
            self.see(Quirk::MissingSchemas, true);
            return;
        };
        let extension = self.resource.extension().map(|(urn, _)| urn);
        let known = |urn: &str| {
            expected.iter().copied().chain(extension).any(|known| known.eq_ignore_ascii_case(urn))
                || get(body, urn).is_some()
        };
        self.see(Quirk::UnknownSchema, !stated.iter().filter_map(Value::as_str).all(known));
    }

    fn operation(&mut self, operation: &Map<String, Value>) {
        let op = get(operation, "op").and_then(Value::as_str).unwrap_or_default();
        self.see(Quirk::OpCase, op.chars().any(char::is_uppercase));
        self.see(Quirk::KeyCase, operation.keys().any(|key| !["op", "path", "value"].contains(&key.as_str())));
        let value = get(operation, "value").unwrap_or(&Value::Null);
        match get(operation, "path").and_then(Value::as_str).filter(|path| !path.is_empty()) {
            Some(path) => self.at_path(op, path, value),
            None => {
                if let Value::Object(object) = value {
                    let fixed = |key: &String| matches!(self.resource.ignored(key), Some("id" | "meta" | "schemas"));
                    self.see(Quirk::ReadOnlyInValue, object.keys().any(fixed));
                    self.attributes(object);
                }
            }
        }
    }

    fn at_path(&mut self, op: &str, text: &str, value: &Value) {
        let Ok(path) = Path::parse(text) else { return };
        self.dot_before_extension(text);
        let removes = op.eq_ignore_ascii_case("remove");
        match &path {
            Path::Attribute(path) => {
                self.see(Quirk::BooleanAsString, filter::truth_in_quotes(text));
                self.see(Quirk::RemovalByList, removes && path.is_whole() && !value.is_null());
                self.value(path, value);
            }
            Path::Schema(_) => {
                if let Value::Object(object) = value {
                    self.attributes(object);
                }
            }
        }
    }

    /// `urn:…:2.0:User.manager`
    fn dot_before_extension(&mut self, text: &str) {
        let start = text.get(..ENTERPRISE.len()).is_some_and(|start| start.eq_ignore_ascii_case(ENTERPRISE));
        self.see(Quirk::DotBeforeExtension, start && text[ENTERPRISE.len()..].starts_with('.'));
    }

    /// The keys of a body, or of a value without a path.
    fn attributes(&mut self, object: &Map<String, Value>) {
        for (key, value) in object {
            self.see(Quirk::Password, key.eq_ignore_ascii_case("password"));
            let groups = self.resource == ResourceType::User && key.eq_ignore_ascii_case("groups");
            self.see(Quirk::GroupsInUser, groups);
            match Path::parse(key) {
                Ok(Path::Schema(urn)) => {
                    let Value::Object(inner) = value else { continue };
                    if urn == self.resource.schema() {
                        self.attributes(inner);
                        continue;
                    }
                    for (name, value) in inner {
                        self.value(&AttributePath { urn: Some(urn.clone()), ..AttributePath::plain(name) }, value);
                    }
                }
                Ok(Path::Attribute(path)) => {
                    self.see(Quirk::FilteredKey, path.filter.is_some());
                    self.see(Quirk::DottedKey, path.filter.is_none() && path.urn.is_none() && path.sub.is_some());
                    let known =
                        path.urn.as_deref().is_some_and(|urn| urn == ENTERPRISE || urn == self.resource.schema());
                    self.see(Quirk::UrnKey, known);
                    self.dot_before_extension(key);
                    self.value(&path, value);
                }
                Err(_) => {}
            }
        }
    }

    fn value(&mut self, path: &AttributePath, value: &Value) {
        let known = match path.urn.as_deref() {
            None => self.resource.attribute(&path.name),
            Some(urn) if urn == self.resource.schema() => self.resource.attribute(&path.name),
            Some(urn) => self
                .resource
                .extension()
                .filter(|(own, _)| *own == urn)
                .and_then(|(_, table)| schema::find(table, &path.name)),
        };
        let Some(known) = known else { return };
        self.see(Quirk::KeyCase, path.name != known.name);
        match &path.sub {
            None if path.filter.is_some() => self.element(known, value),
            None => self.shape(known, value),
            Some(sub) => {
                if let Some(sub) = known.sub(sub) {
                    self.shape(sub, value);
                }
            }
        }
    }

    /// `value` where one for `known` is due.
    fn shape(&mut self, known: &Attribute, value: &Value) {
        match (known.kind, value) {
            (_, Value::Null) => {}
            (_, Value::Array(list)) if known.multi_valued => list.iter().for_each(|one| self.element(known, one)),
            (_, one) if known.multi_valued => self.element(known, one),
            (_, Value::Array(list)) => {
                self.see(Quirk::ListOfOne, !list.is_empty());
                list.iter().filter(|one| !one.is_array()).for_each(|one| self.shape(known, one));
            }
            (Kind::Complex, one) => self.element(known, one),
            (_, Value::Object(_)) => self.see(Quirk::WrappedValue, true),
            (Kind::Boolean, other) => self.see(Quirk::BooleanAsString, other.is_string()),
            (_, other) => self.see(Quirk::NumberAsString, other.is_number()),
        }
    }

    /// One value of an attribute that has sub-attributes.
    fn element(&mut self, known: &Attribute, value: &Value) {
        match value {
            Value::Object(object) => {
                for (key, inner) in object {
                    if let Some(sub) = known.sub(key) {
                        self.see(Quirk::KeyCase, key != sub.name);
                        self.shape(sub, inner);
                    }
                }
            }
            Value::String(_) | Value::Number(_) => {
                let quirk = if known.multi_valued { Quirk::BareValue } else { Quirk::ManagerAsString };
                self.see(quirk, known.multi_valued || known.name == "manager");
            }
            Value::Null | Value::Bool(_) | Value::Array(_) => {}
        }
    }

    fn parameter(&mut self, name: &str, value: &str) {
        let Some(known) = crate::query::known(name) else { return };
        self.see(Quirk::ParameterCase, known != name);
        match known {
            "startIndex" => self.see(Quirk::StartIndexZero, value.trim().parse::<i64>().is_ok_and(|index| index < 1)),
            "filter" => {
                let shapes = filter::shapes(self.resource, value);
                self.see(Quirk::FilterBehindBrackets, shapes.behind_brackets);
                self.see(Quirk::UnprefixedExtension, shapes.unprefixed);
                self.see(Quirk::BooleanAsString, shapes.truth_in_quotes);
            }
            _ => {}
        }
    }
}
