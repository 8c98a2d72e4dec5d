//! Where the nodes of an expression are written; the parser notes a single token of each, and not always the one that is meant.

use std::ops::Range;

use cel::common::ast::{SelectExpr, SourceInfo};

pub(crate) struct Tokens<'t> {
    text: Vec<char>,
    info: &'t SourceInfo,
}

impl<'t> Tokens<'t> {
    pub fn new(text: &str, info: &'t SourceInfo) -> Self {
        Self { text: text.chars().collect(), info }
    }

    /// The token that the parser noted for a node, in characters: for a call its bracket, for a field its dot.
    pub fn of(&self, id: u64) -> Range<usize> {
        let (start, last) = self.info.offset_for(id).unwrap_or_default();
        start as usize..last as usize + 1
    }

    /// The word that stands right before a call's bracket.
    pub fn before(&self, bracket: usize, name: &str) -> Range<usize> {
        let head = &self.text[..bracket.min(self.text.len())];
        let end = head.iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1);
        end.saturating_sub(name.chars().count())..end
    }

    /// The name of a selected field: the first one after the operand that follows a dot. `has` notes its bracket instead of the
    /// dot, hence the search.
    pub fn field(&self, id: u64, select: &SelectExpr) -> Range<usize> {
        let name: Vec<char> = select.field.chars().collect();
        let from = self.of(id).start.max(self.of(select.operand.id).end.saturating_sub(1));
        let follows_a_dot = |at: usize| self.text[..at].iter().rev().find(|c| !c.is_whitespace()) == Some(&'.');
        let found = (from..self.text.len()).find(|at| self.text[*at..].starts_with(&name) && follows_a_dot(*at));
        found.map_or_else(|| self.of(id), |at| at..at + name.len())
    }
}
