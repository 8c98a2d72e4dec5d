//! Identities as expressions see them, read in one round trip: it lies between a decision and the end of a session.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use lifecycle::account::Profile;
use lifecycle::{AccountView, IdentityView, State};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::identities::parse_kind;
use crate::{Directory, Error, Result};

/// An identity with every account that it has.
pub(crate) struct Known {
    /// Where a source has several accounts of it, the one linked first.
    pub view: IdentityView,
    /// The other accounts of such sources.
    others: Vec<(String, AccountView)>,
}

impl Known {
    /// Every account of a source in turn, so that none goes unseen.
    pub(crate) fn all(self) -> Vec<IdentityView> {
        let instead = |(source, account): (String, AccountView)| {
            let mut view = self.view.clone();
            view.accounts.insert(source, account);
            view
        };
        let mut views: Vec<IdentityView> = self.others.into_iter().map(instead).collect();
        views.push(self.view);
        views
    }
}

impl Directory {
    /// The identities of these ids, with their accounts by source; where a source has several, the one linked first.
    pub async fn views(&self, subjects: &[Uuid]) -> Result<HashMap<Uuid, IdentityView>> {
        let mut connection = self.pool.acquire().await?;
        Ok(read(&mut connection, subjects).await?.into_iter().map(|(id, known)| (id, known.view)).collect())
    }
}

pub(crate) async fn read(connection: &mut PgConnection, subjects: &[Uuid]) -> Result<HashMap<Uuid, Known>> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.kind, i.state, i.generation, i.user_name, i.email, i.employee_number, i.display_name,
                  i.department, i.manager,
                  a.source AS "source?", a.native_id AS "native_id?", a.external_id AS "external_id?",
                  a.user_name AS "account_user_name?", a.email AS "account_email?", a.attributes AS "attributes?"
           FROM directory.identities i
           LEFT JOIN directory.accounts a ON a.identity_id = i.id AND a.tombstone IS DISTINCT FROM 'unlinked'
           WHERE i.id = ANY($1) ORDER BY i.id, a.linked_at, a.id"#,
        subjects
    )
    .fetch_all(connection)
    .await?;
    let mut identities: HashMap<Uuid, Known> = HashMap::new();
    for r in rows {
        let bad = |column| Error::Inconsistent { table: "identities", column, row: r.id.to_string() };
        let (kind, state) = (parse_kind(&r.kind), State::parse(&r.state));
        let (kind, state) = (kind.ok_or_else(|| bad("kind"))?, state.ok_or_else(|| bad("state"))?);
        let known = identities.entry(r.id).or_insert_with(|| Known {
            view: IdentityView {
                id: r.id,
                kind,
                state,
                generation: r.generation,
                profile: Profile {
                    user_name: r.user_name,
                    email: r.email,
                    employee_number: r.employee_number,
                    display_name: r.display_name,
                    department: r.department,
                    manager: r.manager,
                },
                accounts: BTreeMap::new(),
            },
            others: Vec::new(),
        });
        if let (Some(source), Some(id)) = (r.source, r.native_id) {
            let account = AccountView {
                id,
                user_name: r.account_user_name,
                external_id: r.external_id,
                email: r.account_email,
                attributes: r.attributes.unwrap_or_default(),
            };
            match known.view.accounts.entry(source) {
                Entry::Vacant(first) => drop(first.insert(account)),
                Entry::Occupied(first) => known.others.push((first.key().clone(), account)),
            }
        }
    }
    Ok(identities)
}
