//! The way of one change: every hop, how long each took, and what is still to come.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, instant};

/// The longest bar, in columns.
const BAR: usize = 20;

#[derive(Debug, Deserialize)]
pub struct Trace {
    pub hops: Vec<Hop>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Hop {
    pub at: DateTime<Utc>,
    pub hop: String,
    pub downstream: Option<String>,
    /// What was done there, where that is no end of sessions.
    pub action: Option<String>,
    #[serde(rename = "where")]
    pub place: Option<String>,
    pub outcome: Option<String>,
    /// Since the hop before it on its own path.
    pub ms: Option<i64>,
}

/// The hops in the order of their instants, then commit to verified for each downstream.
pub fn show(trace: &Trace, view: View) -> String {
    let mut page = Page::new(view);
    let mut hops: Vec<&Hop> = trace.hops.iter().collect();
    hops.sort_by_key(|hop| hop.at);
    let mut table = Table::new([text("AT"), text("HOP"), text("WHERE"), number("MS"), text("OUTCOME")]);
    for hop in &hops {
        let there = |downstream: &String| super::text::place(downstream, hop.action.as_deref());
        let place = hop.downstream.as_ref().map(there).or_else(|| hop.place.clone());
        let step = Cell::styled(hop.hop.replace('_', " "), super::text::of_state(&hop.hop));
        let (at, outcome) = (Cell::dim(instant(hop.at)), Cell::maybe(hop.outcome.as_ref()));
        table.row([at, step, Cell::maybe(place), Cell::maybe(hop.ms), outcome]);
    }
    page.table(&table);
    bars(&hops, &mut page);
    let waiting = to_come(&hops);
    if !waiting.is_empty() {
        let sign = page.paint(Style::Waiting, "still to come");
        page.line(format_args!("{sign}: {}", waiting.join(", ")));
    }
    page.finish()
}

/// How long each downstream took from the commit to the re-read that found nothing.
fn bars(hops: &[&Hop], page: &mut Page) {
    let Some(committed) = hops.iter().find(|hop| hop.hop == "committed") else { return };
    let verified: Vec<(&str, i64)> = hops
        .iter()
        .filter(|hop| hop.hop == "verified" && hop.action.is_none())
        .filter_map(|hop| Some((hop.downstream.as_deref()?, (hop.at - committed.at).num_milliseconds().max(0))))
        .collect();
    let Some(longest) = verified.iter().map(|(_, ms)| *ms).max() else { return };
    let names = verified.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let digits = longest.to_string().len();
    let label = if page.view.unicode { "commit → verified" } else { "commit -> verified" };
    for (i, (name, ms)) in verified.iter().enumerate() {
        let label = if i == 0 { label.to_owned() } else { " ".repeat(label.chars().count()) };
        let bar = page.paint(Style::Good, bar(*ms, longest, page.view));
        page.line(format_args!("{label}   {name:names$}  {ms:digits$} ms  {bar}"));
    }
}

/// A bar of eighths of a column; at least one, for what was measured took some time.
fn bar(ms: i64, longest: i64, view: View) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let part = usize::try_from(ms * (BAR as i64) * 8 / longest.max(1)).unwrap_or_default().max(1);
    if !view.unicode {
        return "#".repeat(part.div_ceil(8));
    }
    "█".repeat(part / 8) + EIGHTHS[part % 8]
}

/// What each downstream that has begun has not reached yet.
fn to_come(hops: &[&Hop]) -> Vec<String> {
    let mut reached: BTreeMap<(&str, Option<&str>), &str> = BTreeMap::new();
    for hop in hops {
        if let Some(downstream) = hop.downstream.as_deref() {
            reached.insert((downstream, hop.action.as_deref()), &hop.hop);
        }
    }
    reached
        .into_iter()
        .filter_map(|((downstream, action), hop)| {
            let next = match hop {
                "applied" => "verified",
                "verified" if action.is_none() => "settled",
                _ => return None,
            };
            Some(format!("{next} at {}", super::text::place(downstream, action)))
        })
        .collect()
}
