//! Where the cluster lives: below the data folder, or below `/var/lib/leaver` if the server's account cannot get there.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::Error;
use super::account::Account;
use super::binaries::Found;

/// Where root keeps what another account must reach.
const ELSEWHERE: &str = "/var/lib/leaver";

/// The data folder as an absolute path without links, created if missing.
pub fn data_dir(configured: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(configured).map_err(Error::io("create", configured))?;
    configured.canonicalize().map_err(Error::io("find", configured))
}

/// The home that an earlier start settled on, if there was one.
///
/// A cluster outside the data folder is found by a link in it, so that it is still found after the data folder was moved
/// or by a Leaver that is not root any more.
///
/// # Errors
///
/// [`Error::Dangling`] if the link leads nowhere: starting with an empty database would look like a loss of all data.
pub fn existing(data_dir: &Path) -> Result<Option<PathBuf>, Error> {
    let home = data_dir.join("postgres");
    match home.canonicalize() {
        Ok(home) => Ok(Some(home)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("find", &home)(error)),
        Err(_) if home.is_symlink() => Err(Error::Dangling { link: home }),
        Err(_) => {
            let elsewhere = elsewhere(data_dir);
            let forgotten = geteuid().is_root() && elsewhere.exists();
            if forgotten {
                tracing::warn!(
                    "{} is new, but {} holds its cluster: using that",
                    data_dir.display(),
                    elsewhere.display()
                );
            }
            Ok(forgotten.then_some(elsewhere))
        }
    }
}

/// Decides on the home, and creates it for `account` alone.
///
/// # Errors
///
/// [`Error::Unreachable`] if the account cannot enter it, as when the data folder was closed after the first start.
pub fn settle(data_dir: &Path, existing: Option<PathBuf>, account: &Account, found: &Found) -> Result<PathBuf, Error> {
    let inside = data_dir.join("postgres");
    let home = match existing {
        Some(home) => home,
        None if !account.is_dropped() || found.can_enter(account, data_dir)? => inside.clone(),
        None => elsewhere(data_dir),
    };
    if home != inside && !inside.is_symlink() {
        tracing::info!("user {account} cannot enter {}: keeping the cluster in {}", data_dir.display(), home.display());
        open_elsewhere()?;
        private(&home, account)?;
        symlink(&home, &inside).map_err(Error::io("create", &inside))?;
    }
    private(&home, account)?;
    if account.is_dropped() && !found.can_enter(account, &home)? {
        return Err(Error::Unreachable { folder: home, account: account.to_string() });
    }
    Ok(home)
}

fn elsewhere(data_dir: &Path) -> PathBuf {
    Path::new(ELSEWHERE).join(short_name(data_dir))
}

fn open_elsewhere() -> Result<(), Error> {
    let folder = Path::new(ELSEWHERE);
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(Error::io("open", folder))?;
    }
    Ok(())
}

/// 16 characters that stand for a path, where the path itself is too long or must not be shown.
pub fn short_name(path: &Path) -> String {
    hex::encode(Sha256::digest(path.as_os_str().as_bytes()))[..16].to_owned()
}

/// Creates `folder`, or takes it over, such that only `account` can look into it.
///
/// # Errors
///
/// [`Error::NotPrivate`] if it is not a folder, or belongs to somebody else.
pub fn private(folder: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create", folder)(error)),
        _ => {}
    }
    let metadata = folder.symlink_metadata().map_err(Error::io("read", folder))?;
    let root_made_it = account.is_dropped() && metadata.uid() == 0;
    if !metadata.is_dir() || !(metadata.uid() == account.uid() || root_made_it) {
        return Err(Error::NotPrivate { folder: folder.to_path_buf(), uid: account.uid() });
    }
    account.own(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(Error::io("close", folder))
}
