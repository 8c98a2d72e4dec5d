//! PostgreSQL as Spring Session JDBC 3.5 fills it, with the schema that the library brings.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Store, database::Database};

const SCHEMA: &str = "
create table spring_session (
    primary_id char(36) not null constraint spring_session_pk primary key,
    session_id char(36) not null,
    creation_time bigint not null,
    last_access_time bigint not null,
    max_inactive_interval int not null,
    expiry_time bigint not null,
    principal_name varchar(100)
);
create unique index spring_session_ix1 on spring_session (session_id);
create index spring_session_ix2 on spring_session (expiry_time);
create index spring_session_ix3 on spring_session (principal_name);
create table spring_session_attributes (
    session_primary_id char(36) not null references spring_session (primary_id) on delete cascade,
    attribute_name varchar(200) not null,
    attribute_bytes bytea not null,
    constraint spring_session_attributes_pk primary key (session_primary_id, attribute_name)
)";

pub struct SpringJdbc {
    pub database: Database,
}

impl SpringJdbc {
    pub async fn create() -> Self {
        let database = Database::create().await;
        database.run(SCHEMA).await;
        Self { database }
    }
}

#[async_trait]
impl Store for SpringJdbc {
    fn name(&self) -> &'static str {
        "spring-session-jdbc"
    }

    fn config(&self) -> Value {
        json!({ "type": "sql", "url": self.database.url(), "layout": "spring-session-jdbc" })
    }

    fn users(&self) -> [&'static str; 3] {
        ["ana", "an", "bob@example.com"]
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let mut connection = self.database.connection.lock().await;
        for sql in [
            "insert into spring_session values ($1, gen_random_uuid(), 0, 0, 1800, 4102444800000, $2)",
            "insert into spring_session_attributes values ($1, 'SPRING_SECURITY_CONTEXT', convert_to($2, 'UTF8'))",
        ] {
            sqlx::query(sql).bind(&id).bind(user).execute(&mut *connection).await.unwrap();
        }
        id
    }

    /// The library only updates a session that is not new.
    async fn write_back(&self, id: &str, user: &str) {
        let mut connection = self.database.connection.lock().await;
        let sql = "update spring_session set last_access_time = 1, principal_name = $2 where primary_id = $1";
        sqlx::query(sql).bind(id).bind(user).execute(&mut *connection).await.unwrap();
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.database.strings("select primary_id::text from spring_session").await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.database.url_with(&["select on spring_session"]).await
    }

    async fn remove(&self) {
        self.database.remove().await;
    }
}
