//! SCIM filters as SQL: every value is bound, and names come from the tables of the schemas alone.
//!
//! What [`scim::Filter::matches`] says of a resource as it is sent, the condition says of its row; a test compares them. Comparisons
//! are written plainly, so that indexes serve them: null then means false, and a negation makes it so.

use scim::filter::{Attribute, Comparison, Literal};
use scim::schema::ENTERPRISE;
use scim::{Filter, ResourceType};
use sqlx::{Postgres, QueryBuilder};

/// Rows of a resource under the alias `t`.
pub(super) struct Rows<'a> {
    pub kind: ResourceType,
    /// The address of all resources of this type, as in `meta.location`.
    pub location: &'a str,
}

/// What the attributes of a condition are looked up in.
#[derive(Clone, Copy)]
enum Of {
    Resource,
    /// A value of a list in JSON, `e.v`.
    Element,
    /// A row about a member or a membership, `e`.
    Row,
    /// A text that is its own `value`, `e.v`.
    Text,
}

impl Rows<'_> {
    /// Adds the condition.
    pub(super) fn filter(&self, query: &mut QueryBuilder<Postgres>, filter: &Filter) {
        self.condition(query, filter, Of::Resource);
    }

    fn condition(&self, query: &mut QueryBuilder<Postgres>, filter: &Filter, of: Of) {
        match filter {
            Filter::And(all) => self.joined(query, all, " AND ", of),
            Filter::Or(any) => self.joined(query, any, " OR ", of),
            Filter::Not(inner) => {
                query.push("NOT coalesce((");
                self.condition(query, inner, of);
                query.push("), false)");
            }
            Filter::Present(attribute) => self.present(query, attribute, of),
            Filter::Values { attribute, filter } => {
                let (from, of) = self.values(attribute);
                query.push(format!("EXISTS (SELECT FROM {from} WHERE "));
                self.condition(query, filter, of);
                query.push(")");
            }
            Filter::Compare { attribute, op: Comparison::Ne, value } => {
                query.push("(");
                self.compare(query, attribute, Comparison::Eq, value, of);
                query.push(") IS NOT TRUE");
            }
            Filter::Compare { attribute, op, value } => self.compare(query, attribute, *op, value, of),
        }
    }

    fn joined(&self, query: &mut QueryBuilder<Postgres>, parts: &[Filter], word: &str, of: Of) {
        query.push("(");
        for (at, part) in parts.iter().enumerate() {
            query.push(if at == 0 { "" } else { word });
            self.condition(query, part, of);
        }
        query.push(")");
    }

    fn compare(
        &self,
        query: &mut QueryBuilder<Postgres>,
        attribute: &Attribute,
        op: Comparison,
        value: &Literal,
        of: Of,
    ) {
        match value {
            Literal::String(wanted)
                if matches!(of, Of::Resource) && op == Comparison::Eq && is_user_name(attribute) =>
            {
                // We lower these ourselves, for the database's lower() may know ASCII only.
                query.push("(t.unique_name = ").push_bind(wanted.to_lowercase());
                query.push(" OR (t.unique_name IS NULL AND ");
                texts(query, "t.user_name", attribute.case_exact, op, wanted);
                query.push("))");
            }
            Literal::String(wanted) => {
                let held = self.indexed(attribute, op, wanted, of).unwrap_or_else(|| self.text(attribute, of));
                texts(query, &held, attribute.case_exact, op, wanted);
            }
            Literal::Boolean(wanted) if op == Comparison::Eq => {
                let held = format!("({} = 'true'::jsonb)", self.json(attribute, of));
                // RFC 7643 §2.4: a value that is not said to be primary is not.
                let held = match attribute.extension.is_none() && attribute.name == "primary" {
                    true => format!("coalesce({held}, false)"),
                    false => held,
                };
                query.push(held).push(" = ").push_bind(*wanted);
            }
            Literal::DateTime(wanted) => match (self.time(attribute, of), ordering(op)) {
                (Some(held), Some(op)) => {
                    query.push(format!("date_trunc('milliseconds', {held}) {op} ")).push_bind(*wanted);
                }
                _ => {
                    query.push("false");
                }
            },
            Literal::Boolean(_) | Literal::Number(_) => {
                query.push("false");
            }
        }
    }

    fn present(&self, query: &mut QueryBuilder<Postgres>, attribute: &Attribute, of: Of) {
        const SOMETHING: &str =
            r#"strict $.** ? (@.type() == "boolean" || @.type() == "number" || @.type() == "string" && @ != "")"#;
        let name = attribute.name;
        let core = attribute.extension.is_none();
        let sent = match (of, name) {
            // Every resource has these, whole and in part.
            (Of::Resource, "id" | "schemas" | "meta") if core => "true".to_owned(),
            (Of::Resource, "members" | "groups") if core => {
                format!("EXISTS (SELECT FROM {})", self.values(attribute).0)
            }
            (Of::Row | Of::Text, _) => format!("({} <> '')", self.text(attribute, of)),
            (Of::Resource | Of::Element, _) => {
                format!("coalesce(jsonb_path_exists({}, '{SOMETHING}'), false)", self.json(attribute, of))
            }
        };
        query.push(sent);
    }

    /// A column with an index, where it says the same as the attribute.
    fn indexed(&self, attribute: &Attribute, op: Comparison, wanted: &str, of: Of) -> Option<String> {
        let plain = matches!(of, Of::Resource) && op == Comparison::Eq && !wanted.trim().is_empty();
        let column = match (attribute.name, attribute.sub) {
            ("externalId", None) => "external_id",
            ("displayName", None) => "display_name",
            _ => return None,
        };
        (plain && attribute.extension.is_none()).then(|| format!("t.{column}"))
    }

    /// The attribute as text, or null.
    pub(super) fn text_of(&self, attribute: &Attribute) -> String {
        self.text(attribute, Of::Resource)
    }

    fn text(&self, attribute: &Attribute, of: Of) -> String {
        match (of, attribute.name) {
            (Of::Text, "value") => "e.v".to_owned(),
            (Of::Row, name @ ("value" | "type" | "display")) => format!("e.{name}"),
            (Of::Row, "$ref") => "e.location".to_owned(),
            (Of::Text | Of::Row, _) => "NULL::text".to_owned(),
            (Of::Element, name) => format!("(e.v ->> {})", literal(name)),
            (Of::Resource, name) if attribute.extension.is_none() => match (name, attribute.sub) {
                ("id", None) => "t.native_id".to_owned(),
                ("userName", None) => "t.user_name".to_owned(),
                ("meta", Some("resourceType")) => format!("{}::text", literal(self.kind.as_str())),
                ("meta", Some("version")) => {
                    let version = match self.kind {
                        ResourceType::User => "t.version",
                        ResourceType::Group => "t.revision",
                    };
                    format!("('W/\"' || {version} || '\"')")
                }
                ("meta", Some("location")) => format!("({} || '/' || t.native_id)", literal(self.location)),
                _ => self.path(attribute, "->>"),
            },
            (Of::Resource, _) => self.path(attribute, "->>"),
        }
    }

    fn json(&self, attribute: &Attribute, of: Of) -> String {
        match of {
            Of::Resource => self.path(attribute, "->"),
            Of::Element => format!("(e.v -> {})", literal(attribute.name)),
            Of::Row | Of::Text => "NULL::jsonb".to_owned(),
        }
    }

    /// Where it stands in the stored document; `last` is how the last step is taken.
    fn path(&self, attribute: &Attribute, last: &str) -> String {
        let steps: Vec<&str> =
            [attribute.extension, Some(attribute.name), attribute.sub].into_iter().flatten().collect();
        let mut path = "(t.attributes".to_owned();
        for (at, step) in steps.iter().enumerate() {
            let arrow = if at + 1 == steps.len() { last } else { "->" };
            path += &format!(" {arrow} {}", literal(step));
        }
        path + ")"
    }

    pub(super) fn time_of(&self, attribute: &Attribute) -> Option<&'static str> {
        self.time(attribute, Of::Resource)
    }

    fn time(&self, attribute: &Attribute, of: Of) -> Option<&'static str> {
        match (of, attribute.extension, attribute.name, attribute.sub) {
            (Of::Resource, None, "meta", Some("created")) => Some("t.created_at"),
            (Of::Resource, None, "meta", Some("lastModified")) => Some("t.changed_at"),
            _ => None,
        }
    }

    /// The values of a list, as something to select from under the alias `e`.
    fn values(&self, attribute: &Attribute) -> (String, Of) {
        let core = attribute.extension.is_none();
        match (self.kind, attribute.name) {
            (_, "schemas") if core => {
                let of_core = literal(self.kind.schema());
                let extension = literal(ENTERPRISE);
                let both = format!(
                    "(SELECT {of_core}::text AS v UNION ALL SELECT {extension}::text WHERE t.attributes ? {extension}) e"
                );
                (both, Of::Text)
            }
            (ResourceType::Group, "members") if core => (MEMBERS.to_owned(), Of::Row),
            (ResourceType::User, "groups") if core => (self.memberships(), Of::Row),
            _ => (elements(&self.path(attribute, "->")), Of::Element),
        }
    }

    /// As [`crate::Directory::groups_of`] reads them.
    fn memberships(&self) -> String {
        let users = self.location;
        let groups = users.strip_suffix(ResourceType::User.endpoint()).unwrap_or(users).to_owned();
        let groups = literal(&(groups + ResourceType::Group.endpoint()));
        format!(
            "(SELECT g.native_id AS value, 'direct' AS type, g.display_name AS display,
                     {groups} || '/' || g.native_id AS location
              FROM directory.memberships m JOIN directory.groups g ON g.id = m.group_id
              WHERE m.account_id = t.id AND m.present AND g.tombstone IS NULL) e"
        )
    }

    /// What a list counts by where it is sorted: its primary value, or else its first.
    pub(super) fn first_value(&self, attribute: &Attribute) -> String {
        match self.values(attribute) {
            (from, Of::Element) => {
                let from = from.replace(" e(v)", " WITH ORDINALITY e(v, n)");
                format!(
                    "(SELECT e.v ->> 'value' FROM {from}
                      ORDER BY (e.v -> 'primary' = 'true'::jsonb) IS TRUE DESC, e.n LIMIT 1)"
                )
            }
            // In the order in which they are sent; members are sent in any.
            (from, Of::Row) => format!("(SELECT e.value FROM {from} ORDER BY e.display, e.value LIMIT 1)"),
            (_, Of::Resource | Of::Text) => "NULL::text".to_owned(),
        }
    }
}

/// As [`crate::Directory::members`] reads them.
const MEMBERS: &str = "(SELECT a.native_id AS value, 'User' AS type, NULL::text AS display
                          FROM directory.memberships m JOIN directory.accounts a ON a.id = m.account_id
                          WHERE m.group_id = t.id AND m.present AND a.source = t.source
                        UNION ALL SELECT child_reference, 'Group', NULL FROM directory.nested_groups WHERE parent_id = t.id AND present
                        UNION ALL SELECT reference, 'User', NULL FROM directory.pending_members WHERE group_id = t.id) e";

fn is_user_name(attribute: &Attribute) -> bool {
    attribute.extension.is_none() && attribute.name == "userName" && attribute.sub.is_none()
}

fn elements(list: &str) -> String {
    format!("jsonb_array_elements(CASE jsonb_typeof({list}) WHEN 'array' THEN {list} ELSE '[]' END) e(v)")
}

/// A comparison of texts, by their characters; `held` may be null.
fn texts(query: &mut QueryBuilder<Postgres>, held: &str, case_exact: bool, op: Comparison, wanted: &str) {
    let held = if case_exact { held.to_owned() } else { format!("lower({held})") };
    let (open, close) = if case_exact { ("", "") } else { ("lower(", ")") };
    let wanted = wanted.to_owned();
    match op {
        Comparison::Co => {
            query.push(format!("position({open}")).push_bind(wanted).push(format!("{close} IN {held}) > 0"));
        }
        Comparison::Sw => {
            query.push(format!("starts_with({held}, {open}")).push_bind(wanted).push(format!("{close})"));
        }
        Comparison::Ew => {
            query.push(format!("right({held}, char_length({open}")).push_bind(wanted.clone());
            query.push(format!("{close})) = {open}")).push_bind(wanted).push(close);
        }
        Comparison::Eq | Comparison::Ne => {
            query.push(format!("{held} = {open}")).push_bind(wanted).push(close);
        }
        Comparison::Gt | Comparison::Ge | Comparison::Lt | Comparison::Le => {
            let op = ordering(op).unwrap_or("=");
            query.push(format!("{held} COLLATE \"C\" {op} {open}")).push_bind(wanted).push(close);
        }
    }
}

/// The operator in SQL, of those that need an order.
fn ordering(op: Comparison) -> Option<&'static str> {
    match op {
        Comparison::Eq => Some("="),
        Comparison::Ne => Some("<>"),
        Comparison::Gt => Some(">"),
        Comparison::Ge => Some(">="),
        Comparison::Lt => Some("<"),
        Comparison::Le => Some("<="),
        Comparison::Co | Comparison::Sw | Comparison::Ew => None,
    }
}

/// A constant of ours in SQL: a name of the schemas, or our own address.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
