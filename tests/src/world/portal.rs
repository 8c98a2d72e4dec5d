//! Sessions in a table that says when their users signed in, beside the world's own tables.

use sqlx::postgres::PgPool;

use super::{SOON, World, eventually};

/// The sessions of one downstream.
pub struct Portal {
    pool: PgPool,
    /// The expression by which it stamps a login.
    stamp: &'static str,
    table: &'static str,
}

impl Portal {
    /// A downstream with sessions in this table of the world's database.
    pub fn downstream(table: &str, sweeps: &str) -> String {
        let find = format!("select id, signed_in from {table} where user_name = $1");
        let end = format!("delete from {table} where id = $2");
        format!(
            "{{ adapter: {{ type: sql, url: \"env:DATABASE_URL\", find: \"{find}\", end: \"{end}\", auth_time: signed_in }}, \
             subject: identity.userName, sweeps: {sweeps} }}"
        )
    }

    /// Makes the table; stamps are as fine as the database's clock.
    pub async fn open(world: &World, table: &'static str) -> Self {
        Self::stamping(world, table, "clock_timestamp()").await
    }

    /// The same with stamps of whole seconds, as many applications keep.
    pub async fn of_whole_seconds(world: &World, table: &'static str) -> Self {
        Self::stamping(world, table, "date_trunc('second', clock_timestamp())").await
    }

    async fn stamping(world: &World, table: &'static str, stamp: &'static str) -> Self {
        let portal = Self { pool: world.site().database().pool().await, stamp, table };
        let create = format!("create table {table} (id text primary key, user_name text, signed_in timestamptz)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&portal.pool).await.expect("a table can be made");
        portal
    }

    /// Signs `user` in now. Returns the id of the session.
    pub async fn sign_in(&self, user: &str) -> String {
        let Self { table, stamp, .. } = self;
        let insert = format!("insert into {table} values (gen_random_uuid()::text, $1, {stamp}) returning id");
        sqlx::query_scalar(sqlx::AssertSqlSafe(insert))
            .bind(user)
            .fetch_one(&self.pool)
            .await
            .expect("a session can be written")
    }

    pub async fn lives(&self, id: &str) -> bool {
        let find = format!("select exists (select from {} where id = $1)", self.table);
        sqlx::query_scalar(sqlx::AssertSqlSafe(find)).bind(id).fetch_one(&self.pool).await.expect("the table is there")
    }

    /// Waits until the session is gone.
    pub async fn ends(&self, id: &str) {
        eventually(SOON, "the session is gone from the table", async || !self.lives(id).await).await;
    }

    /// Waits until a login is dated after everything that has been recorded so far, also where clocks are believed to be a second
    /// apart and stamps are whole seconds.
    pub async fn later(&self) {
        let later = "select clock_timestamp() > max(recorded_at) + interval '2.1 seconds' from ledger.events";
        let is_later = async || sqlx::query_scalar(later).fetch_one(&self.pool).await.expect("there are events");
        eventually(SOON, "the clock goes on", is_later).await;
    }
}
