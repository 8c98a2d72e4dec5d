//! Apply: what a source said becomes accounts, identities, events and pending rows in one transaction.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use lifecycle::account::standing_at;
use lifecycle::correlate::Link;
use lifecycle::{AccountFacts, Class, Standing};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::accounts::{self, AccountRow, Write};
use crate::bursts::{Burst, Verdicts};
use crate::checkpoints::{self, Fence};
use crate::link::Candidates;
use crate::memberships::{self, Wanted};
use crate::settle::{Touched, settle};
use crate::{Directory, Result};

/// Where a change came from; stands on its events.
#[derive(Debug, Clone)]
pub struct Cause {
    pub source: Option<String>,
    pub class: Class,
    /// When it took effect at the source, as far as the source says.
    pub effective_at: Option<DateTime<Utc>>,
    /// When Leaver first had it in hand.
    pub received_at: Option<DateTime<Utc>>,
    /// The W3C `traceparent` of the request or run that brought it; `None` where nothing is traced.
    pub trace: Option<String>,
    /// How it came, for people: `SCIM PATCH`, `csv`, `plan approved`.
    pub via: &'static str,
}

impl Cause {
    pub(crate) fn source(&self) -> &str {
        self.source.as_deref().unwrap_or_default()
    }
}

/// What counts at once.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Everything: a push, as far as the source's burst allows.
    Push(Burst, &'a Verdicts),
    /// Facts are stored, but what would end access waits for the plan's verdict. `baseline`: memberships make no events yet.
    Safe { baseline: bool },
}

/// One page of a run.
#[derive(Debug)]
pub struct Page<'a> {
    pub fence: &'a Fence,
    pub accounts: &'a [AccountFacts],
    pub baseline: bool,
}

/// What applying did, for counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub events: usize,
}

/// The largest number of subjects in one transaction.
pub const CHUNK: usize = 1_000;

/// The same for a page of a run, which few wait for: whoever comes by SCIM meanwhile waits for a processor, for the log to be
/// written and, if new, for values that the page is about, and the longer the transaction the longer.
const PAGE_CHUNK: usize = 250;

impl Directory {
    /// Applies a page of a run in chunks, each one transaction. Creates and updates count; what would end access waits.
    pub async fn apply_page(&self, cause: &Cause, page: &Page<'_>) -> Result<Applied> {
        let mut total = Applied::default();
        for chunk in page.accounts.chunks(PAGE_CHUNK) {
            let applied = self.retrying(|| self.apply_chunk(cause, page, chunk).boxed()).await?;
            if applied.events > 0 {
                self.wake.pending.ring();
            }
            self.grew(applied.created);
            total.created += applied.created;
            total.updated += applied.updated;
            total.unchanged += applied.unchanged;
            total.events += applied.events;
        }
        Ok(total)
    }

    /// Takes deleted accounts for gone; what that ends waits, as in [`Directory::apply_page`]. Those that nobody knew stay
    /// unknown. Says how many were not gone before.
    pub async fn apply_deleted(&self, cause: &Cause, fence: &Fence, native_ids: &[String]) -> Result<u64> {
        let mut updated = 0;
        for chunk in native_ids.chunks(CHUNK) {
            updated += self.retrying(|| self.delete_chunk(cause, fence, chunk).boxed()).await?;
        }
        Ok(updated)
    }

    async fn delete_chunk(&self, cause: &Cause, fence: &Fence, native_ids: &[String]) -> Result<u64> {
        let mut tx = self.begin().await?;
        checkpoints::hold(&mut tx, fence).await?;
        let known = accounts::lock(&mut tx, cause.source(), native_ids).await?;
        // All that was known of them stays known: other downstreams may know them by it.
        let facts: Vec<AccountFacts> = known
            .iter()
            .filter(|row| row.fact != Standing::Gone)
            .map(|row| AccountFacts {
                native_id: row.native_id.clone(),
                external_id: row.external_id.clone(),
                profile: row.profile.clone(),
                standing: Standing::Gone,
                starts_at: None,
                ends_at: None,
                kind: None,
                attributes: row.attributes.clone(),
                groups: None,
            })
            .collect();
        let (touched, applied) =
            observe(&mut tx, self, cause, known, &facts, Mode::Safe { baseline: false }, false).await?;
        settle(&mut tx, &self.sources, cause, touched).await?;
        tx.commit().await?;
        Ok(applied.updated)
    }

    async fn apply_chunk(&self, cause: &Cause, page: &Page<'_>, chunk: &[AccountFacts]) -> Result<Applied> {
        let mut tx = self.begin().await?;
        checkpoints::hold(&mut tx, page.fence).await?;
        let ids: Vec<String> = chunk.iter().map(|a| a.native_id.clone()).collect();
        let known = accounts::lock(&mut tx, cause.source(), &ids).await?;
        let mode = Mode::Safe { baseline: page.baseline };
        let (touched, mut applied) = observe(&mut tx, self, cause, known, chunk, mode, false).await?;
        applied.events = settle(&mut tx, &self.sources, cause, touched).await?.events;
        tx.commit().await?;
        Ok(applied)
    }
}

/// Writes the accounts of one chunk and says which identities they touch. `known`: those that exist, locked. `unique`: the source must not have two of a userName.
pub(crate) async fn observe(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    known: Vec<AccountRow>,
    facts: &[AccountFacts],
    mode: Mode<'_>,
    unique: bool,
) -> Result<(Touched, Applied)> {
    let now = Utc::now();
    let rules = &directory.sources.rules(cause.source()).correlate;
    let known: HashMap<String, AccountRow> = known.into_iter().map(|row| (row.native_id.clone(), row)).collect();
    let (mut touched, mut applied) = (Touched::default(), Applied::default());

    let changed: Vec<&AccountFacts> =
        facts.iter().filter(|f| known.get(&f.native_id).is_none_or(|row| differs(row, f, now))).collect();
    applied.unchanged = (facts.len() - changed.len()) as u64;
    let relinked: BTreeSet<&str> = alone(tx, &changed, &known, rules).await?;
    let unlinked: Vec<_> = changed
        .iter()
        .filter(|f| !known.contains_key(&f.native_id) || relinked.contains(f.native_id.as_str()))
        .map(|f| &f.profile)
        .collect();
    let mut candidates = Candidates::find(tx, rules, &unlinked).await?;

    // Values may move on from one account to another within a page: nobody joins an identity that the page merges away, and
    // none is merged away that another account of the page has joined.
    let mut joined: BTreeSet<Uuid> = BTreeSet::new();
    let mut writes: Vec<Write<'_>> = Vec::with_capacity(changed.len());
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for facts in changed {
        let row = known.get(&facts.native_id);
        let stated = facts.standing_at(now);
        let (identity_id, fact, counted) = match row {
            Some(row) => {
                applied.updated += 1;
                touched.before.insert(row.id, row.view());
                // Unknown says nothing, so what was known stays.
                let fact = if stated == Standing::Unknown { row.fact } else { stated };
                // A denial that is held stays held when it is only said again: a later window must not let it slip through.
                let held = fact == row.fact;
                let waits =
                    fact.is_dangerous_after(row.counted) && (held || directory.waits(cause, mode, &facts.native_id));
                let counted = if waits { row.counted } else { fact };
                touched.changed.insert(row.identity_id);
                let link = if relinked.contains(facts.native_id.as_str()) {
                    candidates.link(rules, &facts.profile, Some(row.identity_id))
                } else {
                    Link::Nobody
                };
                match link {
                    Link::One(survivor) if !joined.contains(&row.identity_id) && !touched.merges_away(survivor) => {
                        touched.merged.push((row.identity_id, survivor));
                        touched.changed.insert(survivor);
                        joined.insert(survivor);
                        (survivor, fact, counted)
                    }
                    Link::One(_) | Link::Nobody | Link::Ambiguous => (row.identity_id, fact, counted),
                }
            }
            None => {
                applied.created += 1;
                let (identity, created) = match candidates.link(rules, &facts.profile, None) {
                    Link::One(id) if !touched.merges_away(id) => {
                        joined.insert(id);
                        (id, false)
                    }
                    link => {
                        let id = Uuid::now_v7();
                        candidates.add(rules, id, &facts.profile);
                        touched.created.insert(id, (facts.kind.unwrap_or_default(), link == Link::Ambiguous));
                        (id, true)
                    }
                };
                touched.changed.insert(identity);
                let waits = !created && stated.denies() && directory.waits(cause, mode, &facts.native_id);
                (identity, stated, if waits { Standing::Unknown } else { stated })
            }
        };
        let id = row.map_or_else(|| account_id(&facts.native_id, unique), |r| r.id);
        writes.push(Write { id, identity_id, facts, fact, counted, tombstone: None, unique });
        touched.stated.insert(facts.native_id.clone(), identity_id);
        if let Some(groups) = &facts.groups {
            wanted.push(Wanted { account: id, identity: identity_id, groups });
        }
    }
    accounts::write(tx, cause.source(), &writes).await?;
    touched.memberships = memberships::replace(tx, directory, cause, &wanted, mode).await?;
    let arrived: Vec<(Uuid, Uuid, &AccountFacts)> = writes
        .iter()
        .filter(|w| known.get(&w.facts.native_id).is_none_or(|row| row.tombstone.as_deref() == Some("hard")))
        .map(|w| (w.id, w.identity_id, w.facts))
        .collect();
    touched.memberships.extend(memberships::bind_pending(tx, cause, &arrived).await?);
    Ok((touched, applied))
}

impl Directory {
    /// Whether a change that ends access waits for a person, or for the plan that its run makes.
    pub(crate) fn waits(&self, cause: &Cause, mode: Mode<'_>, native_id: &str) -> bool {
        match mode {
            Mode::Push(burst, verdicts) => !verdicts.on(native_id, || self.windows.spend(cause.source(), burst)),
            Mode::Safe { .. } => true,
        }
    }
}

/// For SCIM the native id *is* the UUID that we issued, so the account's own key says the same. Whoever comes together is neighbours
/// in every index: of random ids each row of a first run would be written into another page of each.
fn account_id(native_id: &str, issued: bool) -> Uuid {
    native_id.parse().ok().filter(|_| issued).unwrap_or_else(Uuid::now_v7)
}

fn differs(row: &AccountRow, facts: &AccountFacts, now: DateTime<Utc>) -> bool {
    let fact = standing_at(facts.standing, facts.starts_at, facts.ends_at, now);
    row.content_hash != facts.content_hash()
        || row.tombstone.is_some()
        || (fact != Standing::Unknown && fact != row.fact)
}

/// Native ids of changed accounts whose correlated values changed and who stand alone on their identity: a match now is a merge.
async fn alone<'a>(
    tx: &mut PgConnection,
    changed: &[&'a AccountFacts],
    known: &HashMap<String, AccountRow>,
    rules: &[String],
) -> Result<BTreeSet<&'a str>> {
    let moved: Vec<(&'a str, Uuid)> = changed
        .iter()
        .filter_map(|f| known.get(&f.native_id).map(|row| (*f, row)))
        .filter(|(f, row)| row.profile.changed(&f.profile).iter().any(|name| rules.iter().any(|r| r == name)))
        .map(|(f, row)| (f.native_id.as_str(), row.identity_id))
        .collect();
    if moved.is_empty() {
        return Ok(BTreeSet::new());
    }
    let identities: Vec<Uuid> = moved.iter().map(|(_, id)| *id).collect();
    let alone = sqlx::query_scalar!(
        "SELECT identity_id FROM directory.accounts WHERE identity_id = ANY($1) GROUP BY identity_id HAVING count(*) = 1",
        &identities
    )
    .fetch_all(tx)
    .await?;
    Ok(moved.into_iter().filter(|(_, id)| alone.contains(id)).map(|(native, _)| native).collect())
}
