//! The first look at a file, which finds that it is whole and nobody is in it twice; the second, block by block, which reads
//! what it says.
//!
//! A block ends with a person whose name says so. So whatever is written before or behind it, it is the same block in the next
//! file, where its digest is enough to know it by: what was understood of it is not read again.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::blocks::{Block, Growing, Known, RowDigest};
use super::config::Config;
use super::fault::{Fault, Flaw};
use super::header::Header;
use super::mapping::{self, People};
use super::rows::Row;
use super::stream::Stream;
use crate::Error;

const EMPTY: Flaw = Flaw { row: 1, column: None, fault: Fault::Empty };

/// How many times the average a block has rows at most.
const LONGEST: u64 = 16;

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
    pub blocks: Vec<Block>,
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

/// Reads all of a file once, also what follows a flaw, for its digest tells whether it is the file that was meant. `rows`: of a
/// block, on average. What is `known` is only gone over. `None`: the file is not in order, and only a survey to which nothing is known
/// says where that shows first.
pub(super) fn survey(
    file: impl Read,
    config: &Config,
    rows: u16,
    known: Option<&Known<'_>>,
) -> io::Result<Option<Survey>> {
    let mut hashed = Hashed { file, hash: Sha256::new(), size: 0 };
    let mut stream = Stream::new(&mut hashed, config.delimiter, 0);
    let mut rows = Surveyed { average: rows.into(), rows: 0, seen: HashMap::new(), blocks: Vec::new() };
    let layout = match header(&mut stream, config)? {
        Err(flaw) => Err(Misread { flaw, names: Vec::new() }),
        Ok(header) => {
            let known = known.filter(|known| known.has_header(&header.names));
            match (rows.all(&mut stream, &header, known)?, known) {
                (Err(_), Some(_)) => return Ok(None),
                (Ok(()), Some(known)) if known.is_in_twice(&rows.blocks) => return Ok(None),
                (Err(flaw), None) => Err(Misread { flaw, names: header.names }),
                (Ok(()), _) => Ok(Layout { header, blocks: rows.blocks }),
            }
        }
    };
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(Some(Survey { sha256: hex::encode(hashed.hash.finalize()), rows: rows.rows, size: hashed.size, layout }))
}

/// SHA-256 of a file, hex.
pub(super) fn digest(file: impl Read) -> io::Result<String> {
    let mut hashed = Hashed { file, hash: Sha256::new(), size: 0 };
    let mut part = vec![0; 256 * 1024];
    while hashed.read(&mut part)? > 0 {}
    Ok(hex::encode(hashed.hash.finalize()))
}

fn header<R: Read>(stream: &mut Stream<R>, config: &Config) -> io::Result<Result<Header, Flaw>> {
    let first = stream.next(|row, _| match &row.cells[..] {
        [cell] if cell.trim().is_empty() => Err(EMPTY),
        _ => Header::read(row, config),
    })?;
    Ok(first.unwrap_or(Err(EMPTY)).and_then(|read| read))
}

/// What was found behind the header.
struct Surveyed {
    /// Rows of a block.
    average: u64,
    rows: u64,
    /// The row of each name that was read, which is kept as the beginning of its digest.
    seen: HashMap<[u8; 16], u64>,
    blocks: Vec<Block>,
}

impl Surveyed {
    fn all<R: Read>(
        &mut self,
        stream: &mut Stream<R>,
        header: &Header,
        known: Option<&Known<'_>>,
    ) -> io::Result<Result<(), Flaw>> {
        // What was known stands in the same order for the most part.
        let (mut next, mut taken) = (0, vec![false; known.map_or(0, Known::len)]);
        loop {
            let (offset, number) = (stream.position(), stream.number());
            if let Some(content) = known.and_then(|known| known.content(next)).filter(|_| !taken[next])
                && stream.pass(content.length, content.numbers, |bytes| content.is(bytes))?
            {
                self.rows += content.rows;
                self.blocks.push(Block { offset, number, content: Arc::clone(content), known: Some(next) });
                taken[next] = true;
                next += 1;
                continue;
            }
            let content = match self.block(stream, header)? {
                Err(flaw) => return Ok(Err(flaw)),
                Ok(None) => return Ok(Ok(())),
                Ok(Some(growing)) => growing.ended(),
            };
            let alike = known.and_then(|known| known.ending_with(content.last_name()));
            let same = known.zip(alike).and_then(|(known, at)| known.content(at).filter(|known| ***known == content));
            let block = match (same, alike) {
                (Some(same), Some(at)) if !taken[at] => {
                    taken[at] = true;
                    Block { offset, number, content: Arc::clone(same), known: Some(at) }
                }
                _ => Block { offset, number, content: Arc::new(content), known: None },
            };
            self.blocks.push(block);
            next = alike.map_or(next, |at| at + 1);
        }
    }

    /// The next rows, up to one that ends a block; `None`: there are none left.
    fn block<R: Read>(&mut self, stream: &mut Stream<R>, header: &Header) -> io::Result<Result<Option<Growing>, Flaw>> {
        let (before, mut block) = (stream.number(), Growing::default());
        loop {
            let read = stream.next(|row, text| {
                let key = mapping::key(row, header)?;
                block.push(text, key);
                self.once(row, header, key)
            })?;
            let Some(row) = read else { break };
            self.rows += u64::from(row.is_ok());
            match row.and_then(|read| read) {
                Err(flaw) => return Ok(Err(flaw)),
                Ok(ends) => {
                    block.numbers = stream.number() - before;
                    if ends || block.rows >= LONGEST * self.average {
                        break;
                    }
                }
            }
        }
        Ok(Ok((block.rows > 0).then_some(block)))
    }

    /// Nobody else has this name. Says whether a block ends with it.
    fn once(&mut self, row: &Row<'_>, header: &Header, key: &str) -> Result<bool, Flaw> {
        let digest = Sha256::digest(key);
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        match self.seen.insert(name, row.number) {
            Some(first) => {
                let fault = Fault::DuplicateKey { first, second: row.number };
                Err(Flaw { row: row.number, column: Some(header.key + 1), fault })
            }
            None => Ok(u64::from(u16::from_be_bytes([digest[30], digest[31]])) % self.average == 0),
        }
    }
}

/// Reads one block out of its bytes, but for rows that were `said` before; `false`: they are not those of the survey.
pub(super) fn read(
    bytes: &[u8],
    block: &Block,
    said: &HashSet<RowDigest>,
    header: &Header,
    config: &Config,
    zone: Tz,
    people: &mut People,
) -> io::Result<bool> {
    if !block.content.is(bytes) {
        return Ok(false);
    }
    let mut stream = Stream::new(bytes, config.delimiter, block.number);
    let mut digests = block.content.row_digests.iter();
    while let Some(row) = stream.next(|row, _| match digests.next() {
        Some(digest) if said.contains(digest) => Ok(()),
        _ => mapping::read(row, header, config, zone, people),
    })? {
        // The survey found no flaw, so it saw another file.
        if row.and_then(|read| read).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
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
