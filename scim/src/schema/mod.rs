//! Schema URNs and the shape of an attribute. One table serves both the normaliser and `/Schemas`, so what is advertised is
//! what is understood.

mod tables;

use tables::COMMON;
pub(crate) use tables::{ENTERPRISE_USER, GROUP as GROUP_TABLE, USER as USER_TABLE};

/// RFC 7643 §4.1.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// RFC 7643 §4.2.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// RFC 7643 §4.3.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// RFC 7644 §3.4.2.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// RFC 7644 §3.12.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// RFC 7644 §3.5.2.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// RFC 7644 §3.7.
pub const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// RFC 7643 §2.3, as far as the tables need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    String,
    Boolean,
    DateTime,
    Reference,
    Binary,
    Complex,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Boolean => "boolean",
            Kind::DateTime => "dateTime",
            Kind::Reference => "reference",
            Kind::Binary => "binary",
            Kind::Complex => "complex",
        }
    }
}

/// RFC 7643 §7, "mutability".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutability {
    /// Accepted in a body and not applied.
    ReadOnly,
    ReadWrite,
    Immutable,
}

impl Mutability {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Mutability::ReadOnly => "readOnly",
            Mutability::ReadWrite => "readWrite",
            Mutability::Immutable => "immutable",
        }
    }
}

/// The characteristics of one attribute (RFC 7643 §2.2 and §7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    /// In canonical case.
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) kind: Kind,
    pub(crate) multi_valued: bool,
    pub(crate) required: bool,
    pub(crate) case_exact: bool,
    pub(crate) mutability: Mutability,
    /// "uniqueness": true is `server`, false is `none`.
    pub(crate) unique: bool,
    /// Suggested values; others are taken too.
    pub(crate) canonical_values: &'static [&'static str],
    /// Of a reference.
    pub(crate) reference_types: &'static [&'static str],
    /// Of a complex attribute.
    pub(crate) sub_attributes: &'static [Attribute],
}

impl Attribute {
    const fn new(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            description,
            kind,
            multi_valued: false,
            required: false,
            case_exact: false,
            mutability: Mutability::ReadWrite,
            unique: false,
            canonical_values: &[],
            reference_types: &[],
            sub_attributes: &[],
        }
    }

    const fn string(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::String, description)
    }

    const fn complex(name: &'static str, sub_attributes: &'static [Attribute], description: &'static str) -> Self {
        Self { sub_attributes, ..Self::new(name, Kind::Complex, description) }
    }

    const fn list(name: &'static str, sub_attributes: &'static [Attribute], description: &'static str) -> Self {
        Self { multi_valued: true, ..Self::complex(name, sub_attributes, description) }
    }

    /// The sub-attribute of this name, in any case.
    pub(crate) fn sub(&self, name: &str) -> Option<&'static Attribute> {
        find(self.sub_attributes, name)
    }
}

/// The attribute of this name, in any case (RFC 7643 §2.1: names are case-insensitive).
pub(crate) fn find(table: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    table.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// The two resources of RFC 7643.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceType {
    User,
    Group,
}

impl ResourceType {
    /// The name in `meta.resourceType` and `/ResourceTypes`.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceType::User => "User",
            ResourceType::Group => "Group",
        }
    }

    /// Path below the base URL.
    pub fn endpoint(self) -> &'static str {
        match self {
            ResourceType::User => "/Users",
            ResourceType::Group => "/Groups",
        }
    }

    /// URN of the core schema.
    pub fn schema(self) -> &'static str {
        match self {
            ResourceType::User => USER,
            ResourceType::Group => GROUP,
        }
    }

    pub(crate) fn table(self) -> &'static [Attribute] {
        match self {
            ResourceType::User => USER_TABLE,
            ResourceType::Group => GROUP_TABLE,
        }
    }

    /// The attribute of this root name. `externalId` is common to all resources and stands in no schema (RFC 7643 §3.1).
    pub(crate) fn attribute(self, name: &str) -> Option<&'static Attribute> {
        find(self.table(), name)
            .or_else(|| find(COMMON, name).filter(|common| common.mutability != Mutability::ReadOnly))
    }

    /// As [`ResourceType::attribute`], with the common attributes that a response carries and no request sets: what a list is
    /// filtered and sorted by.
    pub(crate) fn returned(self, name: &str) -> Option<&'static Attribute> {
        [self.table(), COMMON].into_iter().find_map(|table| find(table, name))
    }

    /// The extension that this resource may have.
    pub(crate) fn extension(self) -> Option<(&'static str, &'static [Attribute])> {
        match self {
            ResourceType::User => Some((ENTERPRISE, ENTERPRISE_USER)),
            ResourceType::Group => None,
        }
    }

    /// The canonical name of a root attribute that bodies may carry and that is never stored: issued by the service provider
    /// (`id`, `meta`), implied (`schemas`), kept elsewhere (memberships) or a secret that nobody here may hold (`password`).
    pub(crate) fn ignored(self, name: &str) -> Option<&'static str> {
        let names: &[&'static str] = match self {
            ResourceType::User => &["schemas", "id", "meta", "password", "groups"],
            ResourceType::Group => &["schemas", "id", "meta", "members"],
        };
        names.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
    }
}
