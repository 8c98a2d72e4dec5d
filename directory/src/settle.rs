//! From changed accounts to changed identities: effective state is computed anew, and every difference becomes an event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use lifecycle::account::{IdentityKind, Profile};
use lifecycle::effective::{self, Linked};
use lifecycle::{AccountView, Class, Context, Event, EventType, GroupView, IdentityView, State, SubjectKind};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::accounts::{self, AccountRow};
use crate::apply::Cause;
use crate::events::{self, Arrival, Draft, Head};
use crate::identities::{self, IdentityRecord, IdentityWrite};
use crate::inherited;
use crate::sources::Sources;
use crate::{Error, Result};

/// What the accounts' transaction found out before identities are looked at.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Identities that this transaction creates, with whether their match was ambiguous.
    pub created: BTreeMap<Uuid, (IdentityKind, bool)>,
    pub changed: BTreeSet<Uuid>,
    /// Whose the accounts are of which something new was said, by native id.
    pub stated: HashMap<String, Uuid>,
    /// How what is told of an identity came, where it did not all come by one request.
    pub arrivals: HashMap<Uuid, Arrival>,
    /// Accounts as they were before, by account id; for the `before` of contexts.
    pub before: HashMap<Uuid, AccountView>,
    /// Members that a source states; what follows from it by nesting is found out.
    pub memberships: Vec<MembershipChange>,
    /// (account, identity) of whoever is in a group that came into another or left it.
    pub reached: Vec<(Uuid, Uuid)>,
    /// Which groups are in which has changed in this transaction.
    pub nested: bool,
    /// (merged, survivor): the accounts have been moved already.
    pub merged: Vec<(Uuid, Uuid)>,
}

impl Touched {
    /// Whether this transaction merges the identity away.
    pub(crate) fn merges_away(&self, identity: Uuid) -> bool {
        self.merged.iter().any(|(merged, _)| *merged == identity)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct MembershipChange {
    pub identity: Uuid,
    pub account: Uuid,
    pub group: GroupView,
    pub added: bool,
    /// Not by a group within it.
    pub direct: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub events: usize,
    /// The accounts of every identity that was looked at, as they are now.
    pub accounts: Vec<AccountRow>,
}

/// Computes identities anew and writes states, versions, events, contexts and pending rows.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    sources: &Sources,
    cause: &Cause,
    mut touched: Touched,
) -> Result<Settled> {
    let nested = inherited::share(tx, cause.source(), &touched).await?;
    let mut all: BTreeSet<Uuid> = touched.changed.clone();
    all.extend(touched.memberships.iter().map(|m| m.identity));
    all.extend(touched.reached.iter().map(|(_, identity)| *identity));
    all.extend(touched.merged.iter().flat_map(|(from, into)| [*from, *into]));
    all.retain(|id| !touched.created.contains_key(id));
    let existing: Vec<Uuid> = all.into_iter().collect();
    // Locked first and in order; accounts are read by a later statement, which sees what earlier holders committed.
    let (rows, now) = identities::lock(tx, &existing).await?;
    let mut class = cause.class;
    if nested {
        touched.memberships = inherited::follow(tx, touched.memberships, &touched.reached).await?;
        if !touched.reached.is_empty() {
            let people: BTreeSet<Uuid> = touched.memberships.iter().map(|m| m.identity).collect();
            class = class.max(Class::of_plan(people.len()));
        }
    }
    let everyone: Vec<Uuid> = existing.iter().copied().chain(touched.created.keys().copied()).collect();
    let mut linked: HashMap<Uuid, Vec<AccountRow>> = HashMap::new();
    for account in accounts::of_identities(tx, &everyone).await? {
        linked.entry(account.identity_id).or_default().push(account);
    }
    // Since the match was looked for, somebody else may have merged it away, or have joined what this transaction merges away.
    // An account there would leave without an event, so all of it is done again.
    let merged = |r: &IdentityRecord| r.state == State::Merged || touched.merges_away(r.head.id);
    if rows.iter().any(|r| merged(r) && linked.contains_key(&r.head.id)) {
        return Err(Error::Conflict(sqlx::Error::RowNotFound));
    }
    let none = Vec::new();
    let mut written: Vec<IdentityWrite> = Vec::new();
    let mut all_events: Vec<(Event, Context)> = Vec::new();
    for (id, (kind, unresolved)) in &touched.created {
        let accounts = linked.get(id).unwrap_or(&none);
        let (state, profile) = compute(sources, accounts, None);
        let after = view(*id, *kind, state, 1, &profile, accounts, None);
        let mut drafts = vec![Draft {
            event_type: EventType::IdentityCreated,
            data: json!({"state": state, "source": cause.source, "via": cause.via}),
            context: Context { identity: Some(after.clone()), ..Context::default() },
            privileged: false,
        }];
        drafts.extend(membership_drafts(&touched.memberships, *id, &after, cause));
        let mut head = Head {
            kind: SubjectKind::Identity,
            id: *id,
            version: 0,
            last_urgent: 0,
            last_bulk: 0,
            recorded_at: DateTime::UNIX_EPOCH,
        };
        all_events.extend(events::stamp(&mut head, drafts, class, now));
        written.push(IdentityWrite {
            head,
            kind: *kind,
            state,
            generation: 1,
            unresolved: *unresolved,
            merged_into: None,
            profile,
            new: true,
        });
    }
    for row in rows {
        let accounts = linked.get(&row.head.id).unwrap_or(&none);
        let merged_into = touched.merged.iter().find(|(from, _)| *from == row.head.id).map(|(_, into)| *into);
        let (state, profile) = match merged_into {
            Some(_) => (State::Merged, row.profile.clone()),
            None => compute(sources, accounts, Some(row.state)),
        };
        let reborn = row.state == State::Departed && state == State::Active;
        let generation = row.generation + i64::from(reborn);
        let after = view(row.head.id, row.kind, state, generation, &profile, accounts, None);
        let before =
            view(row.head.id, row.kind, row.state, row.generation, &row.profile, accounts, Some(&touched.before));
        let context = || Context { identity: Some(after.clone()), before: Some(before.clone()), ..Context::default() };
        let mut drafts = Vec::new();
        let changed = row.profile.changed(&profile);
        if !changed.is_empty() {
            drafts.push(Draft {
                event_type: EventType::IdentityUpdated,
                data: json!({"changed": changed, "source": cause.source, "via": cause.via}),
                context: context(),
                privileged: false,
            });
        }
        for (from, _) in touched.merged.iter().filter(|(_, into)| *into == row.head.id) {
            drafts.push(Draft {
                event_type: EventType::IdentityMerged,
                data: json!({"merged": from, "source": cause.source}),
                context: context(),
                privileged: false,
            });
        }
        if let Some(event_type) = effective::transition(Some(row.state), state) {
            drafts.push(Draft {
                event_type,
                data: json!({"state": state, "previous": row.state, "generation": generation, "source": cause.source,
                             "via": cause.via, "into": merged_into}),
                context: context(),
                privileged: false,
            });
        }
        drafts.extend(membership_drafts(&touched.memberships, row.head.id, &after, cause));
        if drafts.is_empty() {
            continue;
        }
        let mut head = row.head;
        all_events.extend(events::stamp(&mut head, drafts, class, now));
        let unresolved = row.unresolved;
        written.push(IdentityWrite {
            head,
            kind: row.kind,
            state,
            generation,
            unresolved,
            merged_into,
            profile,
            new: false,
        });
    }
    // A step of a version is refused whose event is not there yet.
    events::append_each(tx, cause, &touched.arrivals, &all_events).await?;
    identities::write(tx, &written).await?;
    Ok(Settled { events: all_events.len(), accounts: linked.into_values().flatten().collect() })
}

fn compute(sources: &Sources, accounts: &[AccountRow], previous: Option<State>) -> (State, Profile) {
    let linked: Vec<Linked<'_>> = accounts
        .iter()
        .map(|a| {
            let rules = sources.rules(&a.source);
            Linked {
                counted: a.counted,
                profile: &a.profile,
                authority: &rules.authority,
                ignores_lifecycle: rules.ignores_lifecycle,
            }
        })
        .collect();
    (effective::state(&linked, previous), effective::profile(&linked))
}

fn membership_drafts<'a>(
    changes: &'a [MembershipChange],
    identity: Uuid,
    view: &'a IdentityView,
    cause: &'a Cause,
) -> impl Iterator<Item = Draft> + 'a {
    changes.iter().filter(move |m| m.identity == identity).map(move |m| Draft {
        event_type: if m.added { EventType::MembershipAdded } else { EventType::MembershipRemoved },
        data: json!({"group": m.group.id, "privileged": m.group.privileged, "direct": m.direct, "source": cause.source, "via": cause.via}),
        context: Context { identity: Some(view.clone()), group: Some(m.group.clone()), ..Context::default() },
        privileged: m.group.privileged,
    })
}

fn view(
    id: Uuid,
    kind: IdentityKind,
    state: State,
    generation: i64,
    profile: &Profile,
    accounts: &[AccountRow],
    replaced: Option<&HashMap<Uuid, AccountView>>,
) -> IdentityView {
    let mut by_source: BTreeMap<String, AccountView> = BTreeMap::new();
    for account in accounts {
        let old = replaced.and_then(|r| r.get(&account.id)).cloned();
        by_source.entry(account.source.clone()).or_insert_with(|| old.unwrap_or_else(|| account.view()));
    }
    IdentityView { id, kind, state, generation, profile: profile.clone(), accounts: by_source }
}
