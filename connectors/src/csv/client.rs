//! Reads the file when, and only when, nobody is writing it.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono_tz::Tz;
use serde::Deserialize;

use super::{
    blocks::{Known, RowDigest},
    config::Config,
    fault::Unready,
    mapping::People,
    survey::{self, Layout, Survey},
};
use crate::Error;

/// Rows of a block on average: as many are read again where one has changed, and for each block some bytes are remembered.
const BLOCK: u16 = 64;

/// A file that was found whole, and is recognized when it is read.
#[derive(Debug)]
pub(super) struct Verified {
    /// SHA-256, hex.
    pub sha256: String,
    pub rows: u64,
    pub modified: SystemTime,
    pub layout: Layout,
    stamp: Stamp,
}

/// A file that was given, and for each of its blocks whether all of it was understood.
pub(super) type Understood = (Arc<Verified>, Arc<[bool]>);

/// Looks at all of the file, which did not change meanwhile, nor for the time before that which the operator asks for.
pub(super) async fn verify(config: &Config, before: Option<Understood>) -> Result<Verified, Error> {
    let path = &config.path;
    let stamp = settled(path, config.settle).await?;
    let wanted = config.clone();
    let survey = aside(move || surveyed(&wanted, before)).await?.map_err(unreadable(path))?;
    if Stamp::of(path).await? != stamp || survey.size != stamp.size {
        return Err(Unready::StillBeingWritten { path: path.clone() }.into());
    }
    let Survey { sha256, rows, layout, .. } = survey;
    agree(&sha256, layout.is_ok().then_some(rows), config).await?;
    Ok(Verified { sha256, rows, modified: stamp.modified, layout: layout?, stamp })
}

fn surveyed(config: &Config, before: Option<Understood>) -> io::Result<Survey> {
    let survey = |known: Option<&Known<'_>>| survey::survey(File::open(&config.path)?, config, BLOCK, known);
    if let Some((file, understood)) = before
        && let Some(found) = survey(Some(&Known::new(&file.layout, &understood)))?
    {
        return Ok(found);
    }
    Ok(survey(None)?.expect("where nothing is known the place of a flaw is"))
}

/// When the file was written that is there now, if it holds what `known` held, to the byte.
pub(super) async fn again(config: &Config, known: &Verified) -> Result<Option<SystemTime>, Error> {
    let path = &config.path;
    let stamp = settled(path, config.settle).await?;
    if stamp.size != known.stamp.size {
        return Ok(None);
    }
    let wanted = path.clone();
    let sha256 = aside(move || survey::digest(File::open(wanted)?)).await?.map_err(unreadable(path))?;
    if Stamp::of(path).await? != stamp {
        return Err(Unready::StillBeingWritten { path: path.clone() }.into());
    }
    if sha256 != known.sha256 {
        return Ok(None);
    }
    agree(&sha256, Some(known.rows), config).await?;
    Ok(Some(stamp.modified))
}

/// Reads some blocks of a file that was verified, but for rows that were `said` before, and tells of each whether all of it was
/// understood. It must still be the same file, also afterwards.
pub(super) async fn page(
    config: &Config,
    zone: Tz,
    verified: &Arc<Verified>,
    said: &Arc<HashSet<RowDigest>>,
    blocks: &[usize],
) -> Result<(People, Vec<bool>), Error> {
    let path = &config.path;
    let (wanted, whole, said, blocks) = (config.clone(), Arc::clone(verified), Arc::clone(said), blocks.to_vec());
    let people = aside(move || some(&wanted, zone, &whole.layout, &said, &blocks)).await?.map_err(unreadable(path))?;
    match people {
        Some(read) if Stamp::of(path).await? == verified.stamp => Ok(read),
        _ => Err(Unready::StillBeingWritten { path: path.clone() }.into()),
    }
}

/// `None`: they are not what was verified.
fn some(
    config: &Config,
    zone: Tz,
    layout: &Layout,
    said: &HashSet<RowDigest>,
    blocks: &[usize],
) -> io::Result<Option<(People, Vec<bool>)>> {
    let file = File::open(&config.path)?;
    let (mut people, mut understood, mut bytes) = (People::default(), Vec::with_capacity(blocks.len()), Vec::new());
    for block in blocks.iter().map(|at| &layout.blocks[*at]) {
        let parked = people.parked.len();
        bytes.resize(block.content.length, 0);
        match file.read_exact_at(&mut bytes, block.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if !survey::read(&bytes, block, said, &layout.header, config, zone, &mut people)? {
            return Ok(None);
        }
        understood.push(people.parked.len() == parked);
    }
    Ok(Some((people, understood)))
}

/// A large file takes longer than other tasks of this thread should wait.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Unready> {
    tokio::task::spawn_blocking(work).await.map_err(Unready::Interrupted)
}

/// Compares with the manifest, where there is one. Not agreeing is no flaw of the file: the other of the two may be on
/// its way. A file of which the manifest states the digest is the one that was meant, flaws and all; it has no `rows` then.
async fn agree(sha256: &str, rows: Option<u64>, config: &Config) -> Result<(), Unready> {
    let Some(path) = &config.manifest else { return Ok(()) };
    let text = tokio::fs::read(path).await.map_err(unreadable(path))?;
    let stated: Manifest =
        serde_json::from_slice(&text).map_err(|source| Unready::Manifest { path: path.clone(), source })?;
    let same = stated.sha256.eq_ignore_ascii_case(sha256);
    if let Some(found) = rows.filter(|found| stated.rows != *found) {
        return Err(Unready::Rows { stated: stated.rows, found });
    }
    if !same {
        return Err(Unready::Digest { stated: stated.sha256, found: sha256.to_owned() });
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
