//! Where each source was read to. The turn is compared and set, and every transaction of a run checks it, so that a worker
//! that was paused past its lease can harm nothing.

use serde_json::Value;
use sqlx::PgConnection;

use crate::{Directory, Error, Result};

/// The right to write for one run of a source: valid while nobody else has advanced the checkpoint.
#[derive(Debug, Clone)]
pub struct Fence {
    pub source: String,
    pub turn: i64,
}

impl Directory {
    /// Begins at the source's checkpoint; its value is `None` before the first run.
    pub async fn fence(&self, source: &str) -> Result<(Fence, Option<Value>)> {
        let row = sqlx::query!(
            "INSERT INTO working.checkpoints AS c (source, turn) VALUES ($1, 0)
             ON CONFLICT (source) DO UPDATE SET turn = c.turn RETURNING turn, checkpoint",
            source
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((Fence { source: source.to_owned(), turn: row.turn }, row.checkpoint))
    }

    /// Fails with [`Error::CheckpointMoved`] if somebody else has advanced the checkpoint since.
    pub async fn stands(&self, fence: &Fence) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        hold(&mut connection, fence).await
    }
}

/// Fails with [`Error::CheckpointMoved`] unless the fence still stands; holds it until the transaction ends.
pub(crate) async fn hold(tx: &mut PgConnection, fence: &Fence) -> Result<()> {
    let turn = sqlx::query_scalar!("SELECT turn FROM working.checkpoints WHERE source = $1 FOR SHARE", fence.source)
        .fetch_optional(tx)
        .await?;
    if turn == Some(fence.turn) { Ok(()) } else { Err(moved(fence)) }
}

/// Advances the checkpoint in the transaction that ends the run.
pub(crate) async fn advance(tx: &mut PgConnection, fence: &Fence, next: &Value) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE working.checkpoints SET turn = turn + 1, checkpoint = $3, written_at = clock_timestamp()
         WHERE source = $1 AND turn = $2",
        fence.source,
        fence.turn,
        next
    )
    .execute(tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(moved(fence)) }
}

fn moved(fence: &Fence) -> Error {
    Error::CheckpointMoved { source_name: fence.source.clone() }
}
