//! The first look at a file, which finds that it is whole and nobody is in it twice; the second, page by page, which reads
//! what it says.
//!
//! Of the first only what the second needs stays in memory: where each page begins, and a digest to know its bytes by.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::config::Config;
use super::fault::{Fault, Flaw};
use super::header::Header;
use super::mapping::{self, People};
use super::rows::Row;
use super::stream::Stream;
use crate::Error;

const EMPTY: Flaw = Flaw { row: 1, column: None, fault: Fault::Empty };

/// Rows of a page.
pub(super) const PAGE: usize = 2_000;

/// What a whole file is.
#[derive(Debug)]
pub(super) struct Survey {
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Rows after the header, as far as they can be read at all.
    pub rows: u64,
    /// In bytes.
    pub size: u64,
    /// An error means that somebody may be in the file whom we cannot name: nothing of it may count.
    pub layout: Result<Layout, Misread>,
}

/// How to read a file that is in order.
#[derive(Debug)]
pub(super) struct Layout {
    pub header: Header,
    /// At least one.
    pub pages: Vec<Page>,
}

/// Some rows of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// In bytes.
    pub offset: u64,
    pub length: u64,
    /// Rows before it, the header and blank ones included.
    number: u64,
    /// Of its bytes, to know them by within this process.
    digest: u64,
}

/// A flaw, and the names of the columns as far as they are known.
#[derive(Debug)]
pub(super) struct Misread {
    flaw: Flaw,
    names: Vec<String>,
}

impl From<Misread> for Error {
    fn from(misread: Misread) -> Self {
        misread.flaw.into_error(&misread.names)
    }
}

/// Reads all of a file once, also what follows a flaw, for its digest tells whether it is the file that was meant.
pub(super) fn survey(file: impl Read, config: &Config, page: usize) -> io::Result<Survey> {
    let mut hashed = Hashed { file, hash: Sha256::new(), size: 0 };
    let mut rows = 0;
    let mut stream = Stream::new(&mut hashed, config.delimiter, 0);
    let layout = layout(&mut stream, config, page, &mut rows)?;
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(Survey { sha256: hex::encode(hashed.hash.finalize()), rows, size: hashed.size, layout })
}

/// SHA-256 of a file, hex.
pub(super) fn digest(file: impl Read) -> io::Result<String> {
    let mut hashed = Hashed { file, hash: Sha256::new(), size: 0 };
    let mut block = vec![0; 256 * 1024];
    while hashed.read(&mut block)? > 0 {}
    Ok(hex::encode(hashed.hash.finalize()))
}

fn layout<R: Read>(
    stream: &mut Stream<R>,
    config: &Config,
    page: usize,
    rows: &mut u64,
) -> io::Result<Result<Layout, Misread>> {
    let first = stream.next(|row, _| match &row.cells[..] {
        [cell] if cell.trim().is_empty() => Err(EMPTY),
        _ => Header::read(row, config),
    })?;
    let header = match first.unwrap_or(Err(EMPTY)).and_then(|read| read) {
        Ok(header) => header,
        Err(flaw) => return Ok(Err(Misread { flaw, names: Vec::new() })),
    };
    let mut seen: HashMap<[u8; 16], u64> = HashMap::new();
    let mut pages = Vec::new();
    loop {
        let (offset, number, mut bytes) = (stream.position(), stream.number(), DefaultHasher::new());
        let mut ended = false;
        for _ in 0..page.max(1) {
            let Some(row) = stream.next(|row, text| {
                bytes.write(text);
                once(row, &header, &mut seen)
            })?
            else {
                ended = true;
                break;
            };
            if row.is_ok() {
                *rows += 1;
            }
            if let Err(flaw) = row.and_then(|read| read) {
                return Ok(Err(Misread { flaw, names: header.names }));
            }
        }
        let length = stream.position() - offset;
        if length > 0 || pages.is_empty() {
            pages.push(Page { offset, length, number, digest: bytes.finish() });
        }
        if ended {
            return Ok(Ok(Layout { header, pages }));
        }
    }
}

/// A row that says who it is about and is the only one to say so. Names are kept as the beginnings of their digests.
fn once(row: &Row<'_>, header: &Header, seen: &mut HashMap<[u8; 16], u64>) -> Result<(), Flaw> {
    let key = mapping::key(row, header)?;
    let mut name = [0; 16];
    name.copy_from_slice(&Sha256::digest(key)[..16]);
    match seen.insert(name, row.number) {
        Some(first) => {
            let fault = Fault::DuplicateKey { first, second: row.number };
            Err(Flaw { row: row.number, column: Some(header.key + 1), fault })
        }
        None => Ok(()),
    }
}

/// Reads one page out of its bytes; `None`: they are not those of the survey.
pub(super) fn read(
    bytes: impl Read,
    page: &Page,
    header: &Header,
    config: &Config,
    zone: Tz,
) -> io::Result<Option<People>> {
    let mut stream = Stream::new(bytes, config.delimiter, page.number);
    let (mut people, mut digest) = (People::default(), DefaultHasher::new());
    while let Some(row) = stream.next(|row, text| {
        digest.write(text);
        mapping::read(row, header, config, zone, &mut people)
    })? {
        // The survey found no flaw, so it saw another file.
        if row.and_then(|read| read).is_err() {
            return Ok(None);
        }
    }
    Ok((digest.finish() == page.digest && stream.position() == page.length).then_some(people))
}

/// Passes on what it reads and keeps its digest.
struct Hashed<R> {
    file: R,
    hash: Sha256,
    size: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.hash.update(&into[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
