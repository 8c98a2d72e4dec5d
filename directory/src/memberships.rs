//! Who is in which group: set operations on pairs, never a list read, changed and written back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::DateTime;
use lifecycle::{AccountFacts, Context, EventType, GroupFacts, GroupView, SubjectKind};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{Cause, Mode};
use crate::events::{self, Draft, Head};
use crate::groups::{self, GroupRow};
use crate::settle::MembershipChange;
use crate::{Directory, Result};

/// The groups that an account is in, by display name, as a source states them beside the account.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub account: Uuid,
    pub identity: Uuid,
    pub groups: &'a [String],
}

/// Makes the memberships of these accounts what is wanted. The loss of a privileged group waits in [`Mode::Safe`].
pub(crate) async fn replace(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    wanted: &[Wanted<'_>],
    mode: Mode<'_>,
) -> Result<Vec<MembershipChange>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: BTreeSet<&String> = wanted.iter().flat_map(|w| w.groups).collect();
    let groups = ensure(tx, directory, cause, &names).await?;
    let accounts: Vec<Uuid> = wanted.iter().map(|w| w.account).collect();
    // Joined, not looked for in the array: a rehearsal fills these tables in a transaction that no statistics know of, and each row
    // that it reads would be compared with each account.
    let rows = sqlx::query!(
        "SELECT m.group_id, m.account_id, m.present, g.display_name, g.privileged
         FROM (SELECT DISTINCT a AS account_id FROM UNNEST($1::uuid[]) AS a) AS w
         JOIN directory.memberships m ON m.account_id = w.account_id JOIN directory.groups g ON g.id = m.group_id
         WHERE g.source = $2 ORDER BY m.group_id, m.account_id FOR UPDATE OF m",
        &accounts,
        cause.source()
    )
    .fetch_all(&mut *tx)
    .await?;
    let identity: HashMap<Uuid, Uuid> = wanted.iter().map(|w| (w.account, w.identity)).collect();
    let desired: HashSet<(Uuid, Uuid)> =
        wanted.iter().flat_map(|w| w.groups.iter().map(|name| (groups[name].id, w.account))).collect();
    let held: HashSet<(Uuid, Uuid)> = rows.iter().filter(|r| !r.present).map(|r| (r.group_id, r.account_id)).collect();
    let there: HashSet<(Uuid, Uuid)> = rows.iter().map(|r| (r.group_id, r.account_id)).collect();
    let by_id: HashMap<Uuid, &GroupView> = groups.values().map(|g| (g.id, g)).collect();
    let mut changes = Vec::new();
    let emit = !matches!(mode, Mode::Safe { baseline: true });

    let added: Vec<(Uuid, Uuid)> = desired.difference(&there).copied().collect();
    insert_new(tx, &added).await?;
    set_present(tx, &desired.intersection(&held).copied().collect::<Vec<_>>(), true).await?;
    for (group, account) in added.iter().filter(|_| emit) {
        changes.push(MembershipChange {
            identity: identity[account],
            account: *account,
            group: by_id[group].clone(),
            added: true,
            direct: true,
        });
    }
    let (mut waits, mut gone) = (Vec::new(), Vec::new());
    for row in rows.iter().filter(|r| r.present && !desired.contains(&(r.group_id, r.account_id))) {
        let pair = (row.group_id, row.account_id);
        if row.privileged && matches!(mode, Mode::Safe { .. }) {
            waits.push(pair);
            continue;
        }
        gone.push(pair);
        let group = GroupView { id: row.group_id, name: row.display_name.clone(), privileged: row.privileged };
        changes.push(MembershipChange {
            identity: identity[&row.account_id],
            account: row.account_id,
            group,
            added: false,
            direct: true,
        });
    }
    set_present(tx, &waits, false).await?;
    delete(tx, &gone).await?;
    Ok(changes)
}

/// Finds or creates the groups of these names at the cause's source.
async fn ensure(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    names: &BTreeSet<&String>,
) -> Result<BTreeMap<String, GroupView>> {
    // Nearly all of them are there, as far as they have been read of the source.
    let mut names: Vec<String> = names.iter().map(|n| (*n).clone()).collect();
    let mut groups = named(tx, cause.source(), &names).await?;
    names.retain(|name| !groups.contains_key(name));
    if !names.is_empty() {
        let new: Vec<GroupFacts> = names.iter().map(|name| nothing_but(name)).collect();
        create_groups(tx, directory, cause, &new.iter().collect::<Vec<_>>()).await?;
        groups.extend(named(tx, cause.source(), &names).await?);
    }
    let vanished: Vec<String> = groups.iter().filter(|(_, (_, gone))| *gone).map(|(name, _)| name.clone()).collect();
    if !vanished.is_empty() {
        return_vanished(tx, directory, cause, &vanished).await?;
    }
    Ok(groups.into_iter().map(|(name, (view, _))| (name, view)).collect())
}

/// Those of these groups that are there, and whether each has vanished.
async fn named(tx: &mut PgConnection, source: &str, names: &[String]) -> Result<BTreeMap<String, (GroupView, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT id, native_id, display_name, privileged, coalesce(tombstone = 'out_of_scope', false) AS "vanished!"
           FROM directory.groups WHERE source = $1 AND native_id = ANY($2)"#,
        source,
        names
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|g| {
            let view = GroupView { id: g.id, name: g.display_name, privileged: g.privileged };
            (g.native_id, (view, g.vanished))
        })
        .collect())
}

/// What is known of a group that only its members name.
fn nothing_but(name: &str) -> GroupFacts {
    GroupFacts { native_id: name.to_owned(), external_id: None, display_name: name.to_owned(), attributes: json!({}) }
}

/// Creates those of these groups that are not there yet. Says how many.
pub(crate) async fn create_groups(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    groups: &[&GroupFacts],
) -> Result<usize> {
    if groups.is_empty() {
        return Ok(0);
    }
    let names: Vec<String> = groups.iter().map(|g| g.display_name.clone()).collect();
    let attributes: Vec<Value> = groups.iter().map(|g| g.attributes.clone()).collect();
    let privileged: Vec<bool> =
        groups.iter().map(|g| directory.sources.is_privileged(&g.display_name, &g.attributes)).collect();
    let created = sqlx::query!(
        r#"INSERT INTO directory.groups
               (source, native_id, display_name, privileged, attributes, content_hash, version, last_bulk, recorded_at)
           SELECT $1, d.name, d.name, d.privileged, d.attributes, ''::bytea, 1, 1, clock_timestamp()
           FROM UNNEST($2::text[], $3::bool[], $4::jsonb[]) AS d(name, privileged, attributes)
           WHERE NOT EXISTS (SELECT FROM directory.groups g WHERE g.source = $1 AND g.native_id = d.name) ORDER BY d.name
           ON CONFLICT (source, native_id) DO NOTHING
           RETURNING id, display_name, privileged, recorded_at"#,
        cause.source(),
        &names,
        &privileged,
        &attributes
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut stamped = Vec::new();
    for group in &created {
        let mut head = Head {
            kind: SubjectKind::Group,
            id: group.id,
            version: 0,
            last_urgent: 0,
            last_bulk: 0,
            recorded_at: DateTime::UNIX_EPOCH,
        };
        let view = GroupView { id: group.id, name: group.display_name.clone(), privileged: group.privileged };
        let draft = Draft {
            event_type: EventType::GroupCreated,
            data: json!({"source": cause.source, "privileged": group.privileged}),
            context: Context { group: Some(view), ..Context::default() },
            privileged: group.privileged,
        };
        stamped.extend(events::stamp(&mut head, vec![draft], cause.class, group.recorded_at));
    }
    events::append(tx, cause, &stamped).await?;
    Ok(created.len())
}

/// Groups that had vanished and are named again are there again, as the same ones.
async fn return_vanished(tx: &mut PgConnection, directory: &Directory, cause: &Cause, names: &[String]) -> Result<()> {
    let back = sqlx::query_as!(
        GroupRow,
        "SELECT id, source, native_id, external_id, display_name, privileged, attributes, version, revision, last_urgent,
                last_bulk, recorded_at, created_at, changed_at
         FROM directory.groups WHERE source = $1 AND native_id = ANY($2) AND tombstone = 'out_of_scope'
         ORDER BY id FOR NO KEY UPDATE",
        cause.source(),
        names
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in &back {
        let view = GroupView { id: row.id, name: row.display_name.clone(), privileged: row.privileged };
        let data = json!({"source": cause.source, "privileged": row.privileged, "via": cause.via});
        directory.tell_of_group(tx, cause, row, groups::draft(EventType::GroupCreated, data, view)).await?;
    }
    if !back.is_empty() {
        let ids: Vec<Uuid> = back.iter().map(|row| row.id).collect();
        sqlx::query!("UPDATE directory.groups SET tombstone = NULL WHERE id = ANY($1)", &ids).execute(&mut *tx).await?;
        seen_anew(tx, &ids).await?;
    }
    Ok(())
}

/// Binds members that were named before these accounts arrived, by native id, or by an external id that no other account has.
pub(crate) async fn bind_pending(
    tx: &mut PgConnection,
    cause: &Cause,
    arrived: &[(Uuid, Uuid, &AccountFacts)],
) -> Result<Vec<MembershipChange>> {
    if arrived.is_empty() {
        return Ok(Vec::new());
    }
    let external = arrived.iter().filter_map(|(a, i, facts)| Some((facts.external_id.clone()?, (*a, *i))));
    let mut waiting: HashMap<String, (Uuid, Uuid)> = external.collect();
    waiting.extend(arrived.iter().map(|(a, i, facts)| (facts.native_id.clone(), (*a, *i))));
    let references: Vec<String> = waiting.keys().cloned().collect();
    let native: Vec<String> = arrived.iter().map(|(_, _, facts)| facts.native_id.clone()).collect();
    let bound = sqlx::query!(
        "DELETE FROM directory.pending_members p USING directory.groups g
         WHERE p.reference = ANY($1) AND g.id = p.group_id AND g.source = $2
           AND (p.reference = ANY($3) OR 1 = (SELECT count(*) FROM directory.accounts a
                WHERE a.source = $2 AND a.external_id = p.reference AND a.tombstone IS DISTINCT FROM 'hard'))
         RETURNING p.group_id, p.reference, g.display_name, g.privileged",
        &references,
        cause.source(),
        &native
    )
    .fetch_all(&mut *tx)
    .await?;
    // One account may have been named twice.
    let pairs: BTreeSet<(Uuid, Uuid)> = bound.iter().map(|b| (b.group_id, waiting[&b.reference].0)).collect();
    insert(tx, &pairs.into_iter().collect::<Vec<_>>()).await?;
    let groups: BTreeSet<Uuid> = bound.iter().map(|b| b.group_id).collect();
    seen_anew(tx, &groups.into_iter().collect::<Vec<_>>()).await?;
    let mut told = HashSet::new();
    Ok(bound
        .into_iter()
        .filter(|b| told.insert((b.group_id, waiting[&b.reference].0)))
        .map(|b| MembershipChange {
            identity: waiting[&b.reference].1,
            account: waiting[&b.reference].0,
            group: GroupView { id: b.group_id, name: b.display_name, privileged: b.privileged },
            added: true,
            direct: true,
        })
        .collect())
}

/// Takes a user who was deleted for good out of every group, so that coming back is not a way back into them. While the
/// deletion is `held`, the loss of privileged groups waits with it, and of those within them.
pub(crate) async fn leave_all(
    tx: &mut PgConnection,
    account: Uuid,
    identity: Uuid,
    held: bool,
) -> Result<Vec<MembershipChange>> {
    let mut groups = Vec::new();
    if held {
        groups = sqlx::query_scalar!(
            "UPDATE directory.memberships m SET present = false, rejected_by = NULL FROM directory.groups g
             WHERE m.account_id = $1 AND g.id = m.group_id AND directory.confers_privilege(g.id) AND m.counted
               AND (m.present OR m.rejected_by IS NOT NULL) RETURNING g.id",
            account
        )
        .fetch_all(&mut *tx)
        .await?;
    }
    let lost = sqlx::query!(
        "DELETE FROM directory.memberships m USING directory.groups g
         WHERE m.account_id = $1 AND g.id = m.group_id AND NOT ($2 AND directory.confers_privilege(g.id) AND m.counted)
         RETURNING g.id, g.display_name, g.privileged, m.counted",
        account,
        held
    )
    .fetch_all(&mut *tx)
    .await?;
    groups.extend(lost.iter().map(|g| g.id));
    seen_anew(tx, &groups).await?;
    Ok(lost
        .into_iter()
        // Whose joining nobody was told of has nothing to lose.
        .filter(|g| g.counted)
        .map(|g| MembershipChange {
            identity,
            account,
            group: GroupView { id: g.id, name: g.display_name, privileged: g.privileged },
            added: false,
            direct: true,
        })
        .collect())
}

/// These groups read otherwise than before: their members changed by what happened to a user or to another group.
pub(crate) async fn seen_anew(tx: &mut PgConnection, groups: &[Uuid]) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE directory.groups g SET revision = revision + 1, changed_at = clock_timestamp()
         FROM (SELECT id FROM directory.groups WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE) AS l WHERE g.id = l.id",
        groups
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn split(pairs: &[(Uuid, Uuid)]) -> (Vec<Uuid>, Vec<Uuid>) {
    pairs.iter().copied().unzip()
}

/// Adds pairs; those that are there already stay. Returns the pairs that are new.
pub(crate) async fn insert(tx: &mut PgConnection, pairs: &[(Uuid, Uuid)]) -> Result<Vec<(Uuid, Uuid)>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let (groups, accounts) = split(pairs);
    let rows = sqlx::query!(
        "INSERT INTO directory.memberships AS m (group_id, account_id, present, counted)
         SELECT g, a, true, true FROM UNNEST($1::uuid[], $2::uuid[]) AS d(g, a) ORDER BY g, a
         ON CONFLICT (group_id, account_id) DO UPDATE SET present = true, waits_for = NULL WHERE NOT m.present
         RETURNING group_id, account_id, (xmax = 0) AS \"new!\"",
        &groups,
        &accounts
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().filter(|r| r.new).map(|r| (r.group_id, r.account_id)).collect())
}

/// Adds pairs that were not there a moment ago, at half the cost. Should one have come meanwhile, the transaction is done again.
async fn insert_new(tx: &mut PgConnection, pairs: &[(Uuid, Uuid)]) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let (groups, accounts) = split(pairs);
    sqlx::query!(
        "INSERT INTO directory.memberships (group_id, account_id, present, counted)
         SELECT g, a, true, true FROM UNNEST($1::uuid[], $2::uuid[]) AS d(g, a) ORDER BY g, a",
        &groups,
        &accounts
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn set_present(tx: &mut PgConnection, pairs: &[(Uuid, Uuid)], present: bool) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let (groups, accounts) = split(pairs);
    sqlx::query!(
        "UPDATE directory.memberships m SET present = $3 FROM UNNEST($1::uuid[], $2::uuid[]) AS d(g, a)
         WHERE m.group_id = d.g AND m.account_id = d.a",
        &groups,
        &accounts,
        present
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes pairs. Returns those that were there.
pub(crate) async fn delete(tx: &mut PgConnection, pairs: &[(Uuid, Uuid)]) -> Result<Vec<(Uuid, Uuid)>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let (groups, accounts) = split(pairs);
    let rows = sqlx::query!(
        "DELETE FROM directory.memberships m USING UNNEST($1::uuid[], $2::uuid[]) AS d(g, a)
         WHERE m.group_id = d.g AND m.account_id = d.a RETURNING m.group_id, m.account_id",
        &groups,
        &accounts
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|r| (r.group_id, r.account_id)).collect())
}
