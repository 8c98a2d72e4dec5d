//! The sample subscriber, as its guide starts it, and what a proxy asks it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::sync::OnceCell;

use super::{Answer, Process, SOON, Site, services, until};

/// A running subscriber.
pub struct Subscriber {
    http: reqwest::Client,
    base: String,
    /// Ends with this, and prints its output if the story fails.
    _process: Process,
}

impl Subscriber {
    /// Starts it on the topic of this site, with further variables that it reads.
    pub async fn start(site: &Site, brokers: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(python().await);
        command.arg(root().join("examples/subscriber/subscriber.py")).envs(variables.iter().copied());
        let kafka = serde_json::json!({"bootstrap.servers": brokers});
        command.env("TOPIC", format!("{}.revocations.v1", site.names().bus())).env("KAFKA", kafka.to_string());
        command.env("LISTEN", "127.0.0.1:0");
        let mut process = Process::start(command, &site.path(""), "subscriber");
        let address = until(SOON, "the subscriber listens, or has ended", async || {
            let address = process.lines().iter().find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
            address.or_else(|| process.has_ended().then(String::new))
        })
        .await;
        assert!(!address.is_empty(), "the subscriber does not start");
        Self { http: services::http(), base: format!("http://{address}"), _process: process }
    }

    /// Whether it has read the topic to its end.
    pub async fn is_ready(&self) -> bool {
        Answer::of(self.http.get(format!("{}/ready", self.base))).await.status == 200
    }

    /// What it says of somebody who signed in at `signed_in`, in seconds of the epoch.
    pub async fn check(&self, header: &str, name: &str, signed_in: i64) -> Answer {
        let request = self.http.get(format!("{}/check", self.base)).header(header, name);
        Answer::of(request.header("x-auth-time", signed_in)).await
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository")
}

/// A Python with what the sample imports.
async fn python() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    PYTHON
        .get_or_init(async || {
            let mut needs = tokio::process::Command::new(root().join("scripts/needs"));
            let needs = needs.arg("subscriber").stdout(Stdio::null()).status().await.expect("scripts/needs starts");
            assert!(needs.success(), "scripts/needs subscriber failed");
            root().join("target/subscriber/bin/python")
        })
        .await
}
