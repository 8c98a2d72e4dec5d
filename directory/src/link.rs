//! Which identity a new or changed account belongs to: SQL finds candidates, the pure rule decides.

use std::collections::BTreeSet;

use lifecycle::account::Profile;
use lifecycle::correlate::{Link, correlate};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;

/// Candidates for a chunk of accounts, found in one query.
pub(crate) struct Candidates {
    known: Vec<(Uuid, Profile)>,
}

impl Candidates {
    /// Finds identities that share a correlated value with any of `profiles`. Takes a lock on each value first, so that two
    /// sources that bring the same new person at the same moment do not make two of them.
    pub(crate) async fn find(tx: &mut PgConnection, rules: &[String], profiles: &[&Profile]) -> Result<Self> {
        if rules.is_empty() || profiles.is_empty() {
            return Ok(Self { known: Vec::new() });
        }
        let values = |rule: &str| -> Vec<String> {
            let asked = rules.iter().any(|r| r == rule);
            profiles.iter().filter(|_| asked).filter_map(|p| p.field(rule)).map(str::to_owned).collect()
        };
        let numbers = values("employeeNumber");
        // The database's lower() may know ASCII only, so a name is asked for as it was sent and as we lower it.
        let sent = values("userName");
        let lowered: Vec<String> = sent.iter().map(|n| n.to_lowercase()).collect();
        let names: Vec<String> = sent.iter().chain(&lowered).cloned().collect();
        let buckets: BTreeSet<i32> = numbers.iter().chain(&lowered).map(|v| bucket(v)).collect();
        let buckets: Vec<i32> = buckets.into_iter().collect();
        sqlx::query!(
            "SELECT count(pg_advisory_xact_lock(1279607122, b)) FROM (SELECT b FROM UNNEST($1::int4[]) AS u(b) ORDER BY b OFFSET 0) o",
            &buckets
        )
        .fetch_one(&mut *tx)
        .await?;
        let rows = sqlx::query!(
            "SELECT id, user_name, employee_number FROM directory.identities
             WHERE (employee_number = ANY($1) OR lower(user_name) = ANY(ARRAY(SELECT lower(n) FROM UNNEST($2::text[]) AS n)))
               AND state NOT IN ('merged', 'erased')",
            &numbers,
            &names
        )
        .fetch_all(tx)
        .await?;
        let known = rows
            .into_iter()
            .map(|r| {
                (r.id, Profile { user_name: r.user_name, employee_number: r.employee_number, ..Profile::default() })
            })
            .collect();
        Ok(Self { known })
    }

    /// Where `profile` belongs, other than to `except`.
    pub(crate) fn link(&self, rules: &[String], profile: &Profile, except: Option<Uuid>) -> Link {
        correlate(rules, profile, self.known.iter().filter(|(id, _)| Some(*id) != except).map(|(id, p)| (*id, p)))
    }

    /// Makes an identity that this very chunk creates known to the accounts after it.
    pub(crate) fn add(&mut self, id: Uuid, profile: &Profile) {
        self.known.push((id, profile.clone()));
    }
}

/// One of 1,024 lock numbers, so that a chunk never takes more locks than that.
fn bucket(value: &str) -> i32 {
    let hash = value.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    i32::try_from(hash % 1024).expect("below 1024")
}
