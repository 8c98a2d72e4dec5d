//! Sessions in tables of PostgreSQL: an application's own, Django's, and those of Spring Session JDBC.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::ZlibEncoder};
use serde_json::json;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tests::world::Postgres;

use super::Store;
use crate::watch::Waiting;

pub const ALL: [Layout; 3] = [Layout::OwnStatements, Layout::Django, Layout::SpringJdbc];

#[derive(Debug, Clone, Copy)]
pub enum Layout {
    OwnStatements,
    Django,
    SpringJdbc,
}

/// Tells of each session that goes, at the commit that ends it, by the first column of its row or the one named.
const TELL: &str = "
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('gone', trim(to_jsonb(OLD) ->> TG_ARGV[0])); RETURN OLD; END $$;
";

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Self::OwnStatements => "sql, own statements",
            Self::Django => "sql, django",
            Self::SpringJdbc => "sql, spring-session-jdbc",
        }
    }

    /// As the libraries make them.
    fn tables(self) -> &'static str {
        match self {
            Self::OwnStatements => {
                "CREATE TABLE sessions (id text PRIMARY KEY, user_name text NOT NULL, data jsonb NOT NULL);
                 CREATE INDEX ON sessions (user_name);
                 CREATE TRIGGER tell AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION tell('id')"
            }
            Self::Django => {
                "CREATE TABLE auth_user (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, username varchar(150) UNIQUE);
                 CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL,
                     expire_date timestamptz NOT NULL);
                 CREATE INDEX ON django_session (expire_date);
                 CREATE TRIGGER tell AFTER DELETE ON django_session FOR EACH ROW EXECUTE FUNCTION tell('session_key')"
            }
            Self::SpringJdbc => {
                "CREATE TABLE spring_session (primary_id char(36) PRIMARY KEY, session_id char(36) NOT NULL,
                     creation_time bigint NOT NULL, last_access_time bigint NOT NULL, max_inactive_interval int NOT NULL,
                     expiry_time bigint NOT NULL, principal_name varchar(100));
                 CREATE UNIQUE INDEX ON spring_session (session_id);
                 CREATE INDEX ON spring_session (expiry_time);
                 CREATE INDEX ON spring_session (principal_name);
                 CREATE TABLE spring_session_attributes (
                     session_primary_id char(36) NOT NULL REFERENCES spring_session (primary_id) ON DELETE CASCADE,
                     attribute_name varchar(200) NOT NULL, attribute_bytes bytea NOT NULL,
                     PRIMARY KEY (session_primary_id, attribute_name));
                 CREATE TRIGGER tell AFTER DELETE ON spring_session FOR EACH ROW EXECUTE FUNCTION tell('primary_id')"
            }
        }
    }

    /// `$1` is the id of the session, which is the user's name.
    fn delete(self) -> &'static str {
        match self {
            Self::OwnStatements => "DELETE FROM sessions WHERE id = $1",
            Self::Django => "DELETE FROM django_session WHERE session_key = $1",
            Self::SpringJdbc => "DELETE FROM spring_session WHERE primary_id = $1::char(36)",
        }
    }
}

#[derive(Clone)]
pub struct Sql {
    layout: Layout,
    pool: PgPool,
    waiting: Waiting,
    server: Arc<Postgres>,
}

impl Sql {
    /// On a server of its own, with every commit on the disk.
    pub async fn start(layout: Layout) -> Self {
        let server = Arc::new(Postgres::start_durable().await);
        let pool = PgPoolOptions::new().max_connections(4).connect(&server.url()).await.expect("PostgreSQL answers");
        for sql in [TELL, layout.tables()] {
            sqlx::raw_sql(sql).execute(&pool).await.expect("tables can be made");
        }
        let mut listener = PgListener::connect_with(&pool).await.expect("PostgreSQL answers");
        listener.listen("gone").await.expect("PostgreSQL notifies");
        let waiting = Waiting::default();
        let noticed = waiting.clone();
        tokio::spawn(async move {
            while let Ok(told) = listener.recv().await {
                noticed.notice(told.payload());
            }
        });
        Self { layout, pool, waiting, server }
    }
}

impl Store for Sql {
    fn adapter(&self) -> String {
        let layout = match self.layout {
            Layout::OwnStatements => {
                "find: \"select id from sessions where user_name = $1\", end: \"delete from sessions where id = $2\""
            }
            Layout::Django => "layout: django, users: \"select id from auth_user where username = $1\"",
            Layout::SpringJdbc => "layout: spring-session-jdbc",
        };
        format!("{{ type: sql, url: \"{}\", {layout} }}", self.server.url())
    }

    async fn sign_in(&self, user: &str) {
        match self.layout {
            Layout::OwnStatements => {
                let sql = "INSERT INTO sessions VALUES ($1, $1, '{\"cart\": [1, 2]}')";
                sqlx::query(sql).bind(user).execute(&self.pool).await.expect("a session is stored");
            }
            Layout::Django => {
                let sql = "INSERT INTO auth_user (username) VALUES ($1) RETURNING id";
                let id: i32 = sqlx::query_scalar(sql).bind(user).fetch_one(&self.pool).await.expect("a user is stored");
                let sql = "INSERT INTO django_session VALUES ($1, $2, now() + interval '14 days')";
                let query = sqlx::query(sql).bind(user).bind(signed(id));
                query.execute(&self.pool).await.expect("a session is stored");
            }
            Layout::SpringJdbc => {
                for sql in [
                    "INSERT INTO spring_session VALUES ($1, gen_random_uuid(), 0, 0, 1800, 4102444800000, $1)",
                    "INSERT INTO spring_session_attributes VALUES ($1, 'SPRING_SECURITY_CONTEXT', convert_to($1, 'UTF8'))",
                ] {
                    sqlx::query(sql).bind(user).execute(&self.pool).await.expect("a session is stored");
                }
            }
        }
    }

    fn gone(&self, user: &str) -> impl Future<Output = Instant> + Send + 'static {
        let told = self.waiting.expect(user);
        async { told.await.expect("the store tells of it") }
    }

    async fn delete(&self, user: &str) {
        let query = sqlx::query(self.layout.delete()).bind(user);
        query.execute(&self.pool).await.expect("a session is deleted");
    }
}

/// `django.core.signing.dumps(session, salt=…, compress=True)` of what a login leaves; nobody here checks the signature.
fn signed(user: i32) -> String {
    let session = json!({
        "_auth_user_id": user.to_string(), "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": "0123456789abcdef".repeat(4),
    });
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(session.to_string().as_bytes()).expect("memory can be written");
    let compressed = zlib.finish().expect("memory can be written");
    format!(".{}:1vMJbe:GFMOBb3ruX8ldeh2xdJY23HQ1wZAYFOK4yb6iiGbVyk", URL_SAFE_NO_PAD.encode(compressed))
}
