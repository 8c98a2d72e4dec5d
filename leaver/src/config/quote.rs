//! Quotes a line of the file, its secrets masked, cut to the width of the view.

use crate::style::View;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";

/// From where to where something stands in a text: lines and columns from 1, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub from: (usize, usize),
    pub to: (usize, usize),
}

impl Extent {
    /// The columns (from 0, end exclusive) that it covers of a line with `width` characters.
    fn on(&self, line: usize, width: usize) -> Option<(usize, usize)> {
        if line < self.from.0 || line > self.to.0 {
            return None;
        }
        let from = if line == self.from.0 { self.from.1.saturating_sub(1) } else { 0 };
        let to = if line == self.to.0 { self.to.1.saturating_sub(1) } else { width };
        (from < to.min(width)).then_some((from, to.min(width)))
    }
}

/// A text that can be quoted.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub source: &'a str,
    /// Where its scalars are; `None` if it could not be parsed, so that secrets are told by the look of the text.
    pub scalars: Option<Vec<Extent>>,
    /// Scalars that are secrets themselves, not references to one.
    pub secrets: Vec<Extent>,
}

impl Text<'_> {
    /// The line with what is wrong in it; `None` if there is no such line. Lines and columns count from 1.
    pub fn quote(&self, line: usize, column: usize, length: usize) -> Option<Quote> {
        let written: Vec<char> = self.source.lines().nth(line.checked_sub(1)?)?.chars().collect();
        let (start, end) = (column.saturating_sub(1), column.saturating_sub(1) + length);
        let (masked, cut) = match &self.scalars {
            Some(scalars) => {
                let covered: Vec<_> = scalars.iter().filter_map(|s| s.on(line, written.len())).collect();
                let masked = self.secrets.iter().filter_map(|s| s.on(line, written.len())).collect();
                (masked, comment(&written, |at| covered.iter().any(|(from, to)| (*from..*to).contains(&at))))
            }
            None => (blind(self.source, line).into_iter().collect(), comment(&written, |at| at <= start)),
        };
        let mut masked: Vec<(usize, usize)> = masked;
        masked.extend(passwords(&written));
        masked.sort_unstable();

        let written = &written[..cut];
        let mut quote = Quote { text: String::new(), start: 0, length: 0 };
        let (mut at, mut shown, mut from, mut to) = (0, 0, None, 0);
        while at <= written.len() {
            let mask = masked.iter().find(|(a, b)| (*a..*b).contains(&at)).filter(|_| at < written.len());
            let next = mask.map_or(at + 1, |(_, b)| (*b).min(written.len()));
            let width = if mask.is_some() { MASK.len() } else { 1 };
            if next > start && from.is_none() {
                from = Some(shown);
            }
            if at < end {
                to = shown + width;
            }
            match mask {
                Some(_) => quote.text += MASK,
                None => quote.text.extend(written.get(at).map(|c| if c.is_control() { ' ' } else { *c })),
            }
            (at, shown) = (next, shown + width);
        }
        quote.text.truncate(quote.text.trim_end().len());
        // A text that ends too early is marked just behind its end.
        quote.start = from.unwrap_or(quote.text.chars().count());
        quote.length = to.saturating_sub(quote.start).max(1);
        Some(quote)
    }
}

/// A line without its secrets; `start` counts from 0, both in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub text: String,
    pub start: usize,
    pub length: usize,
}

impl Quote {
    /// The same within the width of the view, less `gutter` columns; what is wrong stays in sight.
    pub(super) fn fit(&self, view: View, gutter: usize) -> Quote {
        let room = view.width.unwrap_or(80).saturating_sub(gutter).max(20);
        let chars: Vec<char> = self.text.chars().collect();
        if chars.len() <= room {
            return self.clone();
        }
        let ellipsis = if view.unicode { "…" } else { "..." };
        let wide = ellipsis.chars().count();
        let behind = self.length.min(room / 2) + room / 3;
        let left = (self.start + behind).min(chars.len()).saturating_sub(room);
        let right = (left + room).min(chars.len());
        let mut text: String = chars[left..right].iter().collect();
        if left > 0 {
            text = ellipsis.to_owned() + &text.chars().skip(wide).collect::<String>();
        }
        if right < chars.len() {
            text = text.chars().take(room - wide).collect::<String>() + ellipsis;
        }
        let start = self.start - left;
        Quote { text, start, length: self.length.min(room.saturating_sub(start)).max(1) }
    }
}

/// Where the comment of a line begins, or its end. `#` opens one at the beginning and after white space.
fn comment(line: &[char], inside: impl Fn(usize) -> bool) -> usize {
    (0..line.len())
        .find(|at| line[*at] == '#' && (*at == 0 || line[at - 1].is_whitespace()) && !inside(*at))
        .unwrap_or(line.len())
}

/// Whether a value under this key is a secret whatever it looks like.
pub(super) fn holds_secrets(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    ["url", "token", "tokens", "password", "passphrase", "secret"].contains(&key.as_str())
        || ["_key", "_secret", "_token", "_tokens", "_password", "_url"].iter().any(|ending| key.ends_with(ending))
}

/// The passwords in the URLs of a line. A password may hold `/` or `@` though it should not: the last `@` of the word counts.
fn passwords(line: &[char]) -> Vec<(usize, usize)> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    let find = |word: &str, from: usize| {
        let word: Vec<char> = word.chars().collect();
        (from..line.len()).find(|at| line[*at..].starts_with(&word)).map(|at| at + word.len())
    };
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(authority) = find("://", from) {
        let end = (authority..line.len()).find(|at| ends(line[*at])).unwrap_or(line.len());
        let colon = (authority..end).find(|at| line[*at] == ':');
        let at = (authority..end).rev().find(|at| line[*at] == '@');
        if let (Some(colon), Some(at)) = (colon, at)
            && colon + 1 < at
        {
            found.push((colon + 1, at));
        }
        from = end;
    }
    from = 0;
    while let Some(value) = find("password=", from) {
        let end = (value..line.len()).find(|at| ends(line[*at]) || line[*at] == '&').unwrap_or(line.len());
        found.push((value, end));
        from = end.max(value);
    }
    found
}

/// A text that is no line of the file, such as the message of a parser, without passwords.
pub(super) fn masked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut hidden = passwords(&chars);
    hidden.extend(broken_keys(&chars));
    hidden.sort_unstable();
    for (from, to) in hidden {
        if from >= at {
            out.extend(&chars[at..from]);
            out += MASK;
            at = to;
        }
    }
    out.extend(&chars[at..]);
    out
}

/// What is secret between the backquotes of a message: a quotation mark in the wrong place makes a key and its value one key.
fn broken_keys(message: &[char]) -> Vec<(usize, usize)> {
    let quotes: Vec<usize> = (0..message.len()).filter(|at| message[*at] == '`').collect();
    let quoted = quotes.windows(2).map(|pair| (pair[0] + 1, pair[1]));
    quoted.filter_map(|(from, to)| Some((from + secret_value(&message[from..to])?, to))).collect()
}

/// Whether what stands where a key does holds a secret.
pub(super) fn hides_a_secret(key: &str) -> bool {
    secret_value(&key.chars().collect::<Vec<_>>()).is_some()
}

/// What may be secret in a line of a text that is not YAML: all that follows a key that holds secrets, and the lines that
/// belong to it by indentation or because something was left open. Too much rather than too little.
fn blind(source: &str, line: usize) -> Option<(usize, usize)> {
    let mut inside: Option<(usize, bool)> = None;
    for (number, text) in source.lines().enumerate().map(|(i, text)| (i + 1, text)) {
        let chars: Vec<char> = text.chars().collect();
        let indent = chars.iter().take_while(|c| c.is_whitespace()).count();
        if indent == chars.len() {
            continue;
        }
        let continued =
            inside.is_some_and(|(key, open)| open || indent > key || (indent == key && chars[indent] == '-'));
        let hidden = if continued { Some(indent) } else { secret_value(&chars) };
        if number == line {
            return hidden.map(|from| (from, chars.len()));
        }
        if !continued {
            inside = hidden.map(|from| (indent, open(&chars[from..])));
        }
    }
    None
}

/// Where the value of the first key that holds secrets begins.
fn secret_value(line: &[char]) -> Option<usize> {
    (0..line.len()).filter(|at| line[*at] == ':').find_map(|colon| {
        let word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let before: Vec<char> =
            line[..colon].iter().rev().copied().skip_while(|c| !word(c)).take_while(|c| word(c)).collect();
        let key: String = before.into_iter().rev().collect();
        if !holds_secrets(&key) {
            return None;
        }
        let value = (colon + 1..line.len()).find(|at| !line[*at].is_whitespace());
        Some(value.unwrap_or(line.len()))
    })
}

/// Whether a value leaves a bracket or a quotation mark open at the end of its line.
fn open(value: &[char]) -> bool {
    let count = |sign: char| value.iter().filter(|c| **c == sign).count();
    count('[') != count(']') || count('{') != count('}') || count('"') % 2 == 1 || count('\'') % 2 == 1
}
