//! A revocation by hand: what each downstream has answered so far.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, count, instant};

#[derive(Debug, Deserialize)]
pub struct Revocation {
    pub id: Uuid,
    /// The worst of its downstreams.
    pub state: String,
    #[serde(default)]
    pub receipts: Vec<Receipt>,
    /// Whether every downstream is in the state that was waited for.
    #[serde(default)]
    pub reached: bool,
}

#[derive(Debug, Deserialize)]
pub struct Receipt {
    pub downstream: String,
    /// What it is of, where that is no end of sessions.
    pub action: Option<String>,
    pub state: String,
    pub found: u64,
    pub ended: u64,
    pub resurrected: u64,
    #[serde(default)]
    pub at: Instants,
    pub note: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Instants {
    pub applied: Option<DateTime<Utc>>,
    pub verified: Option<DateTime<Utc>>,
    pub settled: Option<DateTime<Utc>>,
    #[serde(default)]
    pub handed_over: Option<DateTime<Utc>>,
    pub stuck: Option<DateTime<Utc>>,
}

impl Receipt {
    fn place(&self) -> String {
        super::text::place(&self.downstream, self.action.as_deref())
    }

    /// Done, and no session that could come back.
    fn is_over(&self) -> bool {
        self.action.is_some() && ["verified", "handed_over"].contains(&self.state.as_str())
    }

    /// When it came into its state.
    fn since(&self) -> Option<DateTime<Utc>> {
        match self.state.as_str() {
            "applied" => self.at.applied,
            "verified" => self.at.verified,
            "settled" => self.at.settled,
            "handed_over" => self.at.handed_over,
            "stuck" => self.at.stuck,
            _ => None,
        }
    }
}

/// The opening line of a revocation that was stored and not waited for.
pub fn accepted(who: &str, id: Uuid, view: View) -> String {
    let mut page = Page::new(view);
    page.opening(who, "revocation", "accepted", id);
    page.line("stored and certain to be carried out; nothing is known to have ended yet");
    page.finish()
}

/// How many locks of somebody were ended.
pub fn unlocked(who: &str, locks: u64, view: View) -> String {
    let mut page = Page::new(view);
    let who = page.paint(Style::Strong, super::text::visible(who));
    match locks {
        0 => page.line(format_args!("{who} was not locked; a lock that is still on its way will not hold")),
        _ => page.line(format_args!("{who} is not locked any more; {} ended", count(locks, "lock"))),
    }
    page.finish()
}

/// The answers, then what they come to.
pub fn show(who: &str, revocation: &Revocation, view: View) -> String {
    let mut page = Page::new(view);
    page.opening(who, "revocation", &revocation.state, revocation.id);
    let columns =
        [text("DOWNSTREAM"), text("STATE"), number("FOUND"), number("ENDED"), number("CAME BACK"), text("SINCE")];
    let mut table = Table::new(columns);
    for receipt in &revocation.receipts {
        let back = Cell::styled(receipt.resurrected, (receipt.resurrected > 0).then_some(Style::Wrong));
        let since = receipt.since().map_or_else(Cell::absent, |at| Cell::dim(instant(at)));
        let (found, ended) = (Cell::from(receipt.found), Cell::from(receipt.ended));
        table.row([Cell::from(receipt.place()), Cell::state(&receipt.state), found, ended, back, since]);
    }
    page.table(&table);
    for receipt in &revocation.receipts {
        if let Some(note) = &receipt.note {
            page.line(format_args!("{}: {}", receipt.place(), super::text::visible(note)));
        }
    }
    if revocation.receipts.is_empty() && revocation.reached {
        page.line("no downstream can end sessions, so there was nothing to do");
        return page.finish();
    }
    let of_sessions = || revocation.receipts.iter().filter(|receipt| receipt.action.is_none());
    let ended: u64 = of_sessions().map(|receipt| receipt.ended).sum();
    let places = of_sessions().filter(|receipt| receipt.ended > 0).count();
    page.line(format_args!("ended {} in {places} of {}", count(ended, "session"), downstreams(revocation)));
    page.finish()
}

/// Which downstreams are not in the state `wanted` yet, as a sentence for the error stream.
pub fn missing(wanted: &str, revocation: &Revocation) -> String {
    const ORDER: [&str; 3] = ["applied", "verified", "settled"];
    let rank = |state: &str| ORDER.iter().position(|known| *known == state);
    let short: Vec<&Receipt> = revocation
        .receipts
        .iter()
        .filter(|receipt| !receipt.is_over() && rank(&receipt.state) < rank(wanted))
        .collect();
    let at: Vec<String> =
        short.iter().map(|receipt| format!("{} is {}", receipt.place(), receipt.state.replace('_', " "))).collect();
    if at.is_empty() {
        // The revoker has not yet written which downstreams it concerns.
        return format!("not {wanted}: no downstream has answered yet");
    }
    format!("not {wanted} at {} of {}: {}", at.len(), downstreams(revocation), at.join(", "))
}

fn downstreams(revocation: &Revocation) -> String {
    let names: BTreeSet<&str> = revocation.receipts.iter().map(|receipt| receipt.downstream.as_str()).collect();
    count(names.len() as u64, "downstream")
}
