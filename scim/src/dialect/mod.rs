//! What identity providers send outside of the standard, as data: named shapes, and which provider is known for which.
//!
//! Nothing here changes what is accepted: every shape is, from everybody. A dialect says what to expect of a directory, so that what
//! is not expected can be counted and looked at before it hurts.

mod scan;

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use scan::quirks;

/// Shapes that were seen.
pub type Quirks = BTreeSet<Quirk>;

macro_rules! names {
    ($type:ident, $($variant:ident = $name:literal,)+) => {
        impl $type {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// The name for configuration and metric labels.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name).ok_or(UnknownName)
            }
        }
    };
}

/// A name that is none of those that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such name")]
pub struct UnknownName;

/// A shape outside of RFC 7643 and RFC 7644 that is understood all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// `"op": "Replace"`.
    OpCase,
    /// `"UserName"`, `"Value"`: legal, as names have no case, but nobody needs to.
    KeyCase,
    /// `"active": "False"`, also in the filter of a path: `roles[primary eq "True"]`.
    BooleanAsString,
    /// `{"op": "remove", "path": "members", "value": [{"value": "1"}]}`.
    RemovalByList,
    /// `{"name.givenName": "Ana"}` in a value without a path.
    DottedKey,
    /// `{"urn:…:User:employeeNumber": "7"}`.
    UrnKey,
    /// `{"emails[type eq \"work\"].value": "a@example.com"}`.
    FilteredKey,
    /// `urn:…:2.0:User.manager`: a dot where a colon is due.
    DotBeforeExtension,
    /// `"manager": "1"`, where an object with a `value` is due.
    ManagerAsString,
    /// `[x]` for an attribute that has one value.
    ListOfOne,
    /// `{"value": x}` for an attribute that has no sub-attributes.
    WrappedValue,
    /// `"emails": "a@example.com"`, `"members": ["1"]`: the value where an object with it is due.
    BareValue,
    /// `"employeeNumber": 7`, where a string is due.
    NumberAsString,
    /// `schemas` names a schema that the resource does not have.
    UnknownSchema,
    /// `schemas` is left out.
    MissingSchemas,
    /// A secret that nobody asked for.
    Password,
    /// `groups` in a user, where memberships are changed through the group.
    GroupsInUser,
    /// `{"op": "replace", "value": {"id": "1", "displayName": "Sales"}}`: what cannot be changed, repeated.
    ReadOnlyInValue,
    /// `startIndex=0`; the first is 1.
    StartIndexZero,
    /// `startindex`.
    ParameterCase,
    /// `filter=emails[type eq "work"].value eq "a@example.com"`.
    FilterBehindBrackets,
    /// `filter=manager eq "1"`: an attribute of an extension without its URN.
    UnprefixedExtension,
}

names! {
    Quirk,
    OpCase = "op_case",
    KeyCase = "key_case",
    BooleanAsString = "boolean_as_string",
    RemovalByList = "removal_by_list",
    DottedKey = "dotted_key",
    UrnKey = "urn_key",
    FilteredKey = "filtered_key",
    DotBeforeExtension = "dot_before_extension",
    ManagerAsString = "manager_as_string",
    ListOfOne = "list_of_one",
    WrappedValue = "wrapped_value",
    BareValue = "bare_value",
    NumberAsString = "number_as_string",
    UnknownSchema = "unknown_schema",
    MissingSchemas = "missing_schemas",
    Password = "password",
    GroupsInUser = "groups_in_user",
    ReadOnlyInValue = "read_only_in_value",
    StartIndexZero = "start_index_zero",
    ParameterCase = "parameter_case",
    FilterBehindBrackets = "filter_behind_brackets",
    UnprefixedExtension = "unprefixed_extension",
}

/// Who is on the other side, as far as it matters for what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Microsoft Entra ID.
    Entra,
    /// Microsoft Entra ID with `?aadOptscim062020` in the URL. Provisioning on demand ignores the flag, so that shapes of the other
    /// one come, too.
    #[serde(rename = "entra-2062020")]
    Entra2062020,
    /// An integration of the Okta Integration Network: users are changed by PATCH.
    OktaOin,
    /// An integration made with Okta's wizard: users and groups are changed by PUT.
    OktaAiw,
    /// By the standard.
    Generic,
}

names! {
    Dialect,
    Entra = "entra",
    Entra2062020 = "entra-2062020",
    OktaOin = "okta-oin",
    OktaAiw = "okta-aiw",
    Generic = "generic",
}

impl Dialect {
    /// What it is known for; documents of the vendors and issues of other service providers are the sources.
    pub fn quirks(self) -> &'static [Quirk] {
        use Quirk::*;
        match self {
            Dialect::Entra => &[
                OpCase,
                BooleanAsString,
                RemovalByList,
                DotBeforeExtension,
                ManagerAsString,
                UnknownSchema,
                StartIndexZero,
                ParameterCase,
                FilterBehindBrackets,
                UnprefixedExtension,
            ],
            Dialect::Entra2062020 => {
                &[OpCase, DottedKey, UrnKey, ManagerAsString, UnknownSchema, FilterBehindBrackets, UnprefixedExtension]
            }
            Dialect::OktaOin => &[Password, GroupsInUser, ReadOnlyInValue],
            Dialect::OktaAiw => &[Password, GroupsInUser],
            Dialect::Generic => &[],
        }
    }

    /// What of `seen` is not expected of it.
    pub fn unexpected(self, seen: &Quirks) -> Quirks {
        seen.iter().copied().filter(|quirk| !self.quirks().contains(quirk)).collect()
    }

    /// The one dialect that is known for all of `seen`: a guess, to be shown to people, better the more requests it rests on.
    /// `None` if there is no such dialect, or several.
    pub fn detect(seen: &Quirks) -> Option<Self> {
        let mut fitting =
            Self::ALL.iter().copied().filter(|dialect| !seen.is_empty() && dialect.unexpected(seen).is_empty());
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

#[cfg(test)]
mod tests;
