//! Deals with what a killed Leaver left on a cluster: a server that still runs, or the traces of one that does not.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::postmaster::{OURS, PATIENCE, PID_FILE, POLL, State, state};
use super::{Error, socket};

/// Ends the server that a killed Leaver left on `cluster`, and waits for its end.
///
/// The kernel has told it to stop when Leaver died, so usually there is only to wait; it is told again in case it was not.
pub async fn end(cluster: &Path, deadline: Instant) -> Result<(), Error> {
    let mut told = None;
    while let Some(State { pid, .. }) = state(cluster)?.filter(|state| is_ours(state.pid, cluster)) {
        if told != Some(pid) {
            tracing::info!(pid, "an earlier Leaver left its PostgreSQL running (process {pid}): stopping it");
            match kill(Pid::from_raw(pid), Signal::SIGINT) {
                Ok(()) | Err(Errno::ESRCH) => told = Some(pid),
                Err(source) => return Err(Error::Signal { pid, source }),
            }
        }
        if Instant::now() >= deadline {
            return Err(Error::Orphan { pid, within: PATIENCE });
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Whether process `pid` is a server that a Leaver started on `cluster`. The number alone proves nothing: after a restart
/// of the machine or of a container it belongs to another program. A finished process has no command line.
fn is_ours(pid: i32, cluster: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let has = |wanted: &[u8]| line.split(|&byte| byte == 0).any(|argument| argument == wanted);
    has(OURS.as_bytes()) && has(cluster.as_os_str().as_bytes())
}

/// Keeps PostgreSQL from taking another program for its dead server.
///
/// It refuses to start while the number in its pid file belongs to any live process of the same user. In a container the
/// numbers begin anew, so that may well be a thread of Leaver. Only an account that is Leaver's own is affected.
pub fn disown(cluster: &Path, sockets: &Path) -> Result<(), Error> {
    let Some(State { pid, .. }) = state(cluster)? else { return Ok(()) };
    // A server works in the folder of its cluster; what cannot be looked at is another user's and does no harm.
    let cluster = cluster.canonicalize().map_err(Error::io("find", cluster))?;
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) if folder != cluster => {}
        _ => return Ok(()),
    }
    let path = cluster.join(PID_FILE);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    // A server takes its parent's number for a stale one, and still checks by the rest of the file that no child of the
    // old server is left.
    fs::write(&path, format!("{}\n{rest}", std::process::id())).map_err(Error::io("write", &path))?;
    let lock = sockets.join(format!(".s.PGSQL.{}.lock", socket::PORT));
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &lock)(error)),
        _ => Ok(()),
    }
}
