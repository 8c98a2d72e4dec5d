//! Reads the file when, and only when, nobody is writing it.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{config::Config, fault::Unready, rows};

/// A file that did not change while it was read, nor for the time before that which the operator asks for.
#[derive(Debug)]
pub(super) struct Contents {
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`, hex.
    pub sha256: String,
    pub modified: SystemTime,
}

pub(super) async fn read(config: &Config) -> Result<Contents, Unready> {
    let path = &config.path;
    let stamp = settled(path, config.settle).await?;
    let bytes = tokio::fs::read(path).await.map_err(unreadable(path))?;
    if Stamp::of(path).await? != stamp || bytes.len() as u64 != stamp.size {
        return Err(Unready::StillBeingWritten { path: path.clone() });
    }
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Ok(Contents { bytes, sha256, modified: stamp.modified })
}

/// Compares with the manifest, where there is one. Not agreeing is no flaw of the file: the other of the two may be on
/// its way.
pub(super) async fn verify(contents: &Contents, config: &Config) -> Result<(), Unready> {
    let Some(path) = &config.manifest else { return Ok(()) };
    let text = tokio::fs::read(path).await.map_err(unreadable(path))?;
    let stated: Manifest =
        serde_json::from_slice(&text).map_err(|source| Unready::Manifest { path: path.clone(), source })?;
    let found = rows::count(&contents.bytes, config.delimiter);
    if stated.rows != found {
        return Err(Unready::Rows { stated: stated.rows, found });
    }
    if !stated.sha256.eq_ignore_ascii_case(&contents.sha256) {
        return Err(Unready::Digest { stated: stated.sha256, found: contents.sha256.clone() });
    }
    Ok(())
}

/// Other fields are the exporter's own business.
#[derive(Debug, Deserialize)]
struct Manifest {
    /// Without the header.
    rows: u64,
    /// Hex, of the file's bytes.
    sha256: String,
}

/// What differs once somebody has written to the file or put another in its place.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    size: u64,
    device: u64,
    inode: u64,
}

impl Stamp {
    async fn of(path: &Path) -> Result<Self, Unready> {
        let metadata = tokio::fs::metadata(path).await.map_err(unreadable(path))?;
        if !metadata.is_file() {
            return Err(Unready::NotAFile { path: path.to_owned() });
        }
        let modified = metadata.modified().map_err(unreadable(path))?;
        Ok(Self { modified, size: metadata.len(), device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Waits, once and for no longer than `settle`, until the file has not changed for that time.
async fn settled(path: &Path, settle: Duration) -> Result<Stamp, Unready> {
    let stamp = Stamp::of(path).await?;
    // A time in the future says nothing (the file server's clock is ahead), so such a file is watched for all of
    // `settle`.
    let age = stamp.modified.elapsed().unwrap_or_default();
    if let Some(wait) = settle.checked_sub(age).filter(|wait| !wait.is_zero()) {
        tokio::time::sleep(wait).await;
        if Stamp::of(path).await? != stamp {
            return Err(Unready::StillBeingWritten { path: path.to_owned() });
        }
    }
    Ok(stamp)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Unready {
    let path = path.to_owned();
    |source| Unready::Unreadable { path, source }
}
