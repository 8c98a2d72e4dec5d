//! Which members a filter means, without reading one: a filter on ids and types says for users and for groups either who is meant, or
//! who alone is not.

use std::collections::BTreeSet;

use crate::error::{Error, Result, ScimType};
use crate::filter::{Comparison, Filter, Literal};

/// The members that are meant, by what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub users: Ids,
    pub groups: Ids,
}

/// A set of ids, or what is outside of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Selection {
    /// # Errors
    /// `invalidFilter` for another attribute than `value` and `type`, and for a comparison that is none of `eq`, `ne` and `pr`: to know
    /// whom it means, the members would have to be read.
    pub(super) fn of(filter: &Filter<String>) -> Result<Self> {
        match filter {
            Filter::And(all) => all.iter().try_fold(Self::both(Ids::all()), |kept, one| {
                let Self { users, groups } = Self::of(one)?;
                Ok(Self { users: kept.users.and(users), groups: kept.groups.and(groups) })
            }),
            Filter::Or(any) => any.iter().try_fold(Self::both(Ids::none()), |kept, one| {
                let Self { users, groups } = Self::of(one)?;
                Ok(Self { users: kept.users.or(users), groups: kept.groups.or(groups) })
            }),
            Filter::Not(inner) => {
                let Self { users, groups } = Self::of(inner)?;
                Ok(Self { users: users.not(), groups: groups.not() })
            }
            Filter::Present(attribute) if is_id(attribute) || is_type(attribute) => Ok(Self::both(Ids::all())),
            Filter::Compare { attribute, op, value: Literal::String(wanted) } => {
                let equal = match attribute {
                    id if is_id(id) => Self::both(Ids::Only(BTreeSet::from([wanted.clone()]))),
                    kind if is_type(kind) => Self { users: of_type("User", wanted), groups: of_type("Group", wanted) },
                    _ => return Err(refused()),
                };
                match op {
                    Comparison::Eq => Ok(equal),
                    Comparison::Ne => Ok(Self { users: equal.users.not(), groups: equal.groups.not() }),
                    _ => Err(refused()),
                }
            }
            Filter::Present(_) | Filter::Compare { .. } | Filter::Values { .. } => Err(refused()),
        }
    }

    fn both(ids: Ids) -> Self {
        Self { users: ids.clone(), groups: ids }
    }

    /// The ids, where a list of them says it all.
    pub(super) fn listed(&self) -> Option<Vec<String>> {
        match (&self.users, &self.groups) {
            (Ids::Only(users), Ids::Only(groups)) if users == groups => Some(users.iter().cloned().collect()),
            _ => None,
        }
    }
}

impl Ids {
    pub fn none() -> Self {
        Ids::Only(BTreeSet::new())
    }

    pub fn all() -> Self {
        Ids::AllBut(BTreeSet::new())
    }

    pub fn contains(&self, id: &str) -> bool {
        match self {
            Ids::Only(ids) => ids.contains(id),
            Ids::AllBut(ids) => !ids.contains(id),
        }
    }

    pub fn insert(&mut self, id: &str) {
        match self {
            Ids::Only(ids) => {
                ids.insert(id.to_owned());
            }
            Ids::AllBut(ids) => {
                ids.remove(id);
            }
        }
    }

    pub fn remove(&mut self, id: &str) {
        match self {
            Ids::Only(ids) => {
                ids.remove(id);
            }
            Ids::AllBut(ids) => {
                ids.insert(id.to_owned());
            }
        }
    }

    #[must_use]
    fn not(self) -> Self {
        match self {
            Ids::Only(ids) => Ids::AllBut(ids),
            Ids::AllBut(ids) => Ids::Only(ids),
        }
    }

    /// What is in one of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Ids::Only(one), Ids::Only(other)) => Ids::Only(&one | &other),
            (Ids::AllBut(one), Ids::AllBut(other)) => Ids::AllBut(&one & &other),
            (Ids::AllBut(out), Ids::Only(ids)) | (Ids::Only(ids), Ids::AllBut(out)) => Ids::AllBut(&out - &ids),
        }
    }

    fn and(self, other: Self) -> Self {
        self.not().or(other.not()).not()
    }
}

fn is_id(attribute: &str) -> bool {
    attribute.eq_ignore_ascii_case("value")
}

fn is_type(attribute: &str) -> bool {
    attribute.eq_ignore_ascii_case("type")
}

/// Types compare without regard to case, as their schema says.
fn of_type(kind: &str, wanted: &str) -> Ids {
    if kind.eq_ignore_ascii_case(wanted) { Ids::all() } else { Ids::none() }
}

fn refused() -> Error {
    let detail =
        "members are selected by `value` and `type`, with eq, ne, pr, and, or and not, as in members[value eq \"…\"]";
    Error::bad_request(ScimType::InvalidFilter, detail)
}
