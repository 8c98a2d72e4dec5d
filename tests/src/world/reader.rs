//! A reader outside who follows the lifecycle topics by the rule for `version` and `prev`.

use std::collections::{BTreeMap, BTreeSet};

use super::Message;

/// Of each (subject, lane): how far the reader is, and what came too early.
#[derive(Debug, Default)]
pub struct Reader {
    last: BTreeMap<(String, String), i64>,
    early: BTreeMap<(String, String), BTreeSet<(i64, i64)>>,
    /// Events that were taken, once each.
    pub taken: Vec<String>,
    /// Records that told nothing new.
    pub duplicates: usize,
}

impl Reader {
    /// Reads everything that is on the topics.
    pub fn of(messages: &[Message]) -> Self {
        let mut reader = Self::default();
        for message in messages {
            reader.take(message);
        }
        reader
    }

    /// A version that is not beyond the last is a duplicate; one whose predecessor is beyond it waits for that one.
    pub fn take(&mut self, message: &Message) {
        let event = &message.body;
        let word = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key} of {event:#}")).to_owned();
        let number = |key: &str| event[key].as_i64().unwrap_or_else(|| panic!("{key} of {event:#}"));
        let stream = (word("subject"), word("lane"));
        let (prev, version) = (number("prev"), number("version"));
        let last = self.last.entry(stream.clone()).or_default();
        let early = self.early.entry(stream).or_default();
        if version <= *last || !early.insert((prev, version)) {
            self.duplicates += 1;
            return;
        }
        self.taken.push(word("id"));
        while let Some(next) = early.first().copied().filter(|(prev, _)| *prev <= *last) {
            early.remove(&next);
            *last = (*last).max(next.1);
        }
    }

    /// Streams in which something is missing.
    pub fn holes(&self) -> Vec<&(String, String)> {
        self.early.iter().filter(|(_, early)| !early.is_empty()).map(|(stream, _)| stream).collect()
    }
}
