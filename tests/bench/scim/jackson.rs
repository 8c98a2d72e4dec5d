//! Jackson beside Leaver: a process of Node.js with a database of its own on the same server.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub struct Jackson {
    pub scim: String,
    pub token: String,
    child: Child,
}

impl Jackson {
    /// On the server at `postgres`, an address of its superuser.
    pub async fn start(postgres: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/jackson");
        assert!(folder.join("node_modules").exists(), "Jackson is missing: run scripts/needs jackson");
        let mut server = PgConnection::connect(postgres).await.expect("PostgreSQL answers");
        server.execute("CREATE DATABASE jackson").await.expect("a database can be created");
        let mut url = url::Url::parse(postgres).expect("the address of a database is a URL");
        url.set_path("jackson");
        let mut command = Command::new("node");
        command.arg("server.js").current_dir(folder).env("DATABASE_URL", url.as_str());
        let mut child =
            command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().expect("Node.js is here");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        loop {
            let line = lines.next_line().await.expect("it prints text").expect("Jackson starts");
            // Its libraries may print before.
            let Ok(Value::Object(told)) = serde_json::from_str(&line) else { continue };
            let text = |key: &str| told[key].as_str().expect("it says where it is").to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Self { scim: text("scim"), token: text("token"), child };
        }
    }

    pub fn process(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}
