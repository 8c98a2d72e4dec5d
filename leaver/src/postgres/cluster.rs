//! Makes the cluster (PostgreSQL's word for the folder of one server's data), completely or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Error;
use super::account::Account;
use super::binaries::Found;
use super::log::Log;
use super::postmaster::POLL;
use super::process::Process;

/// Two to three seconds are usual; a small machine with slow disks may need a minute.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long an `initdb` whose Leaver was killed may take to notice.
const ENDING: Duration = Duration::from_secs(10);
/// What an interrupted `initdb` leaves begins with this.
const HALF_MADE: &str = "initdb-";
/// The superuser of the cluster, independent of the account: that one may change.
pub const SUPERUSER: &str = "postgres";

/// The cluster's folder in `home`.
pub fn folder(home: &Path) -> PathBuf {
    home.join("cluster")
}

/// The major version that made `cluster`, if it exists.
///
/// # Errors
///
/// [`Error::NotACluster`] if the folder exists and `PG_VERSION` in it is missing or unreadable as a number.
pub fn major(cluster: &Path) -> Result<Option<u32>, Error> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(Error::NotACluster { cluster: cluster.to_path_buf() }),
        },
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("read", &path)(error)),
        Err(_) if cluster.exists() => Err(Error::NotACluster { cluster: cluster.to_path_buf() }),
        Err(_) => Ok(None),
    }
}

/// Runs `initdb` for `account` unless `home` holds a cluster already, and returns the cluster's folder.
///
/// `initdb` works in a folder beside, which gets the final name only when it is whole and on disk.
pub async fn ensure(home: &Path, account: &Account, found: &Found, log: &Log) -> Result<PathBuf, Error> {
    let cluster = folder(home);
    remove_half_made(home).await?;
    if cluster.exists() {
        return Ok(cluster);
    }
    tracing::info!("creating a cluster of PostgreSQL {} in {}", found.version, cluster.display());
    let fresh =
        tempfile::Builder::new().prefix(HALF_MADE).tempdir_in(home).map_err(Error::io("create a folder in", home))?;
    account.own(fresh.path())?;
    let mut initdb = account.command(found.initdb());
    initdb
        .args(["-E", "UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums"])
        .arg(format!("--username={SUPERUSER}"))
        .arg("-D")
        .arg(fresh.path());
    log.attach(&mut initdb)?;
    let mut initdb = Process::spawn(initdb).await?;
    let Ok(ended) = tokio::time::timeout(PATIENCE, initdb.exited()).await else {
        let tail = log.tail();
        return Err(Error::NotReady { program: "initdb", within: PATIENCE, log: log.path().to_path_buf(), tail });
    };
    let status = ended?;
    if !status.success() {
        let (log, tail) = (log.path().to_path_buf(), log.tail());
        return Err(Error::Exited { program: "initdb", status, log, tail });
    }
    fs::rename(fresh.path(), &cluster).map_err(Error::io("create", &cluster))?;
    // From here on there is nothing to clean up under the old name.
    drop(fresh.keep());
    File::open(home).and_then(|home| home.sync_all()).map_err(Error::io("flush", home))?;
    Ok(cluster)
}

async fn remove_half_made(home: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + ENDING;
    for entry in fs::read_dir(home).map_err(Error::io("list", home))? {
        let entry = entry.map_err(Error::io("list", home))?;
        if !entry.file_name().to_string_lossy().starts_with(HALF_MADE) {
            continue;
        }
        let path = entry.path();
        tracing::info!("removing {}, which an interrupted start left", path.display());
        while let Err(error) = fs::remove_dir_all(&path) {
            match error.kind() {
                io::ErrorKind::NotFound => break,
                // The interrupted initdb has been told to end, and still writes.
                io::ErrorKind::DirectoryNotEmpty if Instant::now() < deadline => sleep(POLL).await,
                _ => return Err(Error::io("remove", &path)(error)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Error, major};

    #[test]
    fn a_folder_without_a_version_is_not_mistaken_for_a_missing_cluster() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(major(&folder.path().join("cluster")).unwrap(), None);
        assert!(matches!(major(folder.path()), Err(Error::NotACluster { .. })));
        fs::write(folder.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(major(folder.path()).unwrap(), Some(15));
        fs::write(folder.path().join("PG_VERSION"), "9.6\n").unwrap();
        assert!(matches!(major(folder.path()), Err(Error::NotACluster { .. })));
    }
}
