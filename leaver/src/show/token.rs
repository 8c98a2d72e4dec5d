//! Bearer tokens: whose, and until when; the token itself is shown once, when it is made.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, text};
use super::text::{coming, instant};

#[derive(Debug, Deserialize)]
pub struct Token {
    pub id: Uuid,
    pub kind: String,
    /// The source, or the administrator.
    pub name: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub struct Created {
    pub id: Uuid,
    pub token: String,
    pub expires_at: Option<DateTime<Utc>>,
}

pub fn list(tokens: &[Token], now: DateTime<Utc>, view: View) -> String {
    let mut table =
        Table::new([text("ID"), text("KIND"), text("NAME"), text("STATE"), text("EXPIRES"), text("LAST USED")]);
    for token in tokens {
        let live_until = token.expires_at.filter(|_| token.revoked_at.is_none());
        let state = match (token.revoked_at, live_until) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            (None, _) => "live",
        };
        let expires = live_until.filter(|at| *at > now).map(|at| coming(at, now));
        let (id, name) = (Cell::dim(token.id), Cell::styled(&token.name, Style::Strong));
        let used = token.last_used_at.map_or_else(Cell::absent, |at| Cell::dim(instant(at)));
        table.row([id, Cell::from(&token.kind), name, Cell::state(state), Cell::maybe(expires), used]);
    }
    table.render(view)
}

/// What goes beside the token to the error stream, so that stdout is the token alone.
pub fn created(token: &Created, owner: &str) -> String {
    let until = token.expires_at.map_or_else(|| "does not expire".to_owned(), |at| format!("expires {}", instant(at)));
    format!("token {} for {owner}, {until}; it is shown this once\n", token.id)
}
