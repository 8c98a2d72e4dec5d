//! Which identity a new or changed account belongs to: SQL finds candidates, the pure rule decides.

use std::collections::{BTreeSet, HashMap};

use lifecycle::account::Profile;
use lifecycle::correlate::{Link, correlate};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;

/// Candidates for a chunk of accounts, found in one query.
#[derive(Default)]
pub(crate) struct Candidates {
    known: Vec<(Uuid, Profile)>,
    /// Which of them have a value, by rule; the rest of a chunk need not be looked at for each of its accounts.
    by_value: HashMap<(String, String), Vec<usize>>,
}

impl Candidates {
    /// Finds identities that share a correlated value with any of `profiles`. Takes a lock on each value first, so that two
    /// sources that bring the same new person at the same moment do not make two of them.
    pub(crate) async fn find(tx: &mut PgConnection, rules: &[String], profiles: &[&Profile]) -> Result<Self> {
        if rules.is_empty() || profiles.is_empty() {
            return Ok(Self::default());
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
        // Each value is looked up in its index, however many identities there are and whatever is known of them: of one
        // condition over both columns the planner makes a look at them all, for each chunk of a first run.
        let rows = sqlx::query!(
            r#"SELECT i.id AS "id!", i.user_name, i.employee_number
               FROM UNNEST($1::text[]) AS n CROSS JOIN LATERAL (
                   SELECT id, user_name, employee_number, state FROM directory.identities WHERE employee_number = n OFFSET 0
               ) AS i WHERE i.state NOT IN ('merged', 'erased')
               UNION
               SELECT i.id, i.user_name, i.employee_number
               FROM UNNEST($2::text[]) AS n CROSS JOIN LATERAL (
                   SELECT id, user_name, employee_number, state FROM directory.identities
                   WHERE lower(user_name) = lower(n) OFFSET 0
               ) AS i WHERE i.state NOT IN ('merged', 'erased')"#,
            &numbers,
            &names
        )
        .fetch_all(tx)
        .await?;
        let mut candidates = Self::default();
        for row in rows {
            let profile =
                Profile { user_name: row.user_name, employee_number: row.employee_number, ..Profile::default() };
            candidates.add(rules, row.id, &profile);
        }
        Ok(candidates)
    }

    /// Where `profile` belongs, other than to `except`.
    pub(crate) fn link(&self, rules: &[String], profile: &Profile, except: Option<Uuid>) -> Link {
        let sharing =
            rules.iter().filter_map(|rule| self.by_value.get(&(rule.clone(), value(rule, profile)?))).flatten();
        let near = sharing.map(|at| &self.known[*at]).filter(|(id, _)| Some(*id) != except);
        correlate(rules, profile, near.map(|(id, p)| (*id, p)))
    }

    /// Makes an identity, such as one that this very chunk creates, known to the accounts after it.
    pub(crate) fn add(&mut self, rules: &[String], id: Uuid, profile: &Profile) {
        for rule in rules {
            if let Some(value) = value(rule, profile) {
                self.by_value.entry((rule.clone(), value)).or_default().push(self.known.len());
            }
        }
        self.known.push((id, profile.clone()));
    }
}

/// A value such that two that correlate are the same.
fn value(rule: &str, profile: &Profile) -> Option<String> {
    let value = profile.field(rule)?;
    Some(if rule == "userName" { value.to_lowercase() } else { value.to_owned() })
}

/// One of 1,024 lock numbers, so that a chunk never takes more locks than that.
fn bucket(value: &str) -> i32 {
    let hash = value.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    i32::try_from(hash % 1024).expect("below 1024")
}
