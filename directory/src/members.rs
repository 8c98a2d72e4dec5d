//! What one call does to the set of a group's members: the fact at once; its effect at once, in chunks, or after a person.

use std::collections::{BTreeSet, HashMap, HashSet};

use lifecycle::brake::{Counts, Limits, Reason};
use lifecycle::{Class, GroupView};
use scim::{Ids, Selection};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::events::Arrival;
use crate::group_plans::{self, OfGroup};
use crate::settle::{MembershipChange, Touched, settle};
use crate::{Directory, Result, fan_outs, identities, member_rows, nesting};

/// One operation on the set of members. A member is named by its account's or group's native id at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// (reference, is a group)
    Add(Vec<(String, bool)>),
    Remove(Vec<String>),
    RemoveSelected(Selection),
    RemoveAll,
    Replace(Vec<(String, bool)>),
}

/// How many members one call may take from a group before a person has to agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupBrake {
    /// Of a call that replaces the set. Its scope is the group: a share of those who were in it.
    pub limits: Limits,
    /// A longer list of removals is weighed as if it replaced the set.
    pub burst: u64,
}

/// The last word of a call's operations on each reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stated {
    /// Who is a member, each once.
    pub users: Vec<String>,
    pub groups: Vec<String>,
    /// Who is none. Never one of the above.
    pub out: Selection,
}

impl Stated {
    pub(crate) fn of(changes: &[MemberChange]) -> Self {
        let mut named: HashMap<&str, bool> = HashMap::new();
        let mut out = Selection { users: Ids::none(), groups: Ids::none() };
        for change in changes {
            match change {
                MemberChange::Add(_) => {}
                MemberChange::Replace(_) | MemberChange::RemoveAll => {
                    named.clear();
                    out = Selection { users: Ids::all(), groups: Ids::all() };
                }
                MemberChange::Remove(references) => {
                    for reference in references {
                        named.remove(reference.as_str());
                        out.users.insert(reference);
                        out.groups.insert(reference);
                    }
                }
                MemberChange::RemoveSelected(selection) => {
                    let is_of = |nested| if nested { &selection.groups } else { &selection.users };
                    named.retain(|reference, nested| !is_of(*nested).contains(reference));
                    out = Selection {
                        users: out.users.or(selection.users.clone()),
                        groups: out.groups.or(selection.groups.clone()),
                    };
                }
            }
            if let MemberChange::Add(members) | MemberChange::Replace(members) = change {
                named.extend(members.iter().map(|(reference, nested)| (reference.as_str(), *nested)));
            }
        }
        let of = |nested| named.iter().filter(move |(_, n)| **n == nested).map(|(r, _)| (*r).to_owned()).collect();
        Self { users: of(false), groups: of(true), out }.settled()
    }

    /// What several calls state that name a few members each, none of them the same.
    pub(crate) fn together<'a>(calls: impl Iterator<Item = &'a Self>) -> Self {
        let mut all =
            Self { users: Vec::new(), groups: Vec::new(), out: Selection { users: Ids::none(), groups: Ids::none() } };
        for call in calls {
            all.users.extend(call.users.iter().cloned());
            all.groups.extend(call.groups.iter().cloned());
            all.out.users = all.out.users.or(call.out.users.clone());
            all.out.groups = all.out.groups.or(call.out.groups.clone());
        }
        all
    }

    /// The same, where some references are names of accounts by which they have come to be known (reference → native id).
    pub(crate) fn under(&self, aliases: &HashMap<String, String>) -> Self {
        let mut own = self.clone();
        for (reference, native_id) in aliases {
            match &mut own.out.users {
                Ids::Only(ids) | Ids::AllBut(ids) if ids.contains(reference) => {
                    ids.insert(native_id.clone());
                }
                Ids::Only(_) | Ids::AllBut(_) => {}
            }
        }
        let mut users = BTreeSet::new();
        for reference in std::mem::take(&mut own.users) {
            match aliases.get(&reference) {
                None => drop(users.insert(reference)),
                Some(native_id) => {
                    // It may have been awaited by that name.
                    own.out.users.insert(&reference);
                    users.insert(native_id.clone());
                }
            }
        }
        Self { users: users.into_iter().collect(), ..own }.settled()
    }

    /// Whoever is stated is not taken out.
    fn settled(mut self) -> Self {
        for reference in &self.users {
            self.out.users.remove(reference);
        }
        for reference in &self.groups {
            self.out.groups.remove(reference);
        }
        self
    }

    /// Users who are taken out, or alone are not, by a name of their own: not because they are stated.
    pub(crate) fn singled_out(&self) -> Vec<String> {
        let stated: HashSet<&String> = self.users.iter().collect();
        let (Ids::Only(ids) | Ids::AllBut(ids)) = &self.out.users;
        ids.iter().filter(|id| !stated.contains(id)).cloned().collect()
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
    /// Groups that went out of this one or came into it.
    moved: Vec<Uuid>,
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
    /// How what is done to an account came, where not all of it came by one request.
    pub arrived: Option<&'a HashMap<Uuid, Arrival>>,
}

/// (account, identity)
type Pair = (Uuid, Uuid);

impl Call<'_> {
    /// `stated` and `unknown` come from [`member_rows::resolve`].
    pub(crate) async fn apply(
        &self,
        tx: &mut PgConnection,
        stated: &Stated,
        unknown: &member_rows::Unknown,
    ) -> Result<Outcome> {
        let (group, source) = (self.group.id, self.cause.source());
        let held_before = group_plans::held(tx, group).await?;
        let named: Vec<String> = stated.groups.iter().chain(&unknown.groups).cloned().collect();
        let mut groups_out = stated.out.groups.clone();
        for stated_as_user in &unknown.groups {
            groups_out.remove(stated_as_user);
        }
        let nested = nesting::Said::of(tx, group, &named, &groups_out).await?;
        let planned = self.is_weighed(tx, stated, &nested).await?;
        let mut done = Outcome::default();
        let mut left: Vec<Pair> = Vec::new();

        if planned {
            let back =
                member_rows::restore(tx, source, group, &stated.users).await? + nested.restore(tx, group).await?;
            let holds = Uuid::now_v7();
            let gone = member_rows::mark_removed(tx, source, group, &stated.out.users, holds).await?;
            let groups_gone = nested.mark(tx, group, holds).await?;
            done.changed |= back > 0 || gone.rows > 0 || groups_gone.rows > 0;
            let waiting = gone.waiting + groups_gone.waiting;
            if waiting > 0 || held_before.is_some() {
                let leaves = Uuid::now_v7();
                let leaving = self.weigh(tx, holds, held_before, waiting, leaves, &mut done).await?;
                if leaving > CHUNK as u64 {
                    self.fan_out(tx, leaves, &mut done).await?;
                } else if leaving > 0 {
                    left = fan_outs::take(tx, group, leaves).await?.left;
                }
            }
        } else {
            if let Ids::Only(ids) = &stated.out.users
                && !ids.is_empty()
            {
                let gone = member_rows::delete(tx, source, group, ids).await?;
                done.changed |= gone.rows > 0;
                left = gone.counted;
            }
            let (rows, gone) = nested.delete(tx, group).await?;
            done.changed |= rows > 0;
            done.moved.extend(gone);
        }
        done.changed |= member_rows::remove_awaited(tx, group, &stated.out.users).await? > 0;

        let (rows, come) = nesting::add(tx, source, group, &named).await?;
        done.changed |= rows > 0;
        done.moved.extend(come);
        let joined = self.join(tx, stated, unknown, left.len(), &mut done).await?;
        if let Some(plan) = held_before.filter(|_| !planned) {
            group_plans::supersede_if_over(tx, source, plan).await?;
        }
        let mut told = Touched { nested: !done.moved.is_empty(), ..Touched::default() };
        if told.nested {
            nesting::lock(tx, source).await?;
            let reached = nesting::reach(tx, self.cause, group, &done.moved).await?;
            done.fans_out |= reached.is_none();
            told.reached = reached.unwrap_or_default();
        }
        self.tell(tx, &left, &joined, told).await?;
        Ok(done)
    }

    /// Whether what the call takes away is weighed: it replaces the set, or its list is long. A group that goes is as long as there
    /// are people in it.
    async fn is_weighed(&self, tx: &mut PgConnection, stated: &Stated, nested: &nesting::Said) -> Result<bool> {
        let long = self.brake.burst.min(CHUNK as u64);
        let replaces = match &stated.out.users {
            Ids::AllBut(_) => true,
            Ids::Only(ids) => ids.len() as u64 > long,
        };
        let groups = nested.takes_out()
            && (matches!(stated.out.groups, Ids::AllBut(_)) || nested.reaches_more_than(tx, long).await?);
        Ok(replaces || groups)
    }

    /// Whether what the call takes away goes through: then it waits for `leaves`, and how many that are is returned, and groups are
    /// out; else a plan holds it. What an earlier plan of the group holds is weighed anew with it.
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
            done.moved.extend(nesting::release(tx, &marks).await?);
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
        done.changed |= member_rows::add_awaited(tx, group, &unknown.users).await? > 0;
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

    /// `told` are those whom it reaches that groups have moved.
    async fn tell(&self, tx: &mut PgConnection, left: &[Pair], joined: &[Pair], told: Touched) -> Result<()> {
        let parts = [left, joined, &told.reached];
        if parts.iter().filter(|pairs| !pairs.is_empty()).count() > 1 {
            if !told.nested {
                nesting::keep(tx, self.cause.source()).await?;
            }
            // All at once and in order, so that two calls never wait for each other in a circle.
            let all: Vec<Uuid> = parts.into_iter().flatten().map(|(_, identity)| *identity).collect();
            identities::lock(tx, &all).await?;
        }
        for (pairs, group, added) in [(left, self.lost, false), (joined, self.group, true)] {
            let of = |(account, identity): &Pair| Some((*identity, self.arrived?.get(account)?.clone()));
            let arrivals = pairs.iter().filter_map(of).collect();
            let touched = Touched { nested: told.nested, arrivals, ..Touched::default() };
            tell(tx, self.directory, self.cause, pairs, group, added, touched).await?;
        }
        if !told.reached.is_empty() {
            settle(tx, &self.directory.sources, self.cause, told).await?;
        }
        Ok(())
    }
}

/// Writes the events of those who joined or left, at most [`CHUNK`]. `touched`: what else is known of this transaction.
pub(crate) async fn tell(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    pairs: &[Pair],
    group: &GroupView,
    added: bool,
    touched: Touched,
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let cause = Cause { class: cause.class.max(Class::of_plan(pairs.len())), ..cause.clone() };
    let memberships = pairs
        .iter()
        .map(|&(account, identity)| MembershipChange { identity, account, group: group.clone(), added, direct: true })
        .collect();
    settle(tx, &directory.sources, &cause, Touched { memberships, ..touched }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(ids: &[&str]) -> Vec<(String, bool)> {
        ids.iter().map(|id| ((*id).to_owned(), false)).collect()
    }

    fn only(ids: &[&str]) -> Ids {
        Ids::Only(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    fn all_but(ids: &[&str]) -> Ids {
        Ids::AllBut(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn the_last_operation_on_a_member_is_what_counts() {
        let stated = Stated::of(&[
            MemberChange::Remove(vec!["a".to_owned(), "b".to_owned()]),
            MemberChange::Add(users(&["a", "c"])),
            MemberChange::Remove(vec!["c".to_owned()]),
        ]);
        assert_eq!((stated.users, stated.out.users), (vec!["a".to_owned()], only(&["b", "c"])));

        let stated = Stated::of(&[
            MemberChange::Add(users(&["a"])),
            MemberChange::RemoveAll,
            MemberChange::Add(vec![("b".to_owned(), true)]),
        ]);
        assert_eq!(stated.out, Selection { users: all_but(&[]), groups: all_but(&["b"]) });
        assert_eq!((stated.users, stated.groups), (vec![], vec!["b".to_owned()]));
    }

    #[test]
    fn what_a_filter_takes_out_stays_out_unless_it_is_added_afterwards() {
        let everybody_but_b = MemberChange::RemoveSelected(Selection { users: all_but(&["b"]), groups: only(&[]) });
        let stated = Stated::of(&[
            MemberChange::Add(vec![("a".to_owned(), false), ("g".to_owned(), true)]),
            everybody_but_b,
            MemberChange::Add(users(&["c"])),
        ]);
        assert_eq!((stated.users, stated.groups), (vec!["c".to_owned()], vec!["g".to_owned()]));
        assert_eq!(stated.out, Selection { users: all_but(&["b", "c"]), groups: only(&[]) });
    }

    #[test]
    fn a_name_of_an_account_is_the_account_whether_it_joins_or_leaves() {
        let aliases = HashMap::from([("E-7".to_owned(), "7".to_owned()), ("E-8".to_owned(), "8".to_owned())]);
        let stated = Stated::of(&[
            MemberChange::Remove(vec!["E-7".to_owned(), "E-8".to_owned()]),
            MemberChange::Add(users(&["7", "E-7"])),
        ]);
        let stated = stated.under(&aliases);
        assert_eq!((stated.users, stated.out.users), (vec!["7".to_owned()], only(&["8", "E-7", "E-8"])));
    }
}
