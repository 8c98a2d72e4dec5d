//! What one call does to the set of a group's members: the fact at once; its effect at once, in chunks, or after a person.

use std::collections::{HashMap, HashSet};

use lifecycle::brake::{Counts, Limits, Reason};
use lifecycle::{Class, GroupView};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::group_plans::{self, OfGroup};
use crate::settle::{MembershipChange, Touched, settle};
use crate::{Directory, Result, fan_outs, identities, member_rows};

/// One operation on the set of members. A member is named by its account's or group's native id at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// (reference, is a group)
    Add(Vec<(String, bool)>),
    Remove(Vec<String>),
    RemoveAll,
    Replace(Vec<(String, bool)>),
}

/// How many members one call may take from a group before a person has to agree.
#[derive(Debug, Clone, Copy)]
pub struct GroupBrake {
    /// Of a call that replaces the set. Its scope is the group: a share of those who were in it.
    pub limits: Limits,
    /// A longer list of removals is weighed as if it replaced the set.
    pub burst: u64,
}

/// The last word of a call's operations on each reference.
#[derive(Debug, Default)]
pub(crate) struct Stated {
    /// Whoever is not named is no member.
    pub replaces: bool,
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub removed: Vec<String>,
}

impl Stated {
    pub(crate) fn of(changes: &[MemberChange]) -> Self {
        let mut replaces = false;
        let mut named: HashMap<&str, bool> = HashMap::new();
        let mut removed: HashSet<&str> = HashSet::new();
        for change in changes {
            let members = match change {
                MemberChange::Add(members) => members.as_slice(),
                MemberChange::Replace(members) => {
                    replaces = true;
                    named.clear();
                    members.as_slice()
                }
                MemberChange::RemoveAll => {
                    replaces = true;
                    named.clear();
                    &[]
                }
                MemberChange::Remove(references) => {
                    for reference in references {
                        named.remove(reference.as_str());
                        removed.insert(reference);
                    }
                    &[]
                }
            };
            for (reference, nested) in members {
                removed.remove(reference.as_str());
                named.insert(reference, *nested);
            }
        }
        if replaces {
            removed.clear();
        }
        let of = |nested| named.iter().filter(move |(_, n)| **n == nested).map(|(r, _)| (*r).to_owned()).collect();
        Self { replaces, users: of(false), groups: of(true), removed: removed.into_iter().map(str::to_owned).collect() }
    }
}

/// What became of a call.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// A reader sees another set than before.
    pub changed: bool,
    /// The plan that waits for a person since this call.
    pub held: Option<Uuid>,
    /// More changes than one transaction may have are left for [`Directory::fan_out`].
    pub fans_out: bool,
}

/// One call on one group, whose row is locked.
pub(crate) struct Call<'a> {
    pub directory: &'a Directory,
    pub cause: &'a Cause,
    pub brake: GroupBrake,
    /// As it is for those who join.
    pub group: &'a GroupView,
    /// As it was for those who lose it.
    pub lost: &'a GroupView,
}

/// (account, identity)
type Pair = (Uuid, Uuid);

impl Call<'_> {
    /// `awaited` and `nested` come from [`member_rows::unknown`].
    pub(crate) async fn apply(
        &self,
        tx: &mut PgConnection,
        stated: &Stated,
        unknown: &member_rows::Unknown,
    ) -> Result<Outcome> {
        let (group, source) = (self.group.id, self.cause.source());
        let held_before = group_plans::held(tx, group).await?;
        let long = self.brake.burst.min(CHUNK as u64);
        let planned = stated.replaces || stated.removed.len() as u64 > long;
        let mut done = Outcome::default();
        let mut left: Vec<Pair> = Vec::new();

        if planned {
            let back = member_rows::restore(tx, source, group, &stated.users).await?;
            let holds = Uuid::now_v7();
            let gone = member_rows::mark_removed(tx, source, group, stated, holds).await?;
            done.changed |= back > 0 || gone.rows > 0;
            if gone.waiting > 0 || held_before.is_some() {
                let leaves = Uuid::now_v7();
                let leaving = self.weigh(tx, holds, held_before, gone.waiting, leaves, &mut done).await?;
                if leaving > CHUNK as u64 {
                    self.fan_out(tx, leaves, &mut done).await?;
                } else if leaving > 0 {
                    left = fan_outs::take(tx, group, leaves).await?.left;
                }
            }
        } else if !stated.removed.is_empty() {
            let gone = member_rows::delete(tx, source, group, &stated.removed).await?;
            done.changed |= gone.rows > 0;
            left = gone.counted;
        }

        let joined = self.join(tx, stated, unknown, left.len(), &mut done).await?;
        if let Some(plan) = held_before.filter(|_| !planned) {
            group_plans::supersede_if_over(tx, source, plan).await?;
        }
        self.tell(tx, &left, &joined).await?;
        Ok(done)
    }

    /// Whether what the call takes away goes through: then it waits for `leaves`, and how many that are is returned; else a
    /// plan holds it. What an earlier plan of the group holds is weighed anew with it.
    async fn weigh(
        &self,
        tx: &mut PgConnection,
        holds: Uuid,
        held_before: Option<Uuid>,
        new: u64,
        leaves: Uuid,
        done: &mut Outcome,
    ) -> Result<u64> {
        let marks: Vec<Uuid> = held_before.into_iter().chain([holds]).collect();
        let (would_lose, members) = member_rows::weight(tx, self.group.id, &marks).await?;
        let Limits { min, .. } = self.brake.limits;
        let bound = self.brake.limits.bound(members);
        if would_lose <= bound {
            if let Some(plan) = held_before {
                group_plans::supersede(tx, self.cause.source(), plan).await?;
            }
            return member_rows::mark(tx, &marks, leaves).await;
        }
        // The same set said again is no new plan.
        if new > 0 {
            let privileged = self.lost.privileged;
            let counts = if privileged {
                Counts { privileged_loss: would_lose, ..Counts::default() }
            } else {
                Counts { member_remove: would_lose, ..Counts::default() }
            };
            let group = self.group.name.clone();
            let reason = Reason::MembersLost { group, would_lose, members, bound, min };
            let plan = OfGroup { id: holds, group: self.group.id, privileged, counts, reason, before: held_before };
            group_plans::hold(tx, self.cause, &plan).await?;
            done.held = Some(holds);
        }
        Ok(0)
    }

    /// Adds who is stated. Returns those whose membership counts in this transaction.
    async fn join(
        &self,
        tx: &mut PgConnection,
        stated: &Stated,
        unknown: &member_rows::Unknown,
        left: usize,
        done: &mut Outcome,
    ) -> Result<Vec<Pair>> {
        let (group, source) = (self.group.id, self.cause.source());
        let nested: Vec<String> = stated.groups.iter().chain(&unknown.groups).cloned().collect();
        done.changed |= member_rows::add_references(tx, group, &unknown.users, &nested).await? > 0;
        if stated.users.is_empty() {
            return Ok(Vec::new());
        }
        if stated.users.len() + left <= CHUNK {
            let added = member_rows::insert(tx, source, group, &stated.users).await?;
            done.changed |= added.rows > 0;
            return Ok(added.counted);
        }
        let joins = Uuid::now_v7();
        let joining = member_rows::insert_waiting(tx, source, group, &stated.users, joins).await?;
        done.changed |= joining > 0;
        if joining == 0 {
            return Ok(Vec::new());
        }
        if joining + left as u64 <= CHUNK as u64 {
            return Ok(fan_outs::take(tx, group, joins).await?.joined);
        }
        self.fan_out(tx, joins, done).await?;
        Ok(Vec::new())
    }

    async fn fan_out(&self, tx: &mut PgConnection, id: Uuid, done: &mut Outcome) -> Result<()> {
        done.fans_out = true;
        fan_outs::begin(tx, self.cause, id, self.group.id, self.lost.privileged).await
    }

    async fn tell(&self, tx: &mut PgConnection, left: &[Pair], joined: &[Pair]) -> Result<()> {
        if !left.is_empty() && !joined.is_empty() {
            // Both at once and in order, so that two calls never wait for each other in a circle.
            let all: Vec<Uuid> = left.iter().chain(joined).map(|(_, identity)| *identity).collect();
            identities::lock(tx, &all).await?;
        }
        for (pairs, group, added) in [(left, self.lost, false), (joined, self.group, true)] {
            tell(tx, self.directory, self.cause, pairs, group, added).await?;
        }
        Ok(())
    }
}

/// Writes the events of those who joined or left, at most [`CHUNK`].
pub(crate) async fn tell(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    pairs: &[Pair],
    group: &GroupView,
    added: bool,
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let cause = Cause { class: cause.class.max(Class::of_plan(pairs.len())), ..cause.clone() };
    let memberships = pairs
        .iter()
        .map(|(_, identity)| MembershipChange { identity: *identity, group: group.clone(), added })
        .collect();
    settle(tx, &directory.sources, &cause, Touched { memberships, ..Touched::default() }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(ids: &[&str]) -> Vec<(String, bool)> {
        ids.iter().map(|id| ((*id).to_owned(), false)).collect()
    }

    #[test]
    fn the_last_operation_on_a_member_is_what_counts() {
        let stated = Stated::of(&[
            MemberChange::Remove(vec!["a".to_owned(), "b".to_owned()]),
            MemberChange::Add(users(&["a", "c"])),
            MemberChange::Remove(vec!["c".to_owned()]),
        ]);
        let mut removed = stated.removed.clone();
        removed.sort();
        assert_eq!((stated.replaces, stated.users, removed), (false, vec!["a".into()], vec!["b".into(), "c".into()]));

        let stated = Stated::of(&[
            MemberChange::Add(users(&["a"])),
            MemberChange::RemoveAll,
            MemberChange::Add(vec![("b".to_owned(), true)]),
        ]);
        assert!(stated.replaces && stated.users.is_empty() && stated.removed.is_empty());
        assert_eq!(stated.groups, ["b"]);
    }
}
