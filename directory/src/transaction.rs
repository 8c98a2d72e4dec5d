//! The only way to begin a transaction: one that is also safe to give up while it begins.

use sqlx::{Postgres, Transaction};

use crate::{Directory, Error, Result};

impl Directory {
    /// As the pool's own, which leaves the connection inside a transaction that nobody ends when its caller is dropped while
    /// `BEGIN` is under way (a client hangs up, a run is cut off): whoever has the connection next writes into it, and is told
    /// that it is durable. In a task of its own `BEGIN` always comes to its end, and a transaction that nobody takes is rolled
    /// back.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin().await }).await;
        begun.map_err(|lost| sqlx::Error::Io(std::io::Error::other(lost)))?.map_err(Error::from)
    }
}
