//! Starts the server on a cluster and waits until it is ready.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Error;
use super::account::Account;
use super::binaries::Found;
use super::log::Log;
use super::process::Process;
use super::{orphan, socket};

/// Until ready, including the recovery after a crash; and until the end of an earlier server.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server that is told to stop because it did not get ready may take.
const GRACE: Duration = Duration::from_secs(10);
pub const POLL: Duration = Duration::from_millis(20);

/// Tells our servers from one that somebody started on the same cluster by hand.
pub const OURS: &str = "cluster_name=leaver";

/// Starts the server on `cluster`; it listens only on the socket in `sockets`.
pub async fn start(
    cluster: &Path,
    sockets: &Path,
    account: &Account,
    found: &Found,
    log: &Log,
) -> Result<Process, Error> {
    let deadline = Instant::now() + PATIENCE;
    orphan::end(cluster, deadline).await?;
    if !account.is_dropped() {
        orphan::disown(cluster, sockets)?;
    }
    loop {
        let mut command = account.command(found.postgres());
        command.args(arguments(cluster, sockets, found));
        log.attach(&mut command)?;
        let mut server = Process::spawn(command).await?;
        match until_ready(&mut server, cluster, log, deadline).await {
            Ok(()) => return Ok(server),
            // Somebody killed the old server, and its own children have not all noticed yet. They will.
            Err(Error::Exited { tail, .. })
                if tail.contains("pre-existing shared memory block") && Instant::now() < deadline =>
            {
                sleep(POLL * 10).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn arguments(cluster: &Path, sockets: &Path, found: &Found) -> Vec<OsString> {
    let mut settings = vec![
        "listen_addresses=".to_owned(),
        format!("port={}", socket::PORT),
        format!("unix_socket_directories={}", socket::setting(sockets)),
        "unix_socket_permissions=0700".to_owned(),
        OURS.to_owned(),
        "fsync=on".to_owned(),
        "max_connections=100".to_owned(),
        "shared_buffers=128MB".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "logging_collector=off".to_owned(),
        "log_checkpoints=off".to_owned(),
        // Statements and details of errors hold names and addresses of people, which do not belong into a log.
        "log_error_verbosity=terse".to_owned(),
        "log_min_error_statement=panic".to_owned(),
    ];
    if found.version.major >= 16 {
        // Up to 15, a role that may create roles may also act as them. Since 16 it has to ask for that.
        settings.push("createrole_self_grant=set,inherit".to_owned());
    }
    let mut arguments = vec![OsString::from("-D"), cluster.into()];
    arguments.extend(settings.into_iter().flat_map(|setting| [OsString::from("-c"), setting.into()]));
    arguments
}

async fn until_ready(server: &mut Process, cluster: &Path, log: &Log, deadline: Instant) -> Result<(), Error> {
    const PROGRAM: &str = "the PostgreSQL server";
    loop {
        if let Some(status) = server.ended()? {
            return Err(Error::Exited { program: PROGRAM, status, log: log.path().to_path_buf(), tail: log.tail() });
        }
        if state(cluster)?.is_some_and(|state| state.pid == server.pid() && state.ready) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            server.stop(GRACE).await?;
            let (log, tail) = (log.path().to_path_buf(), log.tail());
            return Err(Error::NotReady { program: PROGRAM, within: PATIENCE, log, tail });
        }
        sleep(POLL).await;
    }
}

pub const PID_FILE: &str = "postmaster.pid";

/// What a server says of itself in `postmaster.pid`.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub pid: i32,
    ready: bool,
}

/// Reads the state of the server that runs on `cluster`, or that did and was killed.
pub fn state(cluster: &Path) -> Result<Option<State>, Error> {
    let path = cluster.join(PID_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Line 1 is the process id, line 8 the state, padded (`LOCK_FILE_LINE_*` in PostgreSQL's pidfile.h). The file is written
/// in steps, so lines may be missing yet.
fn parse(text: &str) -> Option<State> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    Some(State { pid, ready: lines.nth(6).is_some_and(|state| state.trim() == "ready") })
}

#[cfg(test)]
mod tests {
    use super::{State, parse};

    #[test]
    fn a_server_is_ready_only_when_the_eighth_line_says_so() {
        let file = |state: &str| format!("4711\n/data\n1795230000\n5432\n/run\n\n  1234 5\n{state}");
        assert_eq!(parse(&file("ready   \n")), Some(State { pid: 4711, ready: true }));
        assert_eq!(parse(&file("starting\n")), Some(State { pid: 4711, ready: false }));
        assert_eq!(parse(&file("")), Some(State { pid: 4711, ready: false }));
        assert_eq!(parse("4711\n"), Some(State { pid: 4711, ready: false }));
        assert_eq!(parse(""), None);
    }
}
