//! Calls of SCIM clients that change a few members of one group, several in one transaction. Each of them would wait for the lock on
//! the group, and for the flush of the one before; together they are one change of the set.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lifecycle::GroupFacts;
use scim::{Ids, Selection};
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::events::Arrival;
use crate::groups::{self, GroupChange, GroupRow};
use crate::member_rows;
use crate::members::{Call, GroupBrake, Stated};
use crate::together::{Line, Shared, Together, Wait};
use crate::{Directory, Result};

/// Sees a group as it is, under its lock, and says what its attributes become. `None`: nothing is to be done.
pub(crate) type Change = Arc<dyn Fn(&GroupRow) -> Option<GroupFacts> + Send + Sync>;

/// One call, as its client made it.
#[derive(Clone)]
pub(crate) struct GroupCall {
    pub cause: Cause,
    pub brake: GroupBrake,
    pub native_id: String,
    pub facts: Change,
    pub stated: Arc<Stated>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Called {
    Done(Box<GroupChange>),
    Missing,
    Refused,
}

impl GroupCall {
    /// Whom it takes out, if it only names a few members and says nothing of anybody else.
    fn few(&self) -> Option<&BTreeSet<String>> {
        match &self.stated.out {
            Selection { users: Ids::Only(users), groups: Ids::Only(groups) } => {
                let few = self.stated.groups.is_empty() && groups.is_subset(users);
                (few && users.len() as u64 <= self.brake.burst && self.stated.users.len() <= CHUNK).then_some(users)
            }
            _ => None,
        }
    }
}

impl Shared for GroupCall {
    type Written = Called;

    // The next one needs the row that the one before has locked.
    const AT_ONCE: usize = 1;

    fn line(&self) -> Line {
        (self.cause.source().to_owned(), self.cause.via, Some(self.native_id.clone()))
    }

    fn waiting(directory: &Directory) -> &Together<Self> {
        &directory.calls
    }

    fn goes_with(&self, first: &Self) -> bool {
        self.cause.class == first.cause.class
            && self.brake == first.brake
            && self.few().is_some()
            && first.few().is_some()
    }

    fn marks(&self) -> Vec<String> {
        self.few().into_iter().flatten().chain(&self.stated.users).cloned().collect()
    }

    async fn write(directory: &Directory, calls: &[Self], _: Wait) -> Result<Vec<Option<Called>>> {
        match calls {
            [call] => Ok(vec![Some(directory.change(call).await?)]),
            calls => directory.change_together(calls).await,
        }
    }
}

impl Directory {
    /// Several calls that each change a few members, and no two of them the same. Where one of them is about more than that, each
    /// goes by itself.
    async fn change_together(&self, calls: &[GroupCall]) -> Result<Vec<Option<Called>>> {
        let by_itself = || Ok(calls.iter().map(|_| None).collect());
        let Some(first) = calls.first() else { return by_itself() };
        let together = Stated::together(calls.iter().map(|call| call.stated.as_ref()));
        let out = match &together.out.users {
            Ids::Only(out) => out.len() as u64,
            Ids::AllBut(_) => return by_itself(),
        };
        if out > first.brake.burst || together.users.len() + out as usize > CHUNK {
            return by_itself();
        }
        let mut tx = self.begin().await?;
        let (stated, unknown) = member_rows::resolve(&mut tx, first.cause.source(), &together).await?;
        // Two calls may name one member by two names: what was said last would be lost.
        if matches!(stated, Cow::Owned(_)) {
            return by_itself();
        }
        let Some(current) = groups::find(&mut tx, first.cause.source(), &first.native_id, true).await? else {
            return Ok(calls.iter().map(|_| Some(Called::Missing)).collect());
        };
        // Each sees it as if those before it had been written: whoever wants it as it was, and is not the first, goes by itself.
        let before = current.facts();
        let plain = |(place, call): (i64, &GroupCall)| {
            let seen = GroupRow { revision: current.revision + place, ..current.clone() };
            (call.facts)(&seen).as_ref() == Some(&before)
        };
        if !(0..).zip(calls).all(plain) {
            return by_itself();
        }
        let view = current.view();
        // A pushed account's own key is the id by which its client names it.
        let arrived: HashMap<Uuid, Arrival> = calls
            .iter()
            .flat_map(|call| call.marks().into_iter().map(|member| (member, &call.cause)))
            .filter_map(|(member, cause)| Some((member.parse().ok()?, Arrival::of(cause))))
            .collect();
        let call = Call {
            directory: self,
            cause: &first.cause,
            brake: first.brake,
            group: &view,
            lost: &view,
            arrived: Some(&arrived),
        };
        let done = call.apply(&mut tx, &stated, &unknown).await?;
        let mut row = current.clone();
        if done.changed {
            row = sqlx::query_as!(
                GroupRow,
                "UPDATE directory.groups SET revision = revision + $2, changed_at = clock_timestamp() WHERE id = $1
                 RETURNING id, source, native_id, external_id, display_name, privileged, attributes, version, revision,
                           last_urgent, last_bulk, recorded_at, created_at, changed_at",
                current.id,
                calls.len() as i64
            )
            .fetch_one(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        self.changed_group(done.fans_out);
        // As if one had come after the other: whoever sends the revision of an earlier one back learns that there are others.
        let answer = |place: i64| {
            let revision = row.revision.min(current.revision + place);
            Some(Called::Done(Box::new(GroupChange { row: GroupRow { revision, ..row.clone() }, held: done.held })))
        };
        Ok((1..).zip(calls).map(|(place, _)| answer(place)).collect())
    }
}
