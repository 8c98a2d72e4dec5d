//! A Redis of a story's own, which may fall over and come back with its data.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::services::{free_port, redis_at};
use super::{Process, SOON, until};

pub struct Redis {
    // Ends before its folder goes.
    process: Process,
    folder: TempDir,
    port: u16,
}

impl Redis {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_port();
        let mut redis = Self { process: launch(folder.path(), port), folder, port };
        redis.serves().await;
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub fn kill9(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.reap();
    }

    /// Starts a killed one, on the same port with the same data.
    pub async fn start_again(&mut self) {
        self.process = launch(self.folder.path(), self.port);
        self.serves().await;
    }

    async fn serves(&mut self) {
        let url = self.url();
        let process = &mut self.process;
        until(SOON, "Redis answers", async || {
            assert!(!process.has_ended(), "Redis does not start");
            let mut redis = redis_at(&url).await.ok()?;
            // It answers before it has read its data.
            redis::cmd("PING").query_async::<String>(&mut redis).await.ok()
        })
        .await;
    }
}

fn launch(folder: &Path, port: u16) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
    // Each write reaches the kernel before it is answered; while a flush to the disk is under way it would not.
    command.args(["--appendonly", "yes", "--appendfsync", "no"]).arg("--dir").arg(folder);
    Process::start(command, folder, "redis")
}
