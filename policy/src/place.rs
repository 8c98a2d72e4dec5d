//! Finds the place in a file of a character inside a YAML scalar, whatever quotes and escapes the scalar is written with.

use std::ops::Range;

use serde_saphyr::granit_parser::ScalarStyle;

/// A stretch of one line; counted as in [`crate::Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

impl Place {
    /// The place of these bytes of `source`: at least one character, and no more than the first line of them.
    pub fn of(source: &str, bytes: Range<usize>) -> Self {
        let start = floor(source, bytes.start);
        let end = floor(source, bytes.end.max(start));
        let (before, meant) = (&source[..start], &source[start..end]);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            length: meant.lines().next().map_or(0, |line| line.chars().count()).max(1),
        }
    }
}

fn floor(source: &str, byte: usize) -> usize {
    source.floor_char_boundary(byte.min(source.len()))
}

/// The byte in `raw`, a scalar as it is written, of the character that has index `wanted` in `text`, the scalar as it is read.
///
/// White space is what folding, indentation and line continuation change, so it is passed over on both sides and the two are
/// aligned by everything else; a wanted space is found where the word before it ends.
pub(crate) fn locate(raw: &str, style: ScalarStyle, text: &str, wanted: usize) -> usize {
    let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    let mut at = usize::from(quoted);
    for (index, character) in text.chars().enumerate() {
        if character.is_whitespace() {
            if index == wanted {
                break;
            }
            continue;
        }
        while let Some((length, true)) = unit(&raw[at..], style) {
            at += length;
        }
        if index == wanted {
            break;
        }
        at += unit(&raw[at..], style).map_or(0, |(length, _)| length);
    }
    at
}

/// How many bytes the next character takes as it is written, and whether it is white space.
fn unit(rest: &str, style: ScalarStyle) -> Option<(usize, bool)> {
    let first = rest.chars().next()?;
    if style == ScalarStyle::SingleQuoted && rest.starts_with("''") {
        return Some((2, false));
    }
    if style != ScalarStyle::DoubleQuoted || first != '\\' {
        return Some((first.len_utf8(), first.is_whitespace()));
    }
    let escape = rest[1..].chars().next()?;
    let digits = match escape {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        // The named ones that mean white space (YAML 1.2, 5.7), and a line continued.
        _ => return Some((1 + escape.len_utf8(), "tnvfr N_LP\t\n\r".contains(escape))),
    };
    let code = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    Some((2 + digits, code.and_then(char::from_u32).is_some_and(char::is_whitespace)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_found_however_the_scalar_is_written() {
        for (raw, style, text, wanted, expected) in [
            ("a == b", ScalarStyle::Plain, "a == b", 5, "b"),
            ("a ==\n      b", ScalarStyle::Plain, "a == b", 5, "b"),
            ("'it''s b'", ScalarStyle::SingleQuoted, "it's b", 5, "b'"),
            (r#""\"é\" == b""#, ScalarStyle::DoubleQuoted, "\"é\" == b", 7, "b\""),
            (r#""a\n\u0020\x42 == b""#, ScalarStyle::DoubleQuoted, "a\n B == b", 8, "b\""),
            ("\"a \\\n   b\"", ScalarStyle::DoubleQuoted, "a b", 2, "b\""),
            ("a ==\n      b\n    ", ScalarStyle::Literal, "a ==\nb\n", 5, "b\n    "),
            ("a ==", ScalarStyle::Plain, "a ==", 4, ""),
        ] {
            assert_eq!(&raw[locate(raw, style, text, wanted)..], expected, "{raw}");
        }
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one_and_stays_on_its_line() {
        let source = "é: ü\nab: cd\nef";
        assert_eq!(Place::of(source, 4..6), Place { line: 1, column: 4, length: 1 });
        assert_eq!(Place::of(source, 11..15), Place { line: 2, column: 5, length: 2 });
        assert_eq!(Place::of(source, 99..99), Place { line: 3, column: 3, length: 1 });
    }
}
