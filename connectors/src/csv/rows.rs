//! A strict reader of RFC 4180, so that a damaged file is refused rather than read as fewer people.
//!
//! The usual readers are lenient where it matters here: they take an unclosed quote as closed by the end of the file,
//! and text after a closing quote as part of the cell, and either can swallow whole rows without a trace. Unlike the
//! RFC, a quote inside of an unquoted cell is an ordinary character (it cannot hide a row), and blank lines are
//! skipped.

use std::borrow::Cow;

use super::fault::{Fault, Flaw};

/// One row; `number` counts from 1, blank lines included, as a spreadsheet does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub number: u64,
    pub cells: Vec<Cow<'a, str>>,
}

/// The rows of a text, the header being the first; ends after the first flaw.
pub(super) struct Rows<'a> {
    rest: &'a str,
    delimiter: char,
    number: u64,
}

impl<'a> Rows<'a> {
    #[cfg(test)]
    pub fn new(text: &'a str, delimiter: char) -> Self {
        Self::going_on(text.strip_prefix('\u{feff}').unwrap_or(text), delimiter, 0)
    }

    /// Begins behind row `number`.
    pub fn going_on(text: &'a str, delimiter: char, number: u64) -> Self {
        Self { rest: text, delimiter, number }
    }

    /// Of the last row, or of the blank one behind it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    fn row(&mut self) -> Result<Row<'a>, Flaw> {
        let mut cells = Vec::new();
        loop {
            let (cell, length) = self.cell().map_err(|fault| self.flaw(cells.len() + 1, fault))?;
            cells.push(cell);
            self.rest = &self.rest[length..];
            if let Some(rest) = self.rest.strip_prefix(self.delimiter) {
                self.rest = rest;
            } else if let Some(rest) = after_line_end(self.rest) {
                self.rest = rest;
                return Ok(Row { number: self.number, cells });
            } else if self.rest.is_empty() {
                return Ok(Row { number: self.number, cells });
            } else if self.rest.starts_with('\r') {
                return Err(self.flaw(cells.len(), Fault::LoneCarriageReturn));
            } else {
                return Err(self.flaw(cells.len(), Fault::TextAfterQuote));
            }
        }
    }

    /// The next cell, and how many bytes of the text it takes.
    fn cell(&self) -> Result<(Cow<'a, str>, usize), Fault> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let ends = |c: char| c == self.delimiter || c == '\n' || c == '\r';
            let length = self.rest.find(ends).unwrap_or(self.rest.len());
            return Ok((Cow::Borrowed(&self.rest[..length]), length));
        };
        let (mut end, mut doubled) = (0, false);
        loop {
            end += quoted[end..].find('"').ok_or(Fault::UnclosedQuote)?;
            if !quoted[end + 1..].starts_with('"') {
                break;
            }
            doubled = true;
            end += 2;
        }
        let cell = &quoted[..end];
        Ok((if doubled { cell.replace("\"\"", "\"").into() } else { cell.into() }, end + 2))
    }

    fn flaw(&self, column: usize, fault: Fault) -> Flaw {
        Flaw { row: self.number, column: Some(column), fault }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = after_line_end(self.rest) {
            self.number += 1;
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let row = self.row();
        if row.is_err() {
            self.rest = "";
        }
        Some(row)
    }
}

fn after_line_end(text: &str) -> Option<&str> {
    text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(text: &str) -> Result<Vec<Vec<String>>, Flaw> {
        let owned = |row: Row<'_>| row.cells.into_iter().map(Cow::into_owned).collect();
        Rows::new(text, ',').map(|row| row.map(owned)).collect()
    }

    fn flaw(row: u64, column: usize, fault: Fault) -> Flaw {
        Flaw { row, column: Some(column), fault }
    }

    #[test]
    fn an_unclosed_quote_does_not_swallow_the_rows_after_it() {
        // A lenient reader sees two rows of three cells here, and nobody called bob.
        let damaged = "id,name,team\n1,\"ana,x\n2,\"bob\",y\n";
        assert_eq!(cells(damaged), Err(flaw(2, 2, Fault::TextAfterQuote)));
        assert_eq!(cells("id,name\n1,\"ana\n2,bob\n"), Err(flaw(2, 2, Fault::UnclosedQuote)));
    }

    #[test]
    fn a_lone_carriage_return_is_refused_outside_of_quotes_only() {
        assert_eq!(cells("id,name\n1,a\rb\n"), Err(flaw(2, 2, Fault::LoneCarriageReturn)));
        assert_eq!(cells("1,\"a\rb\"\r\n"), Ok(vec![vec!["1".to_owned(), "a\rb".to_owned()]]));
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_shows_them() {
        let rows: Vec<_> = Rows::new("id\n\n\"one\ncell\"\r\n\r\nlast\n", ',').map(|row| row.unwrap().number).collect();
        assert_eq!(rows, [1, 3, 5]);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            table in (1..5_usize).prop_flat_map(|columns| {
                let cell = "\\PC{0,3}|[a\",;\r\n ]{0,4}";
                prop::collection::vec(prop::collection::vec(cell, columns), 1..6)
            })
        ) {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            // A leading BOM is not text, so a table that begins with one is read without it.
            let text = format!("\u{feff}{}", String::from_utf8(writer.into_inner().unwrap()).unwrap());
            prop_assert_eq!(cells(&text).unwrap(), table);
        }

        #[test]
        fn what_is_accepted_is_what_a_lenient_reader_sees(text in "[a\",\n ]{0,24}|([a\",]{0,4}\r?\n){0,6}") {
            if let Ok(rows) = cells(&text) {
                let mut lenient = ::csv::ReaderBuilder::new();
                lenient.has_headers(false).flexible(true);
                let mut reader = lenient.from_reader(text.as_bytes());
                let lenient: Vec<Vec<String>> = reader.deserialize().map(Result::unwrap).collect();
                prop_assert_eq!(rows, lenient);
            }
        }
    }
}
