//! Child processes: their output goes to files, and none outlives its world.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::until;

/// A child that runs until it is told otherwise.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    /// What an earlier process of the same name left in the file of its stdout.
    printed_before: usize,
}

impl Process {
    /// Starts `command` with its output in `folder/NAME.out` and `folder/NAME.err`, after what is there.
    pub(super) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let stdout = folder.join(format!("{name}.out"));
        let stderr = folder.join(format!("{name}.err"));
        let printed_before = std::fs::read_to_string(&stdout).map_or(0, |text| text.len());
        command.stdin(Stdio::null()).stdout(appending(&stdout)).stderr(appending(&stderr));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, stdout, stderr, printed_before }
    }

    /// The lines that this process has printed on stdout.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.stdout).expect("the file of stdout is there");
        text[self.printed_before..].lines().map(str::to_owned).collect()
    }

    pub fn printed(&self, line: &str) -> bool {
        self.lines().iter().any(|l| l == line)
    }

    /// All output so far, for people.
    pub fn logs(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        format!("--- stdout\n{}--- stderr\n{}---", read(&self.stdout), read(&self.stderr))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // Until it is reaped, the id belongs to this child and to nobody else.
        if let Err(error) = kill(Pid::from_raw(id), signal) {
            eprintln!("{signal} could not be sent: {error}");
        }
    }

    /// The exit code, once it has ended; `None` after a signal.
    pub async fn exit(&mut self, deadline: Duration, what: &str) -> Option<i32> {
        until(deadline, what, async || self.child.try_wait().expect("a child can be waited for")).await.code()
    }

    /// Waits for a child that has been told to end.
    pub fn reap(&mut self) {
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        // An error says that it has ended already.
        if self.child.kill().is_ok() {
            self.reap();
        }
    }
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("the world's folder can be written")
}

/// A finished run of a command.
#[derive(Debug)]
pub struct Output {
    /// `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub(super) fn of(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// # Panics
    /// Unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// # Panics
    /// Unless stdout is one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// # Panics
    /// Unless stdout or stderr contains each of `words`.
    #[track_caller]
    pub fn expect_words(&self, words: &[&str]) {
        for word in words {
            assert!(self.stdout.contains(word) || self.stderr.contains(word), "{word:?} is missing\n{self}");
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}\n--- stdout\n{}--- stderr\n{}---", self.code, self.stdout, self.stderr)
    }
}

/// Does `work` to its end from within a `drop`, where nothing can be awaited.
pub(super) fn aside(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime builds");
        runtime.block_on(work);
    });
    if thread.join().is_err() {
        eprintln!("tidying up after a test failed");
    }
}
