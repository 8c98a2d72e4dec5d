//! Identity rows: locked, read and written in sets.

use chrono::{DateTime, Utc};
use lifecycle::account::{IdentityKind, Profile};
use lifecycle::{State, SubjectKind};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::events::Head;
use crate::{Error, Result};

/// One identity as stored, with the head of its history.
#[derive(Debug, Clone)]
pub(crate) struct IdentityRecord {
    pub head: Head,
    pub kind: IdentityKind,
    pub state: State,
    pub generation: i64,
    pub unresolved: bool,
    pub profile: Profile,
}

/// One identity as it is to be written.
#[derive(Debug)]
pub(crate) struct IdentityWrite {
    pub head: Head,
    pub kind: IdentityKind,
    pub state: State,
    pub generation: i64,
    pub unresolved: bool,
    pub merged_into: Option<Uuid>,
    pub profile: Profile,
    pub new: bool,
}

pub(crate) fn parse_kind(word: &str) -> Option<IdentityKind> {
    use IdentityKind::*;
    [Human, Service, Workload, Agent].into_iter().find(|k| k.as_str() == word)
}

/// Locks these identities in id order; also the database's clock after the locks were had.
pub(crate) async fn lock(tx: &mut PgConnection, ids: &[Uuid]) -> Result<(Vec<IdentityRecord>, DateTime<Utc>)> {
    if ids.is_empty() {
        let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(tx).await?;
        return Ok((Vec::new(), now));
    }
    let rows = sqlx::query_as!(
        Raw,
        r#"SELECT id, kind, state, generation, unresolved, user_name, email, employee_number, display_name, department, manager,
                  version, last_urgent, last_bulk, recorded_at, clock_timestamp() AS "now!"
           FROM directory.identities WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        ids
    )
    .fetch_all(tx)
    .await?;
    let now = rows.iter().map(|r| r.now).max().unwrap_or_else(Utc::now);
    Ok((rows.into_iter().map(IdentityRecord::try_from).collect::<Result<Vec<_>>>()?, now))
}

struct Raw {
    id: Uuid,
    kind: String,
    state: String,
    generation: i64,
    unresolved: bool,
    user_name: Option<String>,
    email: Option<String>,
    employee_number: Option<String>,
    display_name: Option<String>,
    department: Option<String>,
    manager: Option<String>,
    version: i64,
    last_urgent: i64,
    last_bulk: i64,
    recorded_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl TryFrom<Raw> for IdentityRecord {
    type Error = Error;

    fn try_from(r: Raw) -> Result<Self> {
        let bad = |column| Error::Inconsistent { table: "identities", column, row: r.id.to_string() };
        Ok(IdentityRecord {
            kind: parse_kind(&r.kind).ok_or_else(|| bad("kind"))?,
            state: State::parse(&r.state).ok_or_else(|| bad("state"))?,
            generation: r.generation,
            unresolved: r.unresolved,
            profile: Profile {
                user_name: r.user_name,
                email: r.email,
                employee_number: r.employee_number,
                display_name: r.display_name,
                department: r.department,
                manager: r.manager,
            },
            head: Head {
                kind: SubjectKind::Identity,
                id: r.id,
                version: r.version,
                last_urgent: r.last_urgent,
                last_bulk: r.last_bulk,
                recorded_at: r.recorded_at,
            },
        })
    }
}

/// Inserts and updates identities, set-based. A trigger checks that each version step has its event, which is written before.
pub(crate) async fn write(tx: &mut PgConnection, rows: &[IdentityWrite]) -> Result<()> {
    for new in [true, false] {
        let rows: Vec<&IdentityWrite> = rows.iter().filter(|r| r.new == new).collect();
        if rows.is_empty() {
            continue;
        }
        let texts =
            |f: &dyn Fn(&IdentityWrite) -> Option<String>| rows.iter().map(|r| f(r)).collect::<Vec<Option<String>>>();
        let ids: Vec<Uuid> = rows.iter().map(|r| r.head.id).collect();
        let kinds: Vec<String> = rows.iter().map(|r| r.kind.as_str().to_owned()).collect();
        let states: Vec<String> = rows.iter().map(|r| r.state.to_string()).collect();
        let generations: Vec<i64> = rows.iter().map(|r| r.generation).collect();
        let unresolved: Vec<bool> = rows.iter().map(|r| r.unresolved).collect();
        let merged: Vec<Option<Uuid>> = rows.iter().map(|r| r.merged_into).collect();
        let user_names = texts(&|r| r.profile.user_name.clone());
        let emails = texts(&|r| r.profile.email.clone());
        let numbers = texts(&|r| r.profile.employee_number.clone());
        let display_names = texts(&|r| r.profile.display_name.clone());
        let departments = texts(&|r| r.profile.department.clone());
        let managers = texts(&|r| r.profile.manager.clone());
        let versions: Vec<i64> = rows.iter().map(|r| r.head.version).collect();
        let urgent: Vec<i64> = rows.iter().map(|r| r.head.last_urgent).collect();
        let bulk: Vec<i64> = rows.iter().map(|r| r.head.last_bulk).collect();
        let instants: Vec<DateTime<Utc>> = rows.iter().map(|r| r.head.recorded_at).collect();
        if new {
            sqlx::query!(
                "INSERT INTO directory.identities (id, kind, state, generation, unresolved, user_name, email, employee_number,
                     display_name, department, manager, version, last_urgent, last_bulk, recorded_at)
                 SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::bool[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::text[], $12::int8[], $13::int8[], $14::int8[], $15::timestamptz[])",
                &ids,
                &kinds,
                &states,
                &generations,
                &unresolved,
                &user_names as &[Option<String>],
                &emails as &[Option<String>],
                &numbers as &[Option<String>],
                &display_names as &[Option<String>],
                &departments as &[Option<String>],
                &managers as &[Option<String>],
                &versions,
                &urgent,
                &bulk,
                &instants,
            )
            .execute(&mut *tx)
            .await?;
        } else {
            sqlx::query!(
                "UPDATE directory.identities i SET state = d.state, generation = d.generation, user_name = d.user_name,
                     email = d.email, employee_number = d.number, display_name = d.display_name, department = d.department,
                     manager = d.manager, version = d.version, last_urgent = d.urgent, last_bulk = d.bulk,
                     recorded_at = d.at, merged_into = d.merged
                 FROM UNNEST($1::uuid[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::int8[], $11::int8[], $12::int8[], $13::timestamptz[], $14::uuid[])
                     AS d(id, state, generation, user_name, email, number, display_name, department, manager, version, urgent,
                          bulk, at, merged)
                 WHERE i.id = d.id",
                &ids,
                &states,
                &generations,
                &user_names as &[Option<String>],
                &emails as &[Option<String>],
                &numbers as &[Option<String>],
                &display_names as &[Option<String>],
                &departments as &[Option<String>],
                &managers as &[Option<String>],
                &versions,
                &urgent,
                &bulk,
                &instants,
                &merged as &[Option<Uuid>],
            )
            .execute(&mut *tx)
            .await?;
        }
    }
    Ok(())
}
