//! Reading everything, page by page, in such a way that nobody is overlooked while others come and go.

use std::collections::{BTreeSet, HashMap, HashSet};

use lifecycle::GroupFacts;
use serde::de::DeserializeOwned;

use super::{
    VIEW_USERS,
    events::Position,
    mapping::{Group, Groups, User},
    realm::Realm,
    refusal,
};
use crate::{Error, Result};

/// Users asked for at a time.
pub(super) const PAGE: usize = 500;

/// How many of a page are asked for again with the next. Lists are paged by offset: whoever is deleted from a page before
/// moves everybody after one place up, and without an overlap one of them would be read by no page.
const OVERLAP: usize = 50;

/// The list moved by more than the overlap while it was read.
#[derive(Debug, thiserror::Error)]
#[error("users were deleted faster than pages of them are read")]
struct Gap;

/// Fewer were read than are there.
#[derive(Debug, thiserror::Error)]
#[error(
    "{seen} users could be read and Keycloak counts {counted}: the list changed meanwhile, or we may not see all of it"
)]
struct Short {
    seen: usize,
    counted: usize,
}

/// A group that was listed is not there any more. That nobody is in it is not what its 404 says: whoever is, was or will be
/// moved is read by the next snapshot.
#[derive(Debug, thiserror::Error)]
#[error("a group was deleted while groups and their members were read")]
struct GroupGone;

/// A snapshot under way.
pub(super) struct Snapshot {
    /// Tells this one from an earlier one of the same process.
    pub number: u64,
    /// The events before everything that is read here; `None` where they are not saved.
    pub begun: Option<Position>,
    counted: usize,
    groups: Groups,
    /// The groups that each user is directly in.
    direct: HashMap<String, Vec<String>>,
    seen: HashSet<String>,
}

impl Snapshot {
    /// Reads what has to be known before the users: where events stand, the groups and their members.
    pub async fn begin(realm: &Realm, number: u64) -> Result<Self> {
        let begun = if realm.events_are_saved().await? { Some(realm.newest_event().await?) } else { None };
        let counted = realm.count().await?;
        let groups = realm.groups().await?;
        let mut direct: HashMap<String, Vec<String>> = HashMap::new();
        for group in groups.ids() {
            for member in realm.members(group).await? {
                direct.entry(member).or_default().push(group.to_owned());
            }
        }
        Ok(Self { number, begun, counted, groups, direct, seen: HashSet::new() })
    }

    /// The users of the page at `first` who were not on an earlier one, and where the next page begins.
    pub async fn page(&mut self, realm: &Realm, first: usize) -> Result<(Vec<User>, Option<usize>)> {
        let page: Option<Vec<User>> = realm.page(&["users"], first, &[("briefRepresentation", "false")]).await?;
        let page = page.ok_or_else(refusal::no_realm)?;
        if first > 0 && !page.first().is_some_and(|user| self.seen.contains(&user.id)) {
            return Err(Error::Unavailable(Box::new(Gap)));
        }
        let next = (page.len() == PAGE).then(|| first + PAGE - OVERLAP);
        Ok((page.into_iter().filter(|user| self.seen.insert(user.id.clone())).collect(), next))
    }

    /// Fails if there are users who were on no page. Who came or went meanwhile is no reason to.
    pub async fn check(&self, realm: &Realm) -> Result<()> {
        let counted = realm.count().await?.min(self.counted);
        let seen = self.seen.len();
        if seen < counted { Err(Error::Unavailable(Box::new(Short { seen, counted }))) } else { Ok(()) }
    }

    pub fn groups(&self) -> Vec<GroupFacts> {
        self.groups.facts()
    }

    pub fn groups_of(&self, user: &str) -> BTreeSet<String> {
        let direct = self.direct.get(user).into_iter().flatten();
        direct.flat_map(|group| self.groups.names(group)).map(str::to_owned).collect()
    }
}

impl Realm {
    /// One page of a list, `None` where there is no such list; also what is not a list of users has no more per page.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        first: usize,
        more: &[(&str, &str)],
    ) -> Result<Option<Vec<T>>> {
        let (first, max) = (first.to_string(), PAGE.to_string());
        let query = [&[("first", first.as_str()), ("max", max.as_str())], more].concat();
        self.client.get(path, &query, VIEW_USERS).await
    }

    pub(super) async fn count(&self) -> Result<usize> {
        self.client.get(&["users", "count"], &[], VIEW_USERS).await?.ok_or_else(refusal::no_realm)
    }

    /// The ids of those who are directly in a group.
    async fn members(&self, group: &str) -> Result<HashSet<String>> {
        #[derive(serde::Deserialize)]
        struct Member {
            id: String,
        }
        let (mut members, mut first) = (HashSet::new(), 0);
        loop {
            let page: Option<Vec<Member>> =
                self.page(&["groups", group, "members"], first, &[("briefRepresentation", "true")]).await?;
            let page = page.ok_or_else(|| Error::Unavailable(Box::new(GroupGone)))?;
            if first > 0 && !page.first().is_some_and(|member| members.contains(&member.id)) {
                return Err(Error::Unavailable(Box::new(Gap)));
            }
            let full = page.len() == PAGE;
            members.extend(page.into_iter().map(|member| member.id));
            if !full {
                return Ok(members);
            }
            first += PAGE - OVERLAP;
        }
    }

    /// All groups, with those above before those below.
    pub(super) async fn groups(&self) -> Result<Groups> {
        let mut groups = Groups::default();
        let mut parents: Vec<Option<String>> = vec![None];
        while let Some(parent) = parents.pop() {
            let path = match &parent {
                None => vec!["groups"],
                Some(id) => vec!["groups", id.as_str(), "children"],
            };
            let mut first = 0;
            loop {
                let page: Option<Vec<Group>> = self.page(&path, first, &[("briefRepresentation", "false")]).await?;
                let page = page.ok_or_else(|| match &parent {
                    None => refusal::no_realm(),
                    Some(_) => Error::Unavailable(Box::new(GroupGone)),
                })?;
                for group in &page {
                    groups.add(group, parent.as_deref());
                    if group.sub_group_count > 0 {
                        parents.push(Some(group.id.clone()));
                    }
                }
                if page.len() < PAGE {
                    break;
                }
                first += PAGE - OVERLAP;
            }
        }
        Ok(groups)
    }
}
