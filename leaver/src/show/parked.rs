//! What nobody could understand, and what a retry made of it.

use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, count, visible};

#[derive(Debug, Deserialize)]
pub struct Parked {
    pub id: Uuid,
    pub source: String,
    pub place: String,
    pub reason: String,
    pub times: u64,
    /// How many of its requests can be carried out again.
    pub kept: u64,
    pub retry_error: Option<String>,
}

/// What a retry did.
#[derive(Debug, Deserialize)]
pub struct Retried {
    pub source: String,
    pub carried_out: u64,
}

pub fn list(records: &[Parked], view: View) -> String {
    let mut table = Table::new([text("ID"), text("SOURCE"), number("TIMES"), number("KEPT"), text("WHERE AND WHY")]);
    for record in records {
        let retried = record.retry_error.as_ref().map(|error| format!("; retried: {error}")).unwrap_or_default();
        table.row([
            Cell::dim(record.id),
            Cell::from(&record.source),
            Cell::from(record.times),
            Cell::from(record.kept),
            Cell::from(format!("{}: {}{retried}", record.place, record.reason)),
        ]);
    }
    table.render(view)
}

pub fn retried(id: Uuid, done: &Retried, view: View) -> String {
    let mut page = Page::new(view);
    let (source, id) = (page.paint(Style::Strong, visible(&done.source)), page.paint(Style::Dim, id));
    page.line(format_args!("{source}   parked   {}   {id}", page.paint(Style::Good, "carried out")));
    page.line(format_args!("{} carried out, as if the source had sent it now", count(done.carried_out, "request")));
    page.finish()
}
