//! What every view is made of: paint, signs, instants, and text that cannot steer a terminal.

use std::fmt::{Display, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::style::{Style, View};

use super::table::Table;

/// Lines of an answer, one after the other.
#[derive(Debug)]
pub struct Page {
    text: String,
    pub view: View,
}

impl Page {
    pub fn new(view: View) -> Self {
        Self { text: String::new(), view }
    }

    pub fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        writeln!(self.text, "{line}").unwrap_or_default();
    }

    /// Adds the table, unless it is empty.
    pub fn table(&mut self, table: &Table) {
        self.text += &table.render(self.view);
    }

    /// `label   text`, as the lines of a detail view that stand before its tables.
    pub fn fact(&mut self, label: &str, text: impl Display) {
        self.line(format_args!("{label}   {text}"));
    }

    /// The line that a detail view opens with: who, kind, state, id.
    pub fn opening(&mut self, who: &str, kind: &str, state: &str, id: impl Display) {
        let who = self.paint(Style::Strong, visible(who));
        let state = self.state(state);
        let id = self.paint(Style::Dim, id);
        self.line(format_args!("{who}   {kind}   {state}   {id}"));
    }

    pub fn paint(&self, style: Style, text: impl Display) -> String {
        paint(self.view, style, text)
    }

    /// A word for a state in the colour that it has everywhere.
    pub fn state(&self, word: &str) -> String {
        let shown = visible(&word.replace('_', " "));
        of_state(word).map_or_else(|| shown.clone(), |style| self.paint(style, &shown))
    }

    pub fn finish(self) -> String {
        self.text
    }
}

pub fn paint(view: View, style: Style, text: impl Display) -> String {
    let style = style.paint(view.colour);
    format!("{style}{text}{style:#}")
}

/// The colour of a state; `None` where a state is neither good nor bad.
pub fn of_state(word: &str) -> Option<Style> {
    match word {
        "active" | "complete" | "live" | "ok" | "settled" | "verified" => Some(Style::Good),
        "accepted" | "backed_off" | "held" | "owed" | "partial" | "suspended" => Some(Style::Waiting),
        "failed" | "stuck" => Some(Style::Wrong),
        _ => None,
    }
}

/// A downstream, with what was asked of it where that is no end of sessions.
pub fn place(downstream: &str, action: Option<&str>) -> String {
    action.map_or_else(|| downstream.to_owned(), |action| format!("{downstream} ({action})"))
}

/// What stands at the beginning of a line that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Good,
    Warning,
    Wrong,
}

impl Sign {
    /// Padded, so that lines with different signs align.
    pub fn show(self, view: View) -> String {
        let (unicode, ascii, style) = match self {
            Sign::Good => ("✓", "ok  ", Style::Good),
            Sign::Warning => ("!", "!   ", Style::Waiting),
            Sign::Wrong => ("✗", "FAIL", Style::Wrong),
        };
        paint(view, style, if view.unicode { unicode } else { ascii })
    }

    /// How many columns a sign takes.
    pub fn width(view: View) -> usize {
        if view.unicode { 1 } else { 4 }
    }
}

/// RFC 3339 in UTC with milliseconds.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How long ago that was, rounded down: `40s`, `3m`, `5h`, `9d`. It stands beside the instant, or where there is no room for one.
pub fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds().max(0);
    let (unit, letter) = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit).unwrap_or((1, "s"));
    format!("{}{letter}", seconds / unit)
}

const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];

/// A coming instant as people count towards it, rounded: `in 40s`, `in 3m`, `in 5h`, `in 9d`; `now` once it is there.
pub fn coming(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let left = (at - now).num_seconds();
    // Two of a unit at least, so that rounding says little that is wrong.
    let unit = UNITS.iter().find(|(seconds, _)| left >= 2 * seconds);
    match unit {
        Some((seconds, letter)) => format!("in {}{letter}", (left + seconds / 2) / seconds),
        None if left > 0 => "in 1s".to_owned(),
        None => "now".to_owned(),
    }
}

/// Names come from other systems: whatever would steer a terminal, or turn the direction of reading, is spelled out.
pub fn visible(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// `1 session`, `2 sessions`.
pub fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// What stands between backquotes is for pasting.
pub fn pasteable(text: &str, view: View) -> String {
    let paste = |(i, part): (usize, &str)| if i % 2 == 1 { paint(view, Style::Paste, part) } else { part.to_owned() };
    text.split('`').enumerate().map(paste).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coming_instant_is_rounded_to_what_one_would_say() {
        let now = DateTime::UNIX_EPOCH;
        let at = |seconds| coming(now + chrono::TimeDelta::seconds(seconds), now);
        let said: Vec<String> = [-5, 0, 1, 40, 119, 120, 179, 3_600, 7_199, 86_400, 90 * 86_400 - 1].map(at).into();
        assert_eq!(said.join(", "), "now, now, in 1s, in 40s, in 119s, in 2m, in 3m, in 60m, in 120m, in 24h, in 90d");
    }
}
