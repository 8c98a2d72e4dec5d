//! A database of its own on the shared MariaDB, with a table of sessions as an application, Spring or Laravel makes it.

use std::sync::Mutex as Lock;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use sqlx_mysql::MySqlConnection;
use tokio::sync::Mutex;

use super::{Store, env, login, unique};

/// Which application fills it.
#[derive(Clone, Copy, PartialEq)]
pub enum Of {
    /// Of the operator's own statements, with users as text or as numbers.
    Text,
    Numbers,
    Spring,
    /// With users by their addresses.
    Laravel,
}

pub struct MariaDb {
    of: Of,
    schema: String,
    connection: Mutex<MySqlConnection>,
    logins: Lock<Vec<String>>,
}

const TEXT: &str = "create table sessions (id varchar(40) primary key, \
    user_name varchar(80) character set utf8mb4 collate utf8mb4_nopad_bin, index (user_name))";
const NUMBERS: &str = "create table sessions (id bigint auto_increment primary key, user_name int, index (user_name)) \
    auto_increment = 100000000";
/// As the library's own script makes it, without the columns that nobody reads here.
const SPRING: &str = "create table SPRING_SESSION (primary_id char(36) not null, session_id char(36) not null, \
    principal_name varchar(100), constraint spring_session_pk primary key (primary_id)) \
    engine=innodb row_format=dynamic default charset=utf8mb4;
    create index spring_session_ix3 on SPRING_SESSION (principal_name)";
const LARAVEL: &str = "create table users (id bigint unsigned auto_increment primary key, \
    email varchar(255) character set utf8mb4 collate utf8mb4_nopad_bin not null unique, remember_token varchar(100));
    create table sessions (id varchar(255) primary key, user_id bigint unsigned, ip_address varchar(45), user_agent text, \
    payload longtext not null, last_activity int not null, index (user_id), index (last_activity))";

impl MariaDb {
    pub async fn create(of: Of) -> Self {
        let schema = format!("leaver_downstreams_{}", unique());
        let mut root = MySqlConnection::connect(&env("LEAVER_TEST_MARIADB_URL")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {schema}"))).execute(&mut root).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("use {schema}"))).execute(&mut root).await.unwrap();
        let store = Self { of, schema, connection: Mutex::new(root), logins: Lock::default() };
        store
            .run(match of {
                Of::Text => TEXT,
                Of::Numbers => NUMBERS,
                Of::Spring => SPRING,
                Of::Laravel => LARAVEL,
            })
            .await;
        store
    }

    fn database_url(&self) -> String {
        let mut url = url::Url::parse(&env("LEAVER_TEST_MARIADB_URL")).unwrap();
        url.set_path(&self.schema);
        url.into()
    }

    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection.lock().await).await.unwrap();
    }

    pub async fn strings(&self, sql: &str) -> Vec<String> {
        let strings = sqlx::query_scalar(AssertSqlSafe(sql));
        strings.fetch_all(&mut *self.connection.lock().await).await.unwrap()
    }

    async fn with(&self, sql: &'static str, values: &[&str]) {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(*value);
        }
        query.execute(&mut *self.connection.lock().await).await.unwrap();
    }

    fn table(&self) -> &'static str {
        if self.of == Of::Spring { "SPRING_SESSION" } else { "sessions" }
    }
}

#[async_trait]
impl Store for MariaDb {
    fn name(&self) -> &'static str {
        match self.of {
            Of::Text => "mariadb, text",
            Of::Numbers => "mariadb, numbers",
            Of::Spring => "mariadb, spring",
            Of::Laravel => "mariadb, laravel",
        }
    }

    fn config(&self) -> Value {
        let url = self.database_url();
        let find = "select id from sessions where user_name = ?";
        match self.of {
            Of::Text => json!({ "type": "sql", "url": url, "find": find, "end": "delete from sessions where id = ?" }),
            Of::Numbers => json!({
                "type": "sql", "url": url, "find": find, "numbers": true,
                "end": "delete from sessions where user_name = ? and id = ?",
            }),
            Of::Spring => json!({ "type": "sql", "url": url, "layout": "spring-session-jdbc" }),
            Of::Laravel => json!({
                "type": "sql", "url": url, "layout": "laravel", "users": "select id from users where email = ?",
            }),
        }
    }

    fn folded(&self) -> Value {
        let mut config = self.config();
        match self.of {
            Of::Text => config["find"] = "select id from sessions where lower(user_name) = lower(?)".into(),
            Of::Laravel => config["users"] = "select id from users where lower(email) = lower(?)".into(),
            Of::Numbers | Of::Spring => {}
        }
        config
    }

    fn users(&self) -> [&'static str; 3] {
        if self.of == Of::Numbers { ["7", "77", "-7"] } else { ["ana", "an", "bob@example.com"] }
    }

    async fn sign_in(&self, user: &str) -> String {
        if self.of == Of::Numbers {
            self.with("insert into sessions (user_name) values (?)", &[user]).await;
            let id = sqlx::query_scalar::<_, i64>("select max(id) from sessions");
            return id.fetch_one(&mut *self.connection.lock().await).await.unwrap().to_string();
        }
        let id = if self.of == Of::Spring { uuid::Uuid::new_v4().to_string() } else { unique() };
        match self.of {
            Of::Spring => self.with("insert into SPRING_SESSION values (?, '', ?)", &[&id, user]).await,
            _ => self.insert(&id, user).await,
        }
        id
    }

    async fn write_back(&self, id: &str, user: &str) {
        match self.of {
            // The library updates a session that is not new.
            Of::Spring => self.with("update SPRING_SESSION set session_id = 'x' where primary_id = ?", &[id]).await,
            _ => self.insert(&self.comes_back_as(id), user).await,
        }
    }

    fn comes_back_as(&self, id: &str) -> String {
        if self.of == Of::Laravel { id.chars().rev().collect() } else { id.to_owned() }
    }

    async fn ids(&self) -> Vec<String> {
        let column = if self.of == Of::Spring { "primary_id" } else { "id" };
        let sql = format!("select cast({column} as char) from {}", self.table());
        let ids = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *self.connection.lock().await).await.unwrap();
        super::sorted(ids)
    }

    async fn url_that_may_only_read(&self) -> String {
        let (login_name, password) = (format!("leaver_{}", &unique()[..12]), unique());
        self.run(&format!("create user {login_name} identified by '{password}'")).await;
        self.run(&format!("grant select on {}.* to {login_name}", self.schema)).await;
        let url = login(&self.database_url(), &login_name, &password);
        self.logins.lock().unwrap().push(login_name);
        url
    }

    async fn remove(&self) {
        self.run(&format!("drop database {}", self.schema)).await;
        let logins = std::mem::take(&mut *self.logins.lock().unwrap());
        for login in logins {
            self.run(&format!("drop user {login}")).await;
        }
    }
}

impl MariaDb {
    async fn insert(&self, id: &str, user: &str) {
        match self.of {
            Of::Laravel => {
                self.with("insert ignore into users (email) values (?)", &[user]).await;
                let sql = "insert ignore into sessions select ?, id, '127.0.0.1', 'test', '', 1780000000 from users where email = ?";
                self.with(sql, &[id, user]).await;
            }
            _ => self.with("insert ignore into sessions values (?, ?)", &[id, user]).await,
        }
    }
}
