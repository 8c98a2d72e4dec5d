//! Finds a PostgreSQL to run: configured, installed, unpacked earlier, or downloaded, in this order.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::{Error, Options, archive};

/// The oldest major version that Leaver's migrations run on.
pub const OLDEST: u32 = 15;

/// A version of PostgreSQL, such as 15.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Server programs that the account can run.
#[derive(Debug, Clone)]
pub struct Found {
    /// The folder with `postgres` and `initdb`.
    pub folder: PathBuf,
    pub version: Version,
}

impl Found {
    pub fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    /// Whether `account` can enter `folder`. The kernel is asked, as permission bits do not tell everything.
    pub fn can_enter(&self, account: &Account, folder: &Path) -> Result<bool, Error> {
        let program = self.postgres();
        match account.command(&program).arg("--version").current_dir(folder).output() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(source) => Err(Error::Spawn { program, source }),
        }
    }
}

/// Why the programs in a folder cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("it lacks the program {0}")]
    Incomplete(&'static str),
    #[error("the user {account} cannot run it")]
    NotRunnable { account: String, source: io::Error },
    #[error("it does not report a version of PostgreSQL")]
    NotPostgres,
    #[error("it is PostgreSQL {0}")]
    TooOld(Version),
}

/// Where an installed PostgreSQL may be: the folders of the Debian and the PGDG packages, newest first, then `PATH`.
pub fn installed() -> Vec<PathBuf> {
    let mut packaged = Vec::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        packaged.extend(entries.flatten().filter_map(|entry| {
            let major: u32 = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        }));
    }
    packaged.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let path = std::env::var_os("PATH").unwrap_or_default();
    packaged.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path)).collect()
}

/// The programs that will serve the cluster whose `PG_VERSION` is `cluster.1`, or a new one.
///
/// An existing cluster decides between several installed versions, so that an upgrade of the system, which adds a newer
/// PostgreSQL beside the old one, changes nothing.
pub async fn find(
    options: &Options,
    cache: &Path,
    account: &Account,
    cluster: Option<(&Path, u32)>,
) -> Result<Found, Error> {
    let fits = |found: &Found| cluster.is_none_or(|(_, major)| major == found.version.major);
    let mut others = Vec::new();
    if let Some(named) = named(options, cache, account).await? {
        if fits(&named) {
            return Ok(named);
        }
        others.push(named);
    } else {
        let unpacked = archive::unpacked(cache);
        for folder in options.search.iter().chain([&unpacked]) {
            match probe(folder, account) {
                Ok(found) if fits(&found) => return Ok(found),
                Ok(found) => others.push(found),
                Err(Unfit::Incomplete(_)) => {}
                Err(unfit) => {
                    tracing::warn!(
                        error = &unfit as &dyn std::error::Error,
                        "ignoring the PostgreSQL in {}",
                        folder.display()
                    );
                }
            }
        }
        if cluster.is_none_or(|(_, major)| major == archive::MAJOR) {
            let folder = archive::download(cache).await?;
            return probe(&folder, account).map_err(|source| Error::Binaries { folder, source });
        }
    }
    let (cluster, needed) = cluster.expect("without a cluster every version fits");
    Err(Error::Version { cluster: cluster.to_path_buf(), needed, found: others })
}

/// What the configuration names, which must then be usable.
async fn named(options: &Options, cache: &Path, account: &Account) -> Result<Option<Found>, Error> {
    let folder = match (&options.binaries, &options.archive) {
        (Some(folder), _) if folder.join("bin/postgres").exists() => folder.join("bin"),
        (Some(folder), _) => folder.clone(),
        (None, Some(file)) => archive::unpack(file, cache).await?,
        (None, None) => return Ok(None),
    };
    probe(&folder, account).map(Some).map_err(|source| Error::Binaries { folder, source })
}

/// Runs `postgres --version` as `account`, which proves more than looking at the file: permissions and libraries.
fn probe(folder: &Path, account: &Account) -> Result<Found, Unfit> {
    // Links are followed because the programs find their libraries and each other beside themselves.
    let postgres = folder.join("postgres").canonicalize().map_err(|_| Unfit::Incomplete("postgres"))?;
    let folder = postgres.parent().unwrap_or(folder).to_path_buf();
    if !folder.join("initdb").is_file() {
        return Err(Unfit::Incomplete("initdb"));
    }
    let refused = |source| Unfit::NotRunnable { account: account.to_string(), source };
    let output = version_of(account.command(&postgres)).map_err(refused)?;
    let version = parse(&output).ok_or(Unfit::NotPostgres)?;
    if version.major < OLDEST {
        return Err(Unfit::TooOld(version));
    }
    Ok(Found { folder, version })
}

fn version_of(mut command: Command) -> io::Result<String> {
    let output = command.arg(OsStr::new("--version")).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; a pre-release is `18beta1`.
fn parse(output: &str) -> Option<Version> {
    let version = output.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
    let (major, rest) = version.split_at(version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len()));
    let minor = rest.strip_prefix('.').and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some(Version { major: major.parse().ok()?, minor })
}

#[cfg(test)]
mod tests {
    use super::{Version, parse};

    #[test]
    fn the_version_is_read_from_what_distributions_and_upstream_print() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(parse("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), version(15, 18));
        assert_eq!(parse("postgres (PostgreSQL) 18.6\n"), version(18, 6));
        assert_eq!(parse("postgres (PostgreSQL) 19beta2\n"), version(19, 0));
        assert_eq!(parse("postgres: could not start\n"), None);
        assert_eq!(parse(""), None);
    }
}
