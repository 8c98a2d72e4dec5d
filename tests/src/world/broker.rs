//! A Kafka broker of a story's own, which may fall over and come back with its data.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::services::free_port;
use super::{Process, until};

/// A Java program on a busy machine.
const START: Duration = Duration::from_secs(180);

/// One node on the loopback.
pub struct Broker {
    // Ends before its folder goes.
    process: Process,
    folder: TempDir,
    /// For clients, and for itself.
    ports: (u16, u16),
}

impl Broker {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ports = (free_port(), free_port());
        let mut broker = Self { process: launch(folder.path(), ports), folder, ports };
        broker.serves().await;
        broker
    }

    /// As `bus.kafka.brokers` names it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.0)
    }

    /// Stops it as its operator would.
    pub fn stop(&mut self) {
        self.process.signal(Signal::SIGTERM);
        self.process.reap();
    }

    /// Ends it as a power cut would.
    pub fn kill9(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.reap();
    }

    /// Starts a stopped one, on the same ports with the same data.
    pub async fn start_again(&mut self) {
        self.process = launch(self.folder.path(), self.ports);
        self.serves().await;
    }

    /// Stands still from now on: connections are accepted, and nothing is answered.
    pub fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    async fn serves(&mut self) {
        let process = &mut self.process;
        let started = until(START, "the broker has started, or has ended", async || {
            let started = process.lines().iter().any(|line| line.contains("Kafka Server started"));
            (started || process.has_ended()).then_some(started)
        })
        .await;
        assert!(started, "the broker does not start");
    }
}

fn launch(folder: &Path, (port, controller): (u16, u16)) -> Process {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/broker"));
    command.arg(folder).arg(port.to_string()).arg(controller.to_string());
    Process::start(command, folder, "broker")
}
