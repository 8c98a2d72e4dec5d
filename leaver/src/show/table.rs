//! Tables: capital heads, two spaces between columns, no borders; only the last column is ever cut.

use unicode_width::UnicodeWidthStr as _;

use crate::style::{Style, View};

use super::text::{paint, visible};

/// A column; numbers are aligned to the right.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    head: &'static str,
    number: bool,
}

pub const fn text(head: &'static str) -> Column {
    Column { head, number: false }
}

pub const fn number(head: &'static str) -> Column {
    Column { head, number: true }
}

/// What stands in one place of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Option<Style>,
    /// It gets pasted, so it is never cut.
    whole: bool,
}

impl Cell {
    pub fn styled(text: impl ToString, style: impl Into<Option<Style>>) -> Self {
        Self { text: visible(&text.to_string()), style: style.into(), whole: false }
    }

    /// A state in its colour, `backed_off` as `backed off`.
    pub fn state(word: &str) -> Self {
        Self::styled(word.replace('_', " "), super::text::of_state(word))
    }

    /// An id or a past instant.
    pub fn dim(text: impl ToString) -> Self {
        Self { whole: true, ..Self::styled(text, Style::Dim) }
    }

    pub fn absent() -> Self {
        Self::styled("-", None)
    }

    /// `-` where there is nothing.
    pub fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or_else(Self::absent, Self::from)
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, None)
    }
}

/// Rows below heads. Without rows it shows nothing: the caller has a sentence for that.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new(), indent: 0 }
    }

    /// Adds a row with a cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells.into());
    }

    pub fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// The table within the width of the view, with a line feed after each row.
    pub fn render(&self, view: View) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| self.rows.iter().map(|row| row[i].text.width()).fold(column.head.width(), usize::max))
            .collect();
        let heads = self.columns.iter().map(|column| Cell::styled(column.head, Style::Strong)).collect();
        std::iter::once(&heads).chain(&self.rows).map(|row| self.line(row, &widths, view)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], view: View) -> String {
        let mut out = " ".repeat(self.indent);
        let mut used = self.indent;
        for (i, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
            let last = i + 1 == row.len();
            let text = match view.width {
                Some(width) if last && !cell.whole => cut(&cell.text, width.saturating_sub(used), view),
                _ => cell.text.clone(),
            };
            let pad = " ".repeat(widths[i].saturating_sub(text.width()));
            let painted = cell.style.map_or_else(|| text.clone(), |style| paint(view, style, &text));
            match (column.number, last) {
                (true, _) => out += &format!("{pad}{painted}"),
                (false, true) => out += &painted,
                (false, false) => out += &format!("{painted}{pad}"),
            }
            if !last {
                out += "  ";
            }
            used += widths[i] + 2;
        }
        out.push('\n');
        out
    }
}

/// The text within `room` columns. Where not even one letter has room, it is left whole.
pub fn cut(text: &str, room: usize, view: View) -> String {
    let ellipsis = if view.unicode { "…" } else { "..." };
    if text.width() <= room || room <= ellipsis.width() {
        return text.to_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        shown.push(c);
        if shown.width() + ellipsis.width() > room {
            shown.pop();
            break;
        }
    }
    shown + ellipsis
}
