//! A PostgreSQL program as a child that does not outlive Leaver.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Error;

/// A running child. Dropping it asks the program to end at once; only [`Process::stop`] waits until it has.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: i32,
}

impl Process {
    /// Starts `command` such that the kernel interrupts it (SIGINT: PostgreSQL's fast shutdown) when Leaver dies, even of
    /// SIGKILL.
    pub async fn spawn(mut command: Command) -> Result<Self, Error> {
        let program = PathBuf::from(command.get_program());
        // Its own process group: Ctrl-C in the terminal is for Leaver, which ends its work before it stops its database.
        command.process_group(0);
        die_with_parent(&mut command);
        let (reply, spawned) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts PostgreSQL has ended");
        let sent = launcher().send(Request { command, runtime: Handle::current(), reply });
        let answer = match sent {
            Ok(()) => spawned.await.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(gone()),
        };
        answer.map_err(|source| Error::Spawn { program, source })
    }

    /// The child's process id, valid while it has not been waited for.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until the child ends by itself. May be dropped and called again.
    pub async fn exited(&mut self) -> Result<ExitStatus, Error> {
        self.child.wait().await.map_err(|source| Error::Wait { pid: self.pid, source })
    }

    /// How the child ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(|source| Error::Wait { pid: self.pid, source })
    }

    /// Interrupts the child, waits for its end for `patience`, then kills it.
    ///
    /// # Errors
    ///
    /// [`Error::Killed`] if it had to be killed.
    pub async fn stop(&mut self, patience: Duration) -> Result<ExitStatus, Error> {
        self.interrupt().map_err(|source| Error::Signal { pid: self.pid, source })?;
        match tokio::time::timeout(patience, self.exited()).await {
            Ok(status) => status,
            Err(_) => {
                self.child.kill().await.map_err(|source| Error::Wait { pid: self.pid, source })?;
                Err(Error::Killed { pid: self.pid, within: patience })
            }
        }
    }

    fn interrupt(&self) -> nix::Result<()> {
        // `id` is absent once the child has been waited for: from then on the number may be another's.
        match self.child.id() {
            Some(_) => kill(Pid::from_raw(self.pid), Signal::SIGINT),
            None => Ok(()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.interrupt() {
            tracing::warn!(pid = self.pid, %error, "cannot stop the PostgreSQL process {}", self.pid);
        }
    }
}

struct Request {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Process>>,
}

/// The thread that starts the children. The parent's death, in the eyes of the kernel, is the end of the *thread* that
/// forked (prctl(2), PR_SET_PDEATHSIG), and threads of a runtime come and go. This one lasts: its channel is never closed.
fn launcher() -> &'static mpsc::Sender<Request> {
    static LAUNCHER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    LAUNCHER.get_or_init(|| {
        let (requests, received) = mpsc::channel::<Request>();
        let started = std::thread::Builder::new().name("postgres-parent".to_owned()).spawn(move || {
            for Request { command, runtime, reply } in received {
                let _runtime = runtime.enter();
                let spawned = tokio::process::Command::from(command).spawn().map(|child| {
                    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
                    Process { pid: pid.expect("a child just started has an id that fits pid_t"), child }
                });
                // Nobody waits any more if the start was cancelled; dropping the process then stops it.
                drop(reply.send(spawned));
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "cannot start the thread that starts PostgreSQL");
        }
        requests
    })
}

#[expect(unsafe_code, reason = "the parent-death signal can only be set by the child itself, between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: the closure runs in the forked child of a process with several threads, where only async-signal-safe
    // functions may be called. It makes two system calls, prctl(2) and getppid(2), and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            // Here the child already is the other account; changing it later would have cleared the setting.
            set_pdeathsig(Signal::SIGINT)?;
            // The parent may have died before the setting took effect.
            if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
        });
    }
}
