//! Account rows: what each source says of each user.

use chrono::{DateTime, Utc};
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, AccountView, Standing, Tombstone};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, Result};

/// One stored account.
#[derive(Debug, Clone)]
pub struct AccountRow {
    pub id: Uuid,
    pub source: String,
    pub native_id: String,
    pub identity_id: Uuid,
    pub external_id: Option<String>,
    pub profile: Profile,
    pub attributes: Value,
    pub fact: Standing,
    pub counted: Standing,
    pub tombstone: Option<String>,
    pub content_hash: Vec<u8>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

impl AccountRow {
    pub(crate) fn view(&self) -> AccountView {
        AccountView {
            id: self.native_id.clone(),
            user_name: self.profile.user_name.clone(),
            external_id: self.external_id.clone(),
            email: self.profile.email.clone(),
            attributes: self.attributes.clone(),
        }
    }
}

/// The columns as they come; checked into an [`AccountRow`].
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Raw {
    pub id: Uuid,
    pub source: String,
    pub native_id: String,
    pub identity_id: Uuid,
    pub external_id: Option<String>,
    pub user_name: Option<String>,
    pub email: Option<String>,
    pub employee_number: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    pub manager: Option<String>,
    pub attributes: Value,
    pub fact: String,
    pub counted: String,
    pub tombstone: Option<String>,
    pub content_hash: Vec<u8>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

impl TryFrom<Raw> for AccountRow {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let standing = |column: &'static str, word: &str| {
            Standing::parse(word).ok_or_else(|| Error::Inconsistent {
                table: "accounts",
                column,
                row: raw.id.to_string(),
            })
        };
        Ok(Self {
            fact: standing("fact", &raw.fact)?,
            counted: standing("counted", &raw.counted)?,
            id: raw.id,
            source: raw.source,
            native_id: raw.native_id,
            identity_id: raw.identity_id,
            external_id: raw.external_id,
            profile: Profile {
                user_name: raw.user_name,
                email: raw.email,
                employee_number: raw.employee_number,
                display_name: raw.display_name,
                department: raw.department,
                manager: raw.manager,
            },
            attributes: raw.attributes,
            tombstone: raw.tombstone,
            content_hash: raw.content_hash,
            version: raw.version,
            created_at: raw.created_at,
            changed_at: raw.changed_at,
        })
    }
}

/// Locks and reads these accounts of a source, in a fixed order so that writers never wait in a circle.
pub(crate) async fn lock(tx: &mut PgConnection, source: &str, native_ids: &[String]) -> Result<Vec<AccountRow>> {
    sqlx::query_as!(
        Raw,
        "SELECT id, source, native_id, identity_id, external_id, user_name, email, employee_number, display_name, department,
                manager, attributes, fact, counted, tombstone, content_hash, version, created_at, changed_at
         FROM directory.accounts WHERE source = $1 AND native_id = ANY($2) ORDER BY native_id FOR UPDATE",
        source,
        native_ids
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(AccountRow::try_from)
    .collect()
}

/// The same, but for rows that somebody else holds.
pub(crate) async fn lock_free(tx: &mut PgConnection, source: &str, native_ids: &[String]) -> Result<Vec<AccountRow>> {
    sqlx::query_as!(
        Raw,
        "SELECT id, source, native_id, identity_id, external_id, user_name, email, employee_number, display_name, department,
                manager, attributes, fact, counted, tombstone, content_hash, version, created_at, changed_at
         FROM directory.accounts WHERE source = $1 AND native_id = ANY($2) ORDER BY native_id FOR UPDATE SKIP LOCKED",
        source,
        native_ids
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(AccountRow::try_from)
    .collect()
}

/// All accounts of these identities, each identity's in the order in which they were linked.
pub(crate) async fn of_identities(tx: &mut PgConnection, identities: &[Uuid]) -> Result<Vec<AccountRow>> {
    sqlx::query_as!(
        Raw,
        "SELECT id, source, native_id, identity_id, external_id, user_name, email, employee_number, display_name, department,
                manager, attributes, fact, counted, tombstone, content_hash, version, created_at, changed_at
         FROM directory.accounts WHERE identity_id = ANY($1) AND tombstone IS DISTINCT FROM 'unlinked'
         ORDER BY identity_id, linked_at, id",
        identities
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(AccountRow::try_from)
    .collect()
}

/// One account as it is to be written.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub id: Uuid,
    pub identity_id: Uuid,
    pub facts: &'a AccountFacts,
    pub fact: Standing,
    pub counted: Standing,
    pub tombstone: Option<Tombstone>,
    /// The source must not have two of this `userName`.
    pub unique: bool,
}

/// Inserts or replaces accounts by (source, native id), set-based.
pub(crate) async fn write(tx: &mut PgConnection, source: &str, rows: &[Write<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let texts = |f: &dyn Fn(&Write<'_>) -> Option<String>| rows.iter().map(f).collect::<Vec<Option<String>>>();
    let ids: Vec<Uuid> = rows.iter().map(|w| w.id).collect();
    let identities: Vec<Uuid> = rows.iter().map(|w| w.identity_id).collect();
    let native_ids: Vec<String> = rows.iter().map(|w| w.facts.native_id.clone()).collect();
    let external_ids = texts(&|w| w.facts.external_id.clone());
    let user_names = texts(&|w| w.facts.profile.user_name.clone());
    let unique_names = texts(&|w| {
        let free = !w.unique || w.tombstone == Some(Tombstone::Hard);
        w.facts.profile.user_name.as_ref().filter(|_| !free).map(|n| n.to_lowercase())
    });
    let emails = texts(&|w| w.facts.profile.email.clone());
    let numbers = texts(&|w| w.facts.profile.employee_number.clone());
    let display_names = texts(&|w| w.facts.profile.display_name.clone());
    let departments = texts(&|w| w.facts.profile.department.clone());
    let managers = texts(&|w| w.facts.profile.manager.clone());
    let attributes: Vec<Value> = rows.iter().map(|w| w.facts.attributes.clone()).collect();
    let stated: Vec<String> = rows.iter().map(|w| w.facts.standing.to_string()).collect();
    let starts: Vec<Option<DateTime<Utc>>> = rows.iter().map(|w| w.facts.starts_at).collect();
    let ends: Vec<Option<DateTime<Utc>>> = rows.iter().map(|w| w.facts.ends_at).collect();
    let facts: Vec<String> = rows.iter().map(|w| w.fact.to_string()).collect();
    let counted: Vec<String> = rows.iter().map(|w| w.counted.to_string()).collect();
    let tombstones = texts(&|w| w.tombstone.map(|t| t.as_str().to_owned()));
    let hashes: Vec<Vec<u8>> = rows.iter().map(|w| w.facts.content_hash().to_vec()).collect();
    sqlx::query!(
        "INSERT INTO directory.accounts AS a
             (id, identity_id, source, native_id, external_id, user_name, unique_name, email, employee_number, display_name,
              department, manager, attributes, stated, starts_at, ends_at, fact, counted, tombstone, content_hash)
         SELECT d.id, d.identity, $1, d.native_id, d.external_id, d.user_name, d.unique_name, d.email, d.number, d.display_name,
                d.department, d.manager, d.attributes, d.stated, d.starts_at, d.ends_at, d.fact, d.counted, d.tombstone, d.hash
         FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                     $10::text[], $11::text[], $12::text[], $13::jsonb[], $14::text[], $15::timestamptz[],
                     $16::timestamptz[], $17::text[], $18::text[], $19::text[], $20::bytea[])
              AS d(id, identity, native_id, external_id, user_name, unique_name, email, number, display_name, department,
                   manager, attributes, stated, starts_at, ends_at, fact, counted, tombstone, hash)
         ON CONFLICT (source, native_id) DO UPDATE SET
             identity_id = excluded.identity_id, external_id = excluded.external_id, user_name = excluded.user_name,
             unique_name = excluded.unique_name, email = excluded.email, employee_number = excluded.employee_number,
             display_name = excluded.display_name, department = excluded.department, manager = excluded.manager,
             attributes = excluded.attributes, stated = excluded.stated, starts_at = excluded.starts_at,
             ends_at = excluded.ends_at, fact = excluded.fact, counted = excluded.counted, tombstone = excluded.tombstone,
             content_hash = excluded.content_hash, version = a.version + 1, changed_at = clock_timestamp()",
        source,
        &ids,
        &identities,
        &native_ids,
        &external_ids as &[Option<String>],
        &user_names as &[Option<String>],
        &unique_names as &[Option<String>],
        &emails as &[Option<String>],
        &numbers as &[Option<String>],
        &display_names as &[Option<String>],
        &departments as &[Option<String>],
        &managers as &[Option<String>],
        &attributes,
        &stated,
        &starts as &[Option<DateTime<Utc>>],
        &ends as &[Option<DateTime<Utc>>],
        &facts,
        &counted,
        &tombstones as &[Option<String>],
        &hashes,
    )
    .execute(tx)
    .await?;
    Ok(())
}
