//! People and machines as administrators look at them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::locks::LockRow;
use crate::shortenings::ShorteningRow;
use crate::{Directory, Result};

/// An identity in a list; the public form.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityRow {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub generation: i64,
    pub version: i64,
    pub user_name: Option<String>,
    pub email: Option<String>,
    pub employee_number: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    pub manager: Option<String>,
    pub unresolved: bool,
    pub accounts: Vec<AccountBrief>,
}

/// An account of it.
#[derive(Debug, Clone, Serialize)]
pub struct AccountBrief {
    pub source: String,
    pub native_id: String,
    /// As the source says; `null`: it does not.
    pub active: Option<bool>,
    /// The fact and what counts differ: a plan waits for a person.
    pub held: bool,
    /// What the source says ends access, and does not: a person rejected it.
    pub rejected: Option<Rejected>,
    pub standing: String,
    #[serde(serialize_with = "crate::instant::ms")]
    pub seen: DateTime<Utc>,
}

/// Who rejected that a denial counts, until its source says something else.
#[derive(Debug, Clone, Serialize)]
pub struct Rejected {
    pub plan: Uuid,
    pub by: Option<String>,
    pub reason: Option<String>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub at: Option<DateTime<Utc>>,
}

/// One identity with what was done about it.
#[derive(Debug, Clone, Serialize)]
pub struct IdentityDetail {
    #[serde(flatten)]
    pub identity: IdentityRow,
    /// One sentence: why the state is what it is.
    pub why: String,
    pub groups: Vec<String>,
    /// Locks that are in force.
    pub locks: Vec<LockRow>,
    /// Sessions that end later.
    pub shortened: Vec<ShorteningRow>,
    /// Receipts of the latest revocation; one by which somebody is only told comes after all others.
    pub receipts: Vec<ReceiptRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ReceiptRow {
    pub downstream: String,
    /// What it is of, where that is no end of sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    pub state: String,
    pub ended: i32,
    pub resurrected: i32,
}

/// What a WHO stands for.
#[derive(Debug, Clone)]
pub enum Resolved {
    Nobody,
    One(Uuid),
    Several(Vec<IdentityRow>),
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: Uuid,
    kind: String,
    state: String,
    generation: i64,
    version: i64,
    user_name: Option<String>,
    email: Option<String>,
    employee_number: Option<String>,
    display_name: Option<String>,
    department: Option<String>,
    manager: Option<String>,
    unresolved: bool,
}

impl Directory {
    /// Identities whose name, address or number contains `query`, in id order after `after`.
    pub async fn identities(&self, query: Option<&str>, after: Option<Uuid>, limit: i64) -> Result<Vec<IdentityRow>> {
        let mut sql = QueryBuilder::<Postgres>::new(
            "SELECT id, kind, state, generation, version, user_name, email, employee_number, display_name, department, manager,
                    unresolved FROM directory.identities WHERE state <> 'merged'",
        );
        if let Some(after) = after {
            sql.push(" AND id > ").push_bind(after);
        }
        if let Some(query) = query {
            let pattern = format!("%{}%", query.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            sql.push(" AND concat_ws(' ', user_name, email, employee_number, display_name, department) ILIKE ")
                .push_bind(pattern);
        }
        sql.push(" ORDER BY id LIMIT ").push_bind(limit);
        self.with_accounts(sql.build_query_as().fetch_all(&self.pool).await?).await
    }

    /// Finds whom WHO names: an id (or at least 8 leading characters of one where `prefix`), a userName, an e-mail address, or
    /// `source:X` with a native id or externalId.
    pub async fn resolve(&self, who: &str, prefix: bool) -> Result<Resolved> {
        let ids: Vec<Uuid> = sqlx::query_scalar!(
            r#"SELECT DISTINCT coalesce(i.merged_into, i.id) AS "id!" FROM directory.identities i
               LEFT JOIN directory.accounts a ON a.identity_id = i.id
                   AND (a.source || ':' || a.native_id = $1 OR a.source || ':' || a.external_id = $1)
               WHERE i.id::text = lower($1)
                  OR ($2 AND length($1) >= 8 AND left(i.id::text, length($1)) = lower($1))
                  OR ((lower(i.user_name) = lower($1) OR lower(i.email) = lower($1)) AND i.state <> 'merged')
                  OR a.id IS NOT NULL
               LIMIT 20"#,
            who,
            prefix
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(match ids.as_slice() {
            [] => Resolved::Nobody,
            [one] => Resolved::One(*one),
            several => Resolved::Several(self.identities_by_id(several).await?),
        })
    }

    pub async fn identities_by_id(&self, ids: &[Uuid]) -> Result<Vec<IdentityRow>> {
        let rows = sqlx::query_as!(
            Raw,
            "SELECT id, kind, state, generation, version, user_name, email, employee_number, display_name, department, manager,
                    unresolved FROM directory.identities WHERE id = ANY($1) ORDER BY id",
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        self.with_accounts(rows).await
    }

    pub async fn identity_detail(&self, id: Uuid) -> Result<Option<IdentityDetail>> {
        let Some(identity) = self.identities_by_id(&[id]).await?.pop() else { return Ok(None) };
        let groups = sqlx::query_scalar!(
            "SELECT DISTINCT g.display_name FROM directory.effective_memberships m JOIN directory.groups g ON g.id = m.group_id
             JOIN directory.accounts a ON a.id = m.account_id WHERE a.identity_id = $1 ORDER BY 1",
            id
        )
        .fetch_all(&self.pool)
        .await?;
        let receipts = sqlx::query_as!(
            ReceiptRow,
            r#"SELECT downstream AS "downstream!", action, state AS "state!", ended AS "ended!", resurrected AS "resurrected!"
               FROM ledger.answers WHERE revocation =
                   (SELECT id FROM ledger.revocations WHERE subject_id = $1 ORDER BY actions = '{notify}', at DESC LIMIT 1)
                 AND (action IS NOT NULL OR state <> 'owed') ORDER BY downstream, action NULLS FIRST"#,
            id
        )
        .fetch_all(&self.pool)
        .await?;
        let (why, locks, shortened) = (why(&identity), self.locks(id).await?, self.shortenings(id).await?);
        Ok(Some(IdentityDetail { identity, why, groups, locks, shortened, receipts }))
    }

    async fn with_accounts(&self, rows: Vec<Raw>) -> Result<Vec<IdentityRow>> {
        let ids: Vec<Uuid> = rows.iter().map(|r| r.id).collect();
        let accounts = sqlx::query!(
            r#"SELECT a.identity_id, a.source, a.native_id, a.fact, a.counted, a.changed_at, p.id AS "plan?", p.decided_by,
                      p.decision_reason, p.decided_at
               FROM directory.accounts a LEFT JOIN directory.plans p ON p.id = a.rejected_by
               WHERE a.identity_id = ANY($1) AND a.tombstone IS DISTINCT FROM 'unlinked' ORDER BY a.linked_at, a.id"#,
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        let mut by_identity: std::collections::HashMap<Uuid, Vec<AccountBrief>> = std::collections::HashMap::new();
        for a in accounts {
            let active = match a.fact.as_str() {
                "active" => Some(true),
                "inactive" | "gone" | "staged" => Some(false),
                _ => None,
            };
            by_identity.entry(a.identity_id).or_default().push(AccountBrief {
                source: a.source,
                native_id: a.native_id,
                active,
                held: a.fact != a.counted && a.plan.is_none(),
                rejected: a.plan.map(|plan| Rejected {
                    plan,
                    by: a.decided_by,
                    reason: a.decision_reason,
                    at: a.decided_at,
                }),
                standing: a.fact,
                seen: a.changed_at,
            });
        }
        Ok(rows
            .into_iter()
            .map(|r| IdentityRow {
                accounts: by_identity.remove(&r.id).unwrap_or_default(),
                id: r.id,
                kind: r.kind,
                state: r.state,
                generation: r.generation,
                version: r.version,
                user_name: r.user_name,
                email: r.email,
                employee_number: r.employee_number,
                display_name: r.display_name,
                department: r.department,
                manager: r.manager,
                unresolved: r.unresolved,
            })
            .collect())
    }
}

/// Why the state is what it is, naming the source that says so.
fn why(identity: &IdentityRow) -> String {
    let of = |standing: &str| {
        let counts = |a: &&AccountBrief| a.standing == standing && !a.held && a.rejected.is_none();
        identity.accounts.iter().find(counts).map(|a| a.source.as_str())
    };
    let held = identity.accounts.iter().find(|a| a.held);
    let rejected = identity.accounts.iter().find(|a| a.rejected.is_some());
    let rejected = (rejected, rejected.and_then(|a| a.rejected.as_ref()));
    match (identity.state.as_str(), held) {
        ("departed", _) => match of("gone") {
            Some(source) => format!("{source} says gone"),
            None => "departed earlier; nobody has activated it since".to_owned(),
        },
        ("suspended", _) => match of("inactive") {
            Some(source) => format!("{source} says inactive; one inactive account suspends, whatever others say"),
            None => "suspended earlier; nobody has activated it since".to_owned(),
        },
        ("active", Some(account)) => {
            format!("{} says {}, but that is held: see leaver plan list --held", account.source, account.standing)
        }
        ("active", None) => match (rejected, of("active")) {
            ((Some(account), Some(rejected)), _) => format!(
                "{} says {}, but {} rejected that with plan {}",
                account.source,
                account.standing,
                rejected.by.as_deref().unwrap_or("somebody"),
                rejected.plan
            ),
            (_, Some(source)) => format!("{source} says active"),
            (_, None) => "active before; no source says otherwise".to_owned(),
        },
        ("staged", _) => "known, but nobody has activated it yet".to_owned(),
        (state, _) => format!("{state} is final"),
    }
}
