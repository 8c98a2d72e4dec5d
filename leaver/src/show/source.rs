//! How the sources do.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, coming, instant};

#[derive(Debug, Deserialize)]
pub struct Source {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: String,
    pub last_run: Option<DateTime<Utc>>,
    pub next_run: Option<DateTime<Utc>>,
    pub accounts: u64,
    pub note: Option<String>,
}

pub fn list(sources: &[Source], now: DateTime<Utc>, view: View) -> String {
    let mut table = Table::new([
        text("NAME"),
        text("TYPE"),
        text("STATE"),
        text("LAST RUN"),
        number("ACCOUNTS"),
        text("NEXT"),
        text("NOTE"),
    ]);
    for source in sources {
        let next = match source.next_run {
            Some(at) => Cell::from(coming(at, now)),
            // Nobody asks it: it calls.
            None if source.kind == "scim" => Cell::from("push"),
            None => Cell::absent(),
        };
        table.row([
            Cell::styled(&source.name, Style::Strong),
            Cell::from(&source.kind),
            Cell::state(&source.state),
            source.last_run.map_or_else(Cell::absent, |at| Cell::dim(instant(at))),
            Cell::from(source.accounts),
            next,
            Cell::maybe(source.note.as_ref()),
        ]);
    }
    table.render(view)
}

/// A source that was just paused, or resumed.
pub fn halted(name: &str, paused: bool, view: View) -> String {
    let mut page = Page::new(view);
    let state = page.state(if paused { "paused" } else { "ok" });
    page.line(format_args!("{name}   {state}"));
    page.line(if paused {
        "nobody reads it, so who leaves there is not noticed until it is resumed"
    } else {
        "it is read again when its schedule says so, or by `leaver source sync`"
    });
    page.finish()
}
