//! What SCIM clients ask of accounts of one source, written in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lifecycle::AccountFacts;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::accounts::{self, AccountRow, Raw};
use crate::apply::{Cause, Mode, observe};
use crate::bursts::{Burst, Verdicts};
use crate::events::Arrival;
use crate::groups::{GroupOf, groups_of};
use crate::scim::UserRow;
use crate::settle::settle;
use crate::together::{Line, Shared, Together, Wait};
use crate::{Directory, Result};

/// Sees an account as it is, under its lock, and says what it becomes. `None`: it is to stay as it is.
pub(crate) type Change = Arc<dyn Fn(&AccountRow) -> Option<AccountFacts> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Wish {
    /// Under the fresh id in the facts, unless it is somebody who returns.
    Create(Arc<AccountFacts>),
    Change {
        native_id: String,
        change: Change,
    },
}

/// One write of an account, as its caller asked for it.
#[derive(Clone)]
pub(crate) struct Write {
    pub cause: Cause,
    pub burst: Burst,
    pub wish: Wish,
    /// Kept from one try to the next.
    pub verdicts: Arc<Verdicts>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Written {
    User(Box<UserRow>),
    /// There is no such account.
    Missing,
    /// The change did not want it.
    Refused,
    /// An active account has the userName.
    Taken,
}

impl Shared for Write {
    type Written = Written;

    // While one is flushed, the next is prepared.
    const AT_ONCE: usize = 2;

    fn line(&self) -> Line {
        (self.cause.source().to_owned(), self.cause.via, None)
    }

    fn waiting(directory: &Directory) -> &Together<Self> {
        &directory.writes
    }

    fn goes_with(&self, first: &Self) -> bool {
        self.burst == first.burst && self.cause.class == first.cause.class
    }

    fn marks(&self) -> Vec<String> {
        match &self.wish {
            Wish::Create(facts) => {
                let name = facts.profile.user_name.iter().map(|name| format!("name {}", name.to_lowercase()));
                name.chain(facts.external_id.iter().map(|id| format!("external {id}"))).collect()
            }
            Wish::Change { native_id, .. } => vec![format!("id {native_id}")],
        }
    }

    fn join(&mut self, first: &Self) {
        self.verdicts = Arc::clone(&first.verdicts);
    }

    async fn write(directory: &Directory, writes: &[Self], wait: Wait) -> Result<Vec<Option<Written>>> {
        directory.write_accounts(writes, wait).await
    }
}

/// Writes that go together, as they are made ready.
#[derive(Default)]
struct Ready {
    /// What becomes of those that need no writing, by their place.
    done: HashMap<usize, Written>,
    /// Rows that are there, locked.
    known: Vec<AccountRow>,
    /// What is said of whom, with the place of the write that says it.
    facts: Vec<AccountFacts>,
    places: Vec<usize>,
}

impl Ready {
    fn say(&mut self, place: usize, facts: AccountFacts, known: Option<AccountRow>) {
        self.facts.push(facts);
        self.places.push(place);
        self.known.extend(known);
    }
}

impl Directory {
    /// `written[i]` is what became of `writes[i]`. They are of one source and one kind, and no two of them about one user.
    async fn write_accounts(&self, writes: &[Write], wait: Wait) -> Result<Vec<Option<Written>>> {
        let Some(first) = writes.first() else { return Ok(Vec::new()) };
        let cause = &first.cause;
        let mut tx = self.begin().await?;
        let mut ready = Ready::default();
        change(&mut tx, cause, writes, wait, &mut ready).await?;
        create(&mut tx, cause, writes, &mut ready).await?;
        let Ready { mut done, known, facts, places } = ready;
        if !facts.is_empty() {
            let mut rows: HashMap<String, AccountRow> =
                known.iter().map(|row| (row.native_id.clone(), row.clone())).collect();
            let mode = Mode::Push(first.burst, &first.verdicts);
            let (mut touched, applied) = observe(&mut tx, self, cause, known, &facts, mode, true).await?;
            for (facts, place) in facts.iter().zip(&places) {
                if let Some(identity) = touched.stated.get(&facts.native_id) {
                    touched.arrivals.entry(*identity).or_insert_with(|| Arrival::of(&writes[*place].cause));
                }
            }
            for account in settle(&mut tx, &self.sources, cause, touched).await?.accounts {
                if account.source == cause.source() {
                    rows.insert(account.native_id.clone(), account);
                }
            }
            let mut groups: HashMap<Uuid, Vec<GroupOf>> = HashMap::new();
            let ids: Vec<Uuid> = rows.values().map(|row| row.id).collect();
            for group in groups_of(&mut tx, &ids).await? {
                groups.entry(group.account).or_default().push(group);
            }
            tx.commit().await?;
            self.wake.pending.ring();
            self.grew(applied.created);
            for (facts, place) in facts.into_iter().zip(places) {
                let account = rows.remove(&facts.native_id);
                done.extend(account.map(|account| {
                    let groups = groups.remove(&account.id).unwrap_or_default();
                    (place, Written::User(Box::new(UserRow { account, groups })))
                }));
            }
        }
        Ok((0..writes.len()).map(|place| done.remove(&place)).collect())
    }
}

/// Locks who is to be changed, and asks what they become.
async fn change(tx: &mut PgConnection, cause: &Cause, writes: &[Write], wait: Wait, ready: &mut Ready) -> Result<()> {
    let wishes = writes.iter().enumerate().filter_map(|(place, write)| match &write.wish {
        Wish::Change { native_id, change } => Some((place, native_id, change)),
        Wish::Create(_) => None,
    });
    let ids: Vec<String> = wishes.clone().map(|(_, id, _)| id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows = match wait {
        Wait::ForTheRow => accounts::lock(tx, cause.source(), &ids).await?,
        Wait::ForNobody => accounts::lock_free(tx, cause.source(), &ids).await?,
    };
    let mut rows: HashMap<String, AccountRow> = rows.into_iter().map(|row| (row.native_id.clone(), row)).collect();
    for (place, id, change) in wishes {
        let row = rows.remove(id);
        if row.is_none() && wait == Wait::ForNobody {
            // Held by somebody, or not there: whoever waits for it will see.
            continue;
        }
        let Some(row) = row.filter(|row| row.tombstone.as_deref() != Some("hard")) else {
            ready.done.insert(place, Written::Missing);
            continue;
        };
        match change(&row) {
            Some(facts) => ready.say(place, facts, Some(row)),
            None => drop(ready.done.insert(place, Written::Refused)),
        }
    }
    Ok(())
}

/// Looks for whom the new users were before, and locks them. Okta never deletes: it deactivates, then posts the same user anew.
async fn create(tx: &mut PgConnection, cause: &Cause, writes: &[Write], ready: &mut Ready) -> Result<()> {
    let wishes: Vec<(usize, &Arc<AccountFacts>)> = writes
        .iter()
        .enumerate()
        .filter_map(|(place, write)| match &write.wish {
            Wish::Create(facts) => Some((place, facts)),
            Wish::Change { .. } => None,
        })
        .collect();
    if wishes.is_empty() {
        return Ok(());
    }
    let facts: Vec<&AccountFacts> = wishes.iter().map(|(_, facts)| facts.as_ref()).collect();
    let rows = namesakes(tx, cause.source(), &facts).await?;
    let mut returned: HashSet<String> = HashSet::new();
    for (place, facts) in wishes {
        let mut was: Vec<(&AccountRow, bool)> = rows
            .iter()
            .filter_map(|row| {
                let named = same_name(row, facts);
                let known = facts.external_id.is_some() && row.external_id == facts.external_id;
                (named || known).then_some((row, named))
            })
            .collect();
        was.sort_by_key(|(row, _)| (row.tombstone.as_deref() == Some("hard"), std::cmp::Reverse(row.changed_at)));
        // Whoever comes first: somebody who is away and returns, or somebody who is here and has the name.
        match was.into_iter().find(|(row, named)| row.fact.denies() || *named) {
            None => ready.say(place, AccountFacts::clone(facts), None),
            Some((row, _)) if row.fact.denies() => {
                // Two at once who are both taken for one: the second looks again when the first is written.
                if returned.insert(row.native_id.clone()) {
                    let facts = AccountFacts { native_id: row.native_id.clone(), ..AccountFacts::clone(facts) };
                    ready.say(place, facts, Some(row.clone()));
                }
            }
            Some(_) => drop(ready.done.insert(place, Written::Taken)),
        }
    }
    Ok(())
}

/// Accounts that have one of these names or external ids, locked.
async fn namesakes(tx: &mut PgConnection, source: &str, facts: &[&AccountFacts]) -> Result<Vec<AccountRow>> {
    let sent: Vec<Option<String>> = facts.iter().map(|f| f.profile.user_name.clone()).collect();
    // The database's lower() may know ASCII only.
    let lowered: Vec<Option<String>> = sent.iter().map(|name| name.as_ref().map(|n| n.to_lowercase())).collect();
    let external: Vec<Option<String>> = facts.iter().map(|f| f.external_id.clone()).collect();
    sqlx::query_as!(
        Raw,
        "SELECT id, source, native_id, identity_id, external_id, user_name, email, employee_number, display_name, department,
                manager, attributes, fact, counted, tombstone, content_hash, version, created_at, changed_at
         FROM directory.accounts WHERE id = ANY(ARRAY(
             SELECT a.id FROM UNNEST($2::text[], $3::text[], $4::text[]) AS n(sent, lowered, external) CROSS JOIN LATERAL (
                 SELECT id FROM directory.accounts
                 WHERE source = $1 AND (unique_name = n.lowered OR lower(user_name) = lower(n.sent) OR external_id = n.external)
                 OFFSET 0) AS a))
         ORDER BY id FOR UPDATE",
        source,
        &sent as &[Option<String>],
        &lowered as &[Option<String>],
        &external as &[Option<String>]
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(AccountRow::try_from)
    .collect()
}

fn same_name(row: &AccountRow, facts: &AccountFacts) -> bool {
    let lower = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
    facts.profile.user_name.is_some() && lower(&row.profile.user_name) == lower(&facts.profile.user_name)
}
