//! Blocks of rows, and how one is known again in the next file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::survey::Layout;

/// Rows that stand together in a file.
#[derive(Debug)]
pub(super) struct Block {
    /// In bytes.
    pub offset: u64,
    /// Rows before it, the header and blank ones included.
    pub number: u64,
    pub content: Arc<Content>,
    /// Which one it was of those that were [`Known`].
    pub known: Option<usize>,
}

/// The beginning of a SHA-256 of what a row says.
pub(super) type RowDigest = [u8; 16];

/// What a block says, wherever it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// In bytes.
    pub length: usize,
    /// Blank ones not counted.
    pub rows: u64,
    /// Blank ones before and between them included.
    pub numbers: u64,
    digest: [u8; 32],
    /// Of each row.
    pub row_digests: Vec<RowDigest>,
    /// Whom its rows are about, each name ended by a NUL, which no file contains.
    names: String,
}

impl Content {
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.length && Sha256::digest(bytes)[..] == self.digest
    }

    fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.names.split_terminator('\0')
    }

    pub fn last_name(&self) -> &str {
        self.names().next_back().unwrap_or_default()
    }
}

/// A block while its rows are read.
#[derive(Default)]
pub(super) struct Growing {
    length: usize,
    pub rows: u64,
    pub numbers: u64,
    hash: Sha256,
    row_digests: Vec<RowDigest>,
    names: String,
}

impl Growing {
    /// A row of these bytes, about `name`.
    pub fn push(&mut self, bytes: &[u8], name: &str) {
        self.hash.update(bytes);
        let mut digest = RowDigest::default();
        digest.copy_from_slice(&Sha256::digest(bytes)[..size_of::<RowDigest>()]);
        self.row_digests.push(digest);
        self.length += bytes.len();
        self.rows += 1;
        self.names.push_str(name);
        self.names.push('\0');
    }

    pub fn ended(self) -> Content {
        let Self { length, rows, numbers, hash, mut row_digests, mut names } = self;
        names.shrink_to_fit();
        row_digests.shrink_to_fit();
        Content { length, rows, numbers, digest: hash.finalize().into(), row_digests, names }
    }
}

/// A file that was read before, as far as it was understood.
pub(super) struct Known<'a> {
    layout: &'a Layout,
    understood: &'a [bool],
    /// Which block ends with whom.
    ends: HashMap<&'a str, usize>,
}

impl<'a> Known<'a> {
    /// `understood`: for each block whether all of it was.
    pub fn new(layout: &'a Layout, understood: &'a [bool]) -> Self {
        let ends = layout.blocks.iter().enumerate().map(|(at, block)| (block.content.last_name(), at)).collect();
        Self { layout, understood, ends }
    }

    pub fn len(&self) -> usize {
        self.layout.blocks.len()
    }

    pub fn has_header(&self, names: &[String]) -> bool {
        self.layout.header.names == names
    }

    /// What stands there, if it was understood.
    pub fn content(&self, at: usize) -> Option<&Arc<Content>> {
        self.layout.blocks.get(at).filter(|_| self.understood[at]).map(|block| &block.content)
    }

    /// The block that ends with this one.
    pub fn ending_with(&self, name: &str) -> Option<usize> {
        self.ends.get(name).copied()
    }

    /// Whether somebody is both in one of `blocks` that is new and in one that was known.
    pub fn is_in_twice(&self, blocks: &[Block]) -> bool {
        let mut new = fresh(blocks);
        // Nobody was in that file twice, so whoever was in what is gone from it is in nothing that is left.
        for name in self.left_out(blocks).flat_map(|(_, content)| content.names()) {
            new.remove(name);
        }
        let kept = blocks.iter().filter(|block| block.known.is_some());
        !new.is_empty() && kept.flat_map(|block| block.content.names()).any(|name| new.contains(name))
    }

    /// Who was in that file and is not in `blocks`.
    pub fn gone(&self, blocks: &[Block]) -> Vec<String> {
        let new = fresh(blocks);
        let before = self.left_out(blocks).flat_map(|(_, content)| content.names());
        before.filter(|name| !new.contains(name)).map(str::to_owned).collect()
    }

    /// What was said and understood in a block that is not in `layout`. Where it is said again under the same header it is nothing new.
    pub fn said(&self, layout: &Layout) -> HashSet<RowDigest> {
        if !self.has_header(&layout.header.names) {
            return HashSet::new();
        }
        let understood = self.left_out(&layout.blocks).filter(|(at, _)| self.understood[*at]);
        understood.flat_map(|(_, content)| content.row_digests.iter().copied()).collect()
    }

    /// The blocks that are not among `blocks`.
    fn left_out(&self, blocks: &[Block]) -> impl Iterator<Item = (usize, &'a Content)> {
        let kept: HashSet<usize> = blocks.iter().filter_map(|block| block.known).collect();
        let old = self.layout.blocks.iter().enumerate().filter(move |(at, _)| !kept.contains(at));
        old.map(|(at, block)| (at, &*block.content))
    }
}

/// Everybody in blocks that were not known.
fn fresh(blocks: &[Block]) -> HashSet<&str> {
    blocks.iter().filter(|block| block.known.is_none()).flat_map(|block| block.content.names()).collect()
}
