//! An attribute of a resource by which lists are filtered and sorted, found in the tables of the schemas.

use std::fmt;

use super::Written;
use super::resolve::Fault;
use crate::error::{Result, shown};
use crate::schema::{self, ENTERPRISE, Kind, ResourceType};

/// An attribute that the schemas know, by its canonical name. All that is not `sub` is of the attribute that is compared: of the
/// sub-attribute, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// URN of the extension; `None` is the core schema or, within a value path, the attribute before the brackets.
    pub extension: Option<&'static str>,
    pub name: &'static str,
    pub sub: Option<&'static str>,
    pub kind: Kind,
    /// Whether strings compare exactly. If not, compare them in lower case.
    pub case_exact: bool,
    /// Whether `name` holds a list. Then `sub` is absent: its sub-attributes stand in [`super::Filter::Values`].
    pub multi_valued: bool,
}

/// What a written attribute names in the tables.
pub(super) struct Found {
    pub(super) extension: Option<&'static str>,
    pub(super) root: &'static schema::Attribute,
    pub(super) sub: Option<&'static schema::Attribute>,
}

impl Attribute {
    /// The attribute that `text` names, such as `userName`, `name.familyName`, `urn:…:User:department`, `emails.value`.
    /// A multi-valued attribute is returned without its sub-attribute.
    ///
    /// # Errors
    /// `invalidPath` for what is no attribute of `resource`.
    pub fn parse(resource: ResourceType, text: &str) -> Result<Self> {
        super::parser::attribute(text)
            .and_then(|written| Found::of_resource(resource, &written))
            .map(|found| if found.root.multi_valued { found.root() } else { found.attribute() })
            .map_err(Fault::into_path_error)
    }

    /// The attribute that `text` names if resources can be ordered by it: one with values of its own or, of a list, with a `value`
    /// in each.
    pub(crate) fn sortable(resource: ResourceType, text: &str) -> Option<Self> {
        let found = Found::of_resource(resource, &super::parser::attribute(text).ok()?).ok()?;
        let ordered = match (found.root.multi_valued, found.sub) {
            (true, None) => found.root.sub("value").is_some(),
            (true, Some(sub)) => sub.name == "value",
            (false, None) => found.root.kind != Kind::Complex,
            (false, Some(_)) => true,
        };
        ordered.then(|| if found.root.multi_valued { found.root() } else { found.attribute() })
    }

    /// One of the sub-attributes of a multi-valued attribute, as it stands in a value path.
    pub(super) fn within(sub: &'static schema::Attribute) -> Self {
        Self {
            extension: None,
            name: sub.name,
            sub: None,
            kind: sub.kind,
            case_exact: sub.case_exact,
            multi_valued: sub.multi_valued,
        }
    }
}

impl Found {
    /// Names without a URN are those of the core schema. Where that has none, they may be of the extension: Entra looks a user's
    /// manager up as `manager eq "…"`.
    pub(super) fn of_resource(resource: ResourceType, written: &Written) -> Result<Self, Fault> {
        let Some(name) = &written.name else {
            return Err(Fault::new(written.at, "an attribute, not a schema alone"));
        };
        let core = || resource.returned(name).map(|root| (None, root));
        let extended = || {
            let (urn, table) = resource.extension()?;
            schema::find(table, name).map(|root| (Some(urn), root))
        };
        let found = match written.urn.as_deref() {
            None => core().or_else(extended),
            Some(urn) if urn == resource.schema() => core(),
            Some(ENTERPRISE) => extended(),
            Some(_) => None,
        };
        let unknown = || {
            let kind = resource.as_str();
            Fault::new(written.at, format!("an attribute of a {kind}, not `{}`", shown(name)))
        };
        let (extension, root) = found.ok_or_else(unknown)?;
        let sub = match &written.sub {
            None => None,
            Some(sub) => Some(sub_attribute(root, sub, written.at)?),
        };
        Ok(Self { extension, root, sub })
    }

    /// The attribute itself, without its sub-attribute.
    pub(super) fn root(&self) -> Attribute {
        Attribute { extension: self.extension, ..Attribute::within(self.root) }
    }

    /// The attribute with its sub-attribute.
    pub(super) fn attribute(&self) -> Attribute {
        match self.sub {
            None => self.root(),
            Some(sub) => Attribute {
                name: self.root.name,
                sub: Some(sub.name),
                extension: self.extension,
                ..Attribute::within(sub)
            },
        }
    }
}

pub(super) fn sub_attribute(
    root: &'static schema::Attribute,
    name: &str,
    at: usize,
) -> Result<&'static schema::Attribute, Fault> {
    root.sub(name).ok_or_else(|| Fault::new(at, format!("a sub-attribute of `{}`, not `{}`", root.name, shown(name))))
}

/// As it is written in a filter; attributes of an extension with its URN.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(self.name)?;
        self.sub.map_or(Ok(()), |sub| write!(f, ".{sub}"))
    }
}
