//! Somebody's live sessions, and what a revocation would end of them.

use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, count, visible};

/// What a revoker saw in every downstream.
#[derive(Debug, Deserialize)]
pub struct Look {
    /// Or a stranger.
    #[serde(alias = "subject")]
    pub identity: Uuid,
    #[serde(rename = "userName")]
    pub user_name: Option<String>,
    pub kind: Option<String>,
    pub state: Option<String>,
    pub downstreams: Vec<Seen>,
    /// Of a stranger: identities that go by the same text.
    #[serde(default)]
    pub known: Vec<Uuid>,
}

#[derive(Debug, Deserialize)]
pub struct Seen {
    pub downstream: String,
    pub finds: String,
    pub knows_auth_time: bool,
    pub found: u64,
    pub would_end: Option<u64>,
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// Why nothing is known of it.
    pub error: Option<String>,
    pub note: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Session {
    pub session: String,
    pub kind: String,
    pub auth_time: Option<String>,
    pub ended_before: bool,
}

/// One line for each session; a downstream without any has one that says so.
pub fn list(look: &Look, view: View) -> String {
    let mut page = opened(look, view);
    let mut table = Table::new([text("DOWNSTREAM"), text("KIND"), text("SESSION"), text("SIGNED IN"), text("NOTE")]);
    for seen in &look.downstreams {
        for session in &seen.sessions {
            let note = session.ended_before.then(|| Cell::styled("was ended, and is back", Style::Wrong));
            table.row([
                Cell::from(&seen.downstream),
                Cell::from(&session.kind),
                Cell::dim(&session.session),
                session.auth_time.as_ref().map_or_else(Cell::absent, Cell::dim),
                note.unwrap_or_else(Cell::absent),
            ]);
        }
        if seen.sessions.is_empty() {
            let absent = Cell::absent;
            table.row([Cell::from(&seen.downstream), absent(), absent(), absent(), remark(seen, "none")]);
        }
    }
    page.table(&table);
    for seen in look.downstreams.iter().filter(|seen| seen.found > seen.sessions.len() as u64) {
        let shown = seen.sessions.len();
        page.line(format_args!("{}: {shown} of {} are listed", visible(&seen.downstream), seen.found));
    }
    let all = look.downstreams.iter().map(|seen| seen.found).sum();
    let places = look.downstreams.iter().filter(|seen| seen.found > 0).count();
    page.line(format_args!("{} in {places} of {}", count(all, "session"), downstreams(look)));
    page.finish()
}

/// One line for each downstream, then what it comes to.
pub fn would_end(look: &Look, view: View) -> String {
    let mut page = opened(look, view);
    let columns = [text("DOWNSTREAM"), text("FINDS"), number("SESSIONS"), number("WOULD END"), text("NOTE")];
    let mut table = Table::new(columns);
    for seen in &look.downstreams {
        let known = seen.error.is_none() && seen.note.is_none();
        let number = |number: u64| if known { Cell::from(number) } else { Cell::absent() };
        let undated =
            if seen.found > 0 && !seen.knows_auth_time { "knows no login time: all found would end" } else { "-" };
        table.row([
            Cell::from(&seen.downstream),
            Cell::from(&seen.finds),
            number(seen.found),
            number(seen.would_end.unwrap_or_default()),
            remark(seen, undated),
        ]);
    }
    page.table(&table);
    let all: u64 = look.downstreams.iter().filter_map(|seen| seen.would_end).sum();
    let places = look.downstreams.iter().filter(|seen| seen.would_end.is_some_and(|n| n > 0)).count();
    let sum = format!("would end {} in {places} of {}", count(all, "session"), downstreams(look));
    page.line(format_args!("{sum}; nothing was changed"));
    page.finish()
}

/// Which downstreams did not answer, as a sentence for the error stream.
pub fn silent(look: &Look) -> Option<String> {
    let silent: Vec<&str> =
        look.downstreams.iter().filter(|seen| seen.error.is_some()).map(|seen| seen.downstream.as_str()).collect();
    (!silent.is_empty()).then(|| format!("nothing is known of {}", silent.join(", ")))
}

fn opened(look: &Look, view: View) -> Page {
    let mut page = Page::new(view);
    let name = look.user_name.clone().unwrap_or_else(|| look.identity.to_string());
    page.opening(&name, look.kind.as_deref().unwrap_or("-"), look.state.as_deref().unwrap_or("-"), look.identity);
    page
}

/// Why there are no numbers, or else `otherwise`.
fn remark(seen: &Seen, otherwise: &str) -> Cell {
    match (&seen.error, &seen.note) {
        (Some(error), _) => Cell::styled(error, Style::Wrong),
        (None, Some(note)) => Cell::from(note),
        (None, None) => Cell::from(otherwise),
    }
}

fn downstreams(look: &Look) -> String {
    count(look.downstreams.len() as u64, "downstream")
}
