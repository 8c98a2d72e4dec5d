//! What a PATCH operation, or a key of a body, points at (RFC 7644 §3.5.2, figure 7).

use std::fmt;

use crate::error::Result;
use crate::filter::{Filter, parse_path};

/// The target of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Path {
    /// A schema URN alone: everything that an extension holds.
    Schema(String),
    Attribute(AttributePath),
}

/// `[urn:]name[filter].sub`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttributePath {
    /// In canonical case if the schema is one of RFC 7643, else as sent. Absent means the core schema.
    pub urn: Option<String>,
    /// As sent; compared without regard to case.
    pub name: String,
    /// Which values of a multi-valued attribute are meant, by their sub-attributes.
    pub filter: Option<Filter<String>>,
    /// As sent; compared without regard to case.
    pub sub: Option<String>,
}

impl Path {
    /// Parses a path. An unknown URN is taken to end at its last colon.
    ///
    /// # Errors
    /// `invalidPath`, or `invalidFilter` for what stands in the brackets, with the position.
    pub fn parse(text: &str) -> Result<Self> {
        let (written, filter) = parse_path(text).map_err(|fault| fault.into_path_error())?;
        Ok(match (written.urn, written.name) {
            (Some(urn), None) => Path::Schema(urn),
            (urn, name) => {
                Path::Attribute(AttributePath { urn, name: name.unwrap_or_default(), filter, sub: written.sub })
            }
        })
    }
}

impl AttributePath {
    /// A plain attribute of the core schema.
    pub(crate) fn plain(name: &str) -> Self {
        Self { urn: None, name: name.to_owned(), filter: None, sub: None }
    }

    /// Whether this is the attribute itself: no filter, no sub-attribute.
    pub(crate) fn is_whole(&self) -> bool {
        self.filter.is_none() && self.sub.is_none()
    }
}

/// The path without its filter, whose values are not to be shown to anyone.
impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.urn {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.name)?;
        if let Some(sub) = &self.sub {
            write!(f, ".{sub}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(text: &str) -> AttributePath {
        match Path::parse(text).unwrap() {
            Path::Attribute(path) => path,
            Path::Schema(urn) => panic!("{text} was read as the schema {urn}"),
        }
    }

    #[test]
    fn b1_06_a_urn_is_split_by_the_longest_known_schema_and_a_dot_in_2_0_is_no_separator() {
        const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        for text in [
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.manager",
            "URN:IETF:params:scim:schemas:extension:ENTERPRISE:2.0:user:manager",
        ] {
            let path = attribute(text);
            assert_eq!(
                (path.urn.as_deref(), path.name.as_str(), path.sub),
                (Some(ENTERPRISE), "manager", None),
                "{text}"
            );
        }
        let path = attribute("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value");
        assert_eq!((path.name.as_str(), path.sub.as_deref()), ("manager", Some("value")));
        assert_eq!(Path::parse(ENTERPRISE), Ok(Path::Schema(ENTERPRISE.to_owned())));
        let custom = attribute("urn:example:custom:2.0:User:badge.number");
        assert_eq!(custom.to_string(), "urn:example:custom:2.0:User:badge.number");
    }

    #[test]
    fn a_truth_value_in_quotes_selects_like_a_truth_value() {
        assert_eq!(attribute(r#"roles[primary eq "True"].value"#), attribute("roles[primary eq true].value"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            " ",
            ".",
            "a..b",
            "a.b.c",
            "a[",
            "a[b]",
            "a[b eq]",
            "a[b eq one]",
            "a[b[c eq 1]]",
            "a b",
            "a[b eq \"c\"].",
            "1a",
            "a.b[c eq \"d\"]",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
