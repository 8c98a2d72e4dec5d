//! What identities were called before, and who is called that now: a session may still be kept by a name that its owner has lost.

use std::collections::HashMap;
use std::time::Duration;

use lifecycle::IdentityView;
use uuid::Uuid;

use crate::{Directory, Result, names, views};

impl Directory {
    /// Each of these identities, and whoever was merged into it, as the events of the last `life` saw it. Subjects of whom nothing
    /// is known are absent.
    pub async fn former_views(&self, subjects: &[Uuid], life: Duration) -> Result<HashMap<Uuid, Vec<IdentityView>>> {
        if subjects.is_empty() {
            return Ok(HashMap::new());
        }
        let mut connection = self.pool.acquire().await?;
        let mut former: HashMap<Uuid, Vec<IdentityView>> = HashMap::new();
        for (subject, view) in names::former(&mut connection, subjects, life).await? {
            former.entry(subject).or_default().push(view);
        }
        Ok(former)
    }

    /// The identities that may have sessions and have one of these texts, in any case, as a name, an address, a number or an id, with every
    /// account that it has. Attributes of accounts are not looked through.
    pub async fn namesakes(&self, texts: &[String]) -> Result<Vec<IdentityView>> {
        let folded: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        let mut connection = self.pool.acquire().await?;
        let ids = sqlx::query_scalar!(
            r#"WITH sources AS MATERIALIZED (SELECT array_agg(name) AS names FROM directory.sources),
                    named AS (
                        SELECT id FROM directory.identities WHERE lower(user_name) = ANY($2)
                        UNION SELECT id FROM directory.identities WHERE lower(email) = ANY($2)
                        UNION SELECT id FROM directory.identities WHERE employee_number = ANY($1)
                        UNION SELECT identity_id FROM directory.accounts, sources
                              WHERE source = ANY(names) AND lower(user_name) = ANY($2) AND tombstone IS NULL
                        UNION SELECT identity_id FROM directory.accounts, sources
                              WHERE source = ANY(names) AND lower(email) = ANY($2) AND tombstone IS NULL
                        UNION SELECT identity_id FROM directory.accounts, sources
                              WHERE source = ANY(names) AND external_id = ANY($1) AND tombstone IS NULL
                        UNION SELECT identity_id FROM directory.accounts, sources
                              WHERE source = ANY(names) AND native_id = ANY($1) AND tombstone IS NULL)
               SELECT i.id FROM named n JOIN directory.identities i ON i.id = n.id
               WHERE i.state IN ('staged', 'active')"#,
            texts,
            &folded
        )
        .fetch_all(&mut *connection)
        .await?;
        Ok(views::read(&mut connection, &ids).await?.into_values().flat_map(views::Known::all).collect())
    }
}
