//! Tasks that are watched: one that ends before it is told to ends the process; a stop has a deadline and says who was late.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Named long-lived tasks.
#[derive(Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, String>,
    stop: CancellationToken,
}

/// A task that ended, and why if it says so.
struct Ended {
    name: String,
    error: Option<BoxError>,
}

/// A task that ended before it was asked to. The process ends with it.
#[derive(Debug, thiserror::Error)]
#[error("leaver cannot go on without its task `{name}`")]
pub struct Crash {
    name: String,
    source: Option<BoxError>,
}

impl Supervisor {
    /// Runs `task` under a name until it ends. Give it [`Supervisor::stop_signal`], so that it ends when asked.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Cancelled when the process is to stop.
    pub fn stop_signal(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits for a signal or for a task that crashes, then stops all tasks, at most for `grace`. A second signal stops at once.
    ///
    /// # Errors
    /// The crash, once everything has stopped.
    pub async fn run(&mut self, signals: &mut Signals, grace: Duration) -> Result<ExitCode, Crash> {
        let crashed = tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping: what is under way finishes, at most {} s; again to stop now", grace.as_secs());
                None
            }
            ended = self.next_end() => ended,
        };
        let late = tokio::select! {
            late = self.halt(grace) => late,
            _ = signals.next() => true,
        };
        if late {
            let names: Vec<&str> = self.names.values().map(String::as_str).collect();
            tracing::error!(
                tasks = names.join(", "),
                "stopped without waiting for these; what they had under way stays owed"
            );
        }
        self.tasks.shutdown().await;
        match crashed {
            Some(Ended { name, error }) => Err(Crash { name, source: error }),
            None => Ok(if late { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
        }
    }

    /// Asks all tasks to stop and waits for them, at most for `grace`. Whether some were late.
    pub async fn halt(&mut self, grace: Duration) -> bool {
        self.stop.cancel();
        let drain = async { while self.next_end().await.is_some() {} };
        tokio::time::timeout(grace, drain).await.is_err()
    }

    /// The next task that ends. Before a stop that is a crash, and logged as one.
    async fn next_end(&mut self) -> Option<Ended> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        let stopping = self.stop.is_cancelled();
        let error: Option<BoxError> = match ended {
            Ok((_, Ok(()))) => {
                if !stopping {
                    tracing::error!(task = name, "a task ended although nobody asked it to; the process ends with it");
                }
                None
            }
            Ok((_, Err(error))) => {
                tracing::error!(
                    task = name,
                    error = &*error as &dyn std::error::Error,
                    "a task failed; the process ends with it"
                );
                Some(error)
            }
            Err(error) if error.is_cancelled() => None,
            Err(error) => {
                tracing::error!(
                    task = name,
                    error = &error as &dyn std::error::Error,
                    "a task panicked; the process ends with it"
                );
                Some(error.into())
            }
        };
        Some(Ended { name, error })
    }
}

/// SIGINT and SIGTERM.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_crashes_ends_the_process_and_the_others_are_stopped() {
        let mut supervisor = Supervisor::default();
        let stop = supervisor.stop_signal();
        let (told, heard) = tokio::sync::oneshot::channel();
        supervisor.spawn("patient", async move {
            stop.cancelled().await;
            told.send(()).map_err(|()| "nobody listens".into())
        });
        supervisor.spawn("crashing", async { Err("broken".into()) });
        let crash = supervisor.run(&mut Signals::new().unwrap(), Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(std::error::Error::source(&crash).unwrap().to_string(), "broken", "{crash}");
        heard.await.expect("the other task was asked to stop");
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_the_process() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("panicking", async { panic!("on purpose") });
        let crash = supervisor.run(&mut Signals::new().unwrap(), Duration::from_secs(10)).await.unwrap_err();
        assert!(crash.to_string().contains("panicking"), "{crash}");
    }
}
