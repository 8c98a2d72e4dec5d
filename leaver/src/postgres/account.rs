//! The account as which PostgreSQL runs: Leaver's own, or another one when Leaver is root, as whom PostgreSQL refuses to.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User, getegid, geteuid};

use super::Error;

/// Variables that the server needs of Leaver's environment. The others stay behind: they hold secrets of sources, which
/// an account shared with other programs could read, and `PG*` settings that would override ours.
const KEPT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// Who runs PostgreSQL.
#[derive(Debug, Clone)]
pub struct Account {
    uid: Uid,
    gid: Gid,
    /// For messages; the number when the system has no name for it.
    name: String,
    /// Whether Leaver is root and must become this account first.
    dropped: bool,
}

impl Account {
    /// The account that owns what `existing` already holds; else Leaver's own, and as root `postgres` or `nobody`.
    ///
    /// # Errors
    ///
    /// [`Error::Ownership`] if the owner is somebody as whom the server cannot run, [`Error::NoAccount`] if root finds
    /// no account to become.
    pub fn choose(existing: Option<&Path>) -> Result<Self, Error> {
        let own = Self::own_process()?;
        let Some((folder, owner)) = existing.map(owner).transpose()? else {
            return if own.uid.is_root() { Self::service() } else { Ok(own) };
        };
        match (own.uid.is_root(), owner.is_root()) {
            (true, false) => Self::owning(owner, &folder),
            // Root's folder without a cluster is one that a killed Leaver had no time to hand over.
            (true, true) if !folder.ends_with("cluster") => Self::service(),
            (true, true) => {
                Err(Error::Ownership { folder, owner: owner.as_raw(), account: Self::service()?.to_string() })
            }
            (false, _) if owner == own.uid => Ok(own),
            (false, _) => Err(Error::Ownership { folder, owner: owner.as_raw(), account: own.name }),
        }
    }

    fn own_process() -> Result<Self, Error> {
        let (uid, gid) = (geteuid(), getegid());
        let name = user(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
        Ok(Self { uid, gid, name, dropped: false })
    }

    fn service() -> Result<Self, Error> {
        for name in ["postgres", "nobody"] {
            let found = User::from_name(name).map_err(|source| Error::Lookup { who: name.to_owned(), source })?;
            if let Some(user) = found {
                return Ok(Self { uid: user.uid, gid: user.gid, name: user.name, dropped: true });
            }
        }
        Err(Error::NoAccount)
    }

    fn owning(uid: Uid, folder: &Path) -> Result<Self, Error> {
        if let Some(user) = user(uid)? {
            return Ok(Self { uid, gid: user.gid, name: user.name, dropped: true });
        }
        let metadata = folder.metadata().map_err(Error::io("read", folder))?;
        Ok(Self { uid, gid: Gid::from_raw(metadata.gid()), name: uid.to_string(), dropped: true })
    }

    /// The account's number.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Whether Leaver is root and the server is not.
    pub fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// A command that will run as this account, in `/` and with almost no environment.
    ///
    /// The working directory matters: PostgreSQL complains when it starts in a folder that its account cannot enter.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env_clear().env("LC_ALL", "C");
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if self.dropped {
            // The standard library also drops root's supplementary groups here.
            command.gid(self.gid.as_raw()).uid(self.uid.as_raw());
        }
        command
    }

    /// Hands `path` to this account.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        if self.dropped {
            lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
                .map_err(Error::io("change the owner of", path))?;
        }
        Ok(())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The owner of the cluster in `home`, or of `home` itself while there is no cluster (or none that we may look at).
fn owner(home: &Path) -> Result<(std::path::PathBuf, Uid), Error> {
    let cluster = home.join("cluster");
    let (folder, metadata) = match cluster.metadata() {
        Ok(metadata) => (cluster, metadata),
        Err(_) => (home.to_path_buf(), home.metadata().map_err(Error::io("read", home))?),
    };
    Ok((folder, Uid::from_raw(metadata.uid())))
}

fn user(uid: Uid) -> Result<Option<User>, Error> {
    User::from_uid(uid).map_err(|source| Error::Lookup { who: uid.to_string(), source })
}
