//! What is still owed, and what became of trying it again.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, coming, instant, visible};

#[derive(Debug, Deserialize)]
pub struct Owed {
    pub id: Uuid,
    pub subject: Uuid,
    #[serde(rename = "userName")]
    pub user_name: Option<String>,
    pub downstream: String,
    /// What is owed, where that is no end of sessions.
    pub action: Option<String>,
    /// `owed` or `stuck`.
    pub state: String,
    pub since: DateTime<Utc>,
    pub attempts: u64,
    pub next_try: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

impl Owed {
    fn name(&self) -> String {
        self.user_name.clone().unwrap_or_else(|| self.subject.to_string())
    }

    fn place(&self) -> String {
        super::text::place(&self.downstream, self.action.as_deref())
    }
}

/// Two lines for each: what, and why not yet.
pub fn list(rows: &[Owed], now: DateTime<Utc>, view: View) -> String {
    let columns =
        [text("ID"), text("STATE"), text("DOWNSTREAM"), number("TRIES"), text("NEXT"), text("SINCE"), text("WHO")];
    let mut table = Table::new(columns);
    for row in rows {
        table.row([
            Cell::dim(row.id),
            Cell::state(&row.state),
            Cell::from(row.place()),
            Cell::from(row.attempts),
            Cell::maybe(row.next_try.map(|at| coming(at, now))),
            Cell::dim(instant(row.since)),
            Cell::styled(row.name(), Style::Strong),
        ]);
    }
    let mut page = Page::new(view);
    page.table(&table);
    // What fails at a downstream fails alike for everybody there: its last words are said once.
    let mut said: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        let Some(error) = &row.last_error else { continue };
        if !said.contains(&(&row.downstream, error)) {
            said.push((&row.downstream, error));
            page.line(format_args!("{}: {}", visible(&row.downstream), visible(error)));
        }
    }
    page.finish()
}

/// A try that was asked for: `None`, nothing is owed any more.
pub fn retried(id: Uuid, row: Option<&Owed>, view: View) -> String {
    let mut page = Page::new(view);
    let Some(row) = row else {
        let id = page.paint(Style::Dim, id);
        page.line(format_args!("{}   {id}", page.paint(Style::Good, "answered")));
        page.line("nothing is owed under this id any more");
        return page.finish();
    };
    page.opening(&row.name(), &row.place(), &row.state, row.id);
    if let Some(error) = &row.last_error {
        page.line(visible(error));
    }
    page.finish()
}
