//! The same file in the hands of somebody who knows PostgreSQL and owes nobody an event.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::postgres::{PgPool, PgPoolOptions};

/// What a personnel file becomes: the people, who is in which group, and the indexes by which both are looked for.
const LOAD: [&str; 6] = [
    "CREATE TABLE people AS SELECT *, sha256(convert_to(s::text, 'UTF8')) AS hash FROM staging s",
    "CREATE TABLE memberships AS SELECT g, number FROM staging, unnest(string_to_array(groups, ';')) AS g",
    "ALTER TABLE people ADD PRIMARY KEY (number)",
    "CREATE INDEX ON people (lower(user_name)); CREATE INDEX ON people (lower(email))",
    "ALTER TABLE memberships ADD PRIMARY KEY (g, number)",
    "CREATE INDEX ON memberships (number)",
];

/// The signature, flags and length of extensions before the first row of a binary COPY.
const HEAD: usize = 19;

pub struct ByHand(PgPool);

impl ByHand {
    /// In a database of its own on the same server.
    pub async fn on(url: &str) -> Self {
        let server = PgPool::connect(url).await.expect("the server answers");
        sqlx::raw_sql("CREATE DATABASE by_hand").execute(&server).await.expect("a database can be made");
        let (begin, _) = url.rsplit_once('/').expect("the address names a database");
        let pool = PgPoolOptions::new().max_connections(1).connect(&format!("{begin}/by_hand")).await;
        Self(pool.expect("the database answers"))
    }

    /// COPY in, then tables and indexes.
    pub async fn load(&self, file: &Path) -> Duration {
        let begun = Instant::now();
        let mut connection = self.0.acquire().await.expect("a connection");
        sqlx::raw_sql(
            "CREATE UNLOGGED TABLE staging (number text, user_name text, email text, given text, family text, department text,
                 manager text, status text, starts text, ends text, groups text)",
        )
        .execute(&mut *connection)
        .await
        .expect("a table can be made");
        let copy = connection.copy_in_raw("COPY staging FROM STDIN (FORMAT csv, HEADER)").await;
        let mut copy = copy.expect("the server takes rows");
        copy.read_from(tokio::fs::File::open(file).await.expect("the file is there")).await.expect("rows are sent");
        copy.finish().await.expect("rows are taken");
        for statement in LOAD {
            sqlx::raw_sql(statement).execute(&mut *connection).await.expect("tables and indexes can be made");
        }
        let took = begun.elapsed();
        sqlx::raw_sql("ANALYZE people, memberships").execute(&mut *connection).await.expect("analyzed");
        took
    }

    /// Binary COPY out of every key and digest, each compared with the one expected.
    pub async fn compare(&self) -> Duration {
        let mut expected: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        self.each(|key, hash| drop(expected.insert(key.to_vec(), hash.to_vec()))).await;
        let begun = Instant::now();
        let mut same = 0;
        self.each(|key, hash| same += usize::from(expected.get(key).is_some_and(|known| known == hash))).await;
        assert_eq!(same, expected.len(), "nothing has changed");
        begun.elapsed()
    }

    async fn each(&self, mut see: impl FnMut(&[u8], &[u8])) {
        let mut connection = self.0.acquire().await.expect("a connection");
        let statement = "COPY (SELECT number, hash FROM people) TO STDOUT (FORMAT binary)";
        let mut rows = connection.copy_out_raw(statement).await.expect("the server sends rows");
        let mut first = true;
        while let Some(message) = rows.try_next().await.expect("rows come") {
            let mut bytes = &message[if std::mem::take(&mut first) { HEAD.min(message.len()) } else { 0 }..];
            // A message is a row: how many fields, then each with its length before it. The last has none.
            while let Some((key, hash, rest)) = fields(bytes) {
                see(key, hash);
                bytes = rest;
            }
        }
    }

    /// An update of so many rows in one statement, their new values copied in first.
    pub async fn change(&self, rows: i64) -> Duration {
        let prepare =
            "CREATE UNLOGGED TABLE later AS SELECT number, department || '+' AS department, sha256(hash) AS hash
                       FROM people TABLESAMPLE SYSTEM (100) LIMIT $1";
        let begun = Instant::now();
        sqlx::query(prepare).bind(rows).execute(&self.0).await.expect("values are there");
        let update =
            "UPDATE people p SET department = l.department, hash = l.hash FROM later l WHERE l.number = p.number";
        let done = sqlx::query(update).execute(&self.0).await.expect("rows can be changed");
        assert_eq!(i64::try_from(done.rows_affected()), Ok(rows));
        begun.elapsed()
    }
}

fn fields(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[0, 2])?;
    let (key, rest) = field(rest)?;
    let (hash, rest) = field(rest)?;
    Some((key, hash, rest))
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
