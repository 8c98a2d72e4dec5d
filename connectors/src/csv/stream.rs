//! Rows out of a file that is larger than memory: a window is moved over the text, and each row is read within it.
//!
//! What [`Rows`] makes of a text does not depend on where the blocks end that the text came in.

use std::io::{self, Read};

use super::fault::{Fault, Flaw};
use super::rows::{Row, Rows};

/// Bytes that are asked for at once.
const BLOCK: usize = 256 * 1024;

/// The longest row, in bytes, line feeds within quotes included. Far beyond any person; without it, a quote that is never
/// closed would take the rest of the file into memory.
const LONGEST: usize = 16 * 1024 * 1024;

/// The rows of a file, the header being the first; ends after the first flaw.
pub(super) struct Stream<R> {
    source: R,
    delimiter: char,
    window: String,
    /// How much of the window has been read as rows.
    consumed: usize,
    /// Bytes of a character whose other bytes have not come yet.
    torn: Vec<u8>,
    /// How many bytes of the source have become text.
    decoded: u64,
    /// What ends the text before its end.
    broken: Option<Fault>,
    at_end: bool,
    block: usize,
    number: u64,
}

impl<R: Read> Stream<R> {
    /// `number`: how many rows come before, blank ones included.
    pub fn new(source: R, delimiter: char, number: u64) -> Self {
        Self {
            source,
            delimiter,
            window: String::new(),
            consumed: 0,
            torn: Vec::new(),
            decoded: 0,
            broken: None,
            at_end: false,
            block: BLOCK,
            number,
        }
    }

    #[cfg(test)]
    pub fn in_blocks(self, block: usize) -> Self {
        Self { block, ..self }
    }

    /// How many bytes of the source have been read as rows.
    pub fn position(&self) -> u64 {
        self.decoded - (self.window.len() - self.consumed) as u64
    }

    /// The number of the last row.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Shows the next row, and the bytes that it took, to `see`; `None`: there is none left.
    pub fn next<T>(&mut self, mut see: impl FnMut(&Row<'_>, &[u8]) -> T) -> io::Result<Option<Result<T, Flaw>>> {
        loop {
            match self.try_next(&mut see) {
                Some(shown) => return Ok(shown),
                None => self.fill()?,
            }
        }
    }

    /// Goes over the next `length` bytes, which are so many `rows` (blank ones included), if there are as many and `are` says so.
    pub fn pass(&mut self, length: usize, rows: u64, are: impl FnOnce(&[u8]) -> bool) -> io::Result<bool> {
        while self.window.len() - self.consumed < length {
            if self.at_end || self.broken.is_some() {
                return Ok(false);
            }
            self.fill()?;
        }
        let passed = are(&self.window.as_bytes()[self.consumed..self.consumed + length]);
        if passed {
            (self.consumed, self.number) = (self.consumed + length, self.number + rows);
        }
        Ok(passed)
    }

    /// The next row as [`Stream::next`] shows it; `None`: more text could change something about it.
    fn try_next<T>(&mut self, see: &mut impl FnMut(&Row<'_>, &[u8]) -> T) -> Option<Option<Result<T, Flaw>>> {
        let text = &self.window[self.consumed..];
        let mut rows = Rows::going_on(text, self.delimiter, self.number);
        let found = rows.next();
        let (number, took) = (rows.number(), text.len() - rows.rest().len());
        let last = self.at_end || self.broken.is_some();
        let place = |row, fault| Flaw { row, column: None, fault };
        let shown = match found {
            // Only a line feed says that a row is over: what ends with the window may go on behind it.
            Some(Ok(row)) if text[..took].ends_with('\n') => Some(Ok(see(&row, &text.as_bytes()[..took]))),
            Some(Err(flaw)) if !waits(&flaw.fault, text) => Some(Err(flaw)),
            Some(_) if text.len() > LONGEST => Some(Err(place(number, Fault::LongRow))),
            _ if !last => return None,
            found => match (self.broken.take(), found) {
                (Some(fault), found) => Some(Err(place(number + u64::from(found.is_none()), fault))),
                (None, None) => None,
                (None, Some(Err(flaw))) if text.ends_with('\n') => Some(Err(flaw)),
                (None, Some(_)) => Some(Err(place(number, Fault::NoFinalNewline))),
            },
        };
        (self.consumed, self.number) = (self.consumed + took, number);
        Some(shown)
    }

    /// Reads on, at least as much as is waiting already, so that a long row is not tried again for every block of it.
    fn fill(&mut self) -> io::Result<()> {
        self.window.drain(..self.consumed);
        self.consumed = 0;
        let wanted = self.block.max(self.window.len());
        let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.torn)?;
        self.at_end = read == 0;
        let valid = match std::str::from_utf8(&self.torn) {
            Ok(text) => text.len(),
            Err(error) => {
                if error.error_len().is_some() || self.at_end {
                    let offset = usize::try_from(self.decoded).unwrap_or(usize::MAX) + error.valid_up_to();
                    self.broken = Some(Fault::NotUtf8 { offset });
                }
                error.valid_up_to()
            }
        };
        let nul = self.torn[..valid].iter().position(|byte| *byte == 0);
        if let Some(nul) = nul {
            self.broken = Some(Fault::Nul { offset: usize::try_from(self.decoded).unwrap_or(usize::MAX) + nul });
        }
        let text = nul.unwrap_or(valid);
        self.window.push_str(std::str::from_utf8(&self.torn[..text]).unwrap_or_default());
        self.torn.drain(..text);
        // A byte order mark is no text.
        if self.decoded == 0 && self.number == 0 && self.window.starts_with('\u{feff}') {
            self.consumed = '\u{feff}'.len_utf8();
        }
        self.decoded += text as u64;
        Ok(())
    }
}

/// Whether more text could mend it.
fn waits(fault: &Fault, text: &str) -> bool {
    match fault {
        Fault::UnclosedQuote => true,
        Fault::LoneCarriageReturn => text.ends_with('\r'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Cells = Vec<Vec<String>>;

    fn stream(bytes: &[u8], block: usize) -> Result<Cells, Flaw> {
        let mut stream = Stream::new(bytes, ',', 0).in_blocks(block);
        let mut all = Vec::new();
        let owned = |row: &Row<'_>, _: &[u8]| row.cells.iter().map(|cell| cell.clone().into_owned()).collect();
        while let Some(row) = stream.next(owned).unwrap() {
            all.push(row?);
        }
        assert_eq!(stream.position(), bytes.len() as u64, "all of it is read");
        Ok(all)
    }

    #[test]
    fn a_text_that_cannot_be_a_whole_file_is_refused_with_its_place() {
        for (bytes, row, fault) in [
            (&b"id\n1\n2"[..], 3, Fault::NoFinalNewline),
            (b"id\r\n1\r", 2, Fault::NoFinalNewline),
            (b"id\n1,\"a", 2, Fault::NoFinalNewline),
            (b"id\n1\nM\xfcller\n", 3, Fault::NotUtf8 { offset: 6 }),
            (b"id\n\"a\n\xfc\"\n", 2, Fault::NotUtf8 { offset: 6 }),
            (b"id\n1\n\xfc\n", 3, Fault::NotUtf8 { offset: 5 }),
            (b"id\n1\n\xc3", 3, Fault::NotUtf8 { offset: 5 }),
            (b"i\0d\0\n\0", 1, Fault::Nul { offset: 1 }),
        ] {
            for block in [1, 2, 3, 64] {
                let found = stream(bytes, block);
                assert_eq!(found, Err(Flaw { row, column: None, fault: fault.clone() }), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_take_the_file_into_memory() {
        let endless = b"id\n\"".iter().copied().chain(std::iter::repeat_n(b'a', 3 * LONGEST)).collect::<Vec<u8>>();
        let mut stream = Stream::new(&endless[..], ',', 0);
        assert!(stream.next(|_, _| ()).unwrap().unwrap().is_ok());
        assert_eq!(stream.next(|_, _| ()).unwrap(), Some(Err(Flaw { row: 2, column: None, fault: Fault::LongRow })));
        assert!(stream.window.capacity() < 4 * LONGEST, "{}", stream.window.capacity());
    }

    proptest! {
        #[test]
        fn rows_are_the_same_whatever_blocks_the_text_comes_in(
            text in "(\u{feff})?([a\",\r\n üß李]{0,24}|([aü\",]{0,4}\r?\n){0,6})\n", block in 1_usize..9
        ) {
            let whole: Result<Cells, Flaw> = Rows::new(&text, ',')
                .map(|row| row.map(|row| row.cells.into_iter().map(std::borrow::Cow::into_owned).collect()))
                .collect();
            prop_assert_eq!(stream(text.as_bytes(), block), whole);
        }
    }
}
