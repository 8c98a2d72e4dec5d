//! Who is missing from a complete snapshot.

use lifecycle::Standing;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::checkpoints::{self, Fence};
use crate::roll::Roll;
use crate::{Directory, Result};

/// Whom a complete snapshot did not contain.
#[derive(Debug, Clone, Copy)]
pub enum Missing<'a> {
    /// Whoever has not answered.
    Silent(&'a Roll),
    /// Native ids.
    Named(&'a [String]),
}

impl Directory {
    /// Marks accounts that a complete snapshot did not contain. The fact is stored; whether it counts is the plan's matter.
    pub async fn mark_absent(&self, fence: &Fence, missing: Missing<'_>, fact: Standing) -> Result<u64> {
        let mut tx = self.begin().await?;
        checkpoints::hold(&mut tx, fence).await?;
        let missing = absent(&mut tx, &fence.source, missing, fact).await?;
        tx.commit().await?;
        Ok(missing)
    }
}

async fn named(tx: &mut PgConnection, source: &str, names: &[String]) -> Result<Vec<Uuid>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let missing = sqlx::query_scalar!(
        "SELECT id FROM directory.accounts WHERE source = $1 AND native_id = ANY($2) AND tombstone IS NULL",
        source,
        names
    );
    Ok(missing.fetch_all(tx).await?)
}

/// Marks accounts that a complete snapshot did not contain. Whoever has left stays so: HR drops leavers from its exports, and
/// being missing is a weaker word than having left.
pub(crate) async fn absent(tx: &mut PgConnection, source: &str, missing: Missing<'_>, fact: Standing) -> Result<u64> {
    let missing = match missing {
        Missing::Silent(roll) => roll.missing(tx, source).await?,
        Missing::Named(names) => named(tx, source, names).await?,
    };
    if missing.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "UPDATE directory.accounts a
         SET stated = CASE WHEN fact = 'gone' THEN fact ELSE $2 END, fact = CASE WHEN fact = 'gone' THEN fact ELSE $2 END,
             tombstone = 'out_of_scope', content_hash = ''::bytea, version = version + 1, changed_at = clock_timestamp()
         WHERE id = ANY($1) AND tombstone IS NULL",
        &missing,
        fact.as_str()
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
