//! What a draft would have ended, beside what was decided: counts, and the people of whom the two differ.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, count, instant, pasteable, visible};

/// One answer of the server, or several added up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Part {
    pub events: u64,
    pub compared: u64,
    pub erased: u64,
    pub undecided: u64,
    pub ended: Pair,
    pub spared: Pair,
    pub failed: u64,
    pub differ: BTreeMap<String, u64>,
    pub rules: BTreeMap<String, Pair>,
    pub downstreams: BTreeMap<String, There>,
    #[serde(default)]
    pub brakes: BTreeMap<String, Windows>,
    pub differences: Vec<Differing>,
    /// Differences that are counted and not listed.
    #[serde(default)]
    pub left_out: u64,
    #[serde(default, skip_serializing)]
    pub next: Option<Value>,
}

/// What a rule with a brake would order, by when its windows begin.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Windows {
    pub bound: u64,
    pub window_ms: u64,
    pub orders: BTreeMap<i64, u64>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Pair {
    pub was: u64,
    pub would: u64,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct There {
    pub was: u64,
    pub would: u64,
    pub replaced: u64,
    pub unsupported: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Differing {
    pub difference: String,
    pub event_id: Uuid,
    pub at: DateTime<Utc>,
    #[serde(rename = "type")]
    pub event_type: String,
    pub subject: Uuid,
    #[serde(default)]
    pub user_name: Option<String>,
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    pub department: Option<String>,
    #[serde(default)]
    pub privileged_groups: Vec<String>,
    pub privileged: bool,
    pub group: Option<String>,
    pub was: Side,
    pub would: Side,
}

type Actions = BTreeMap<String, Vec<String>>;

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Side {
    pub rules: Vec<String>,
    pub scopes: Actions,
    pub downstreams: Actions,
    pub replaced: Actions,
    pub unsupported: Actions,
    pub spared: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// What was asked.
#[derive(Debug, Serialize)]
pub struct Replay {
    /// The file of the draft, or which policy it is.
    pub policy: String,
    pub since: DateTime<Utc>,
    #[serde(flatten)]
    pub found: Part,
}

impl Part {
    /// Adds a later part, and keeps at most `most` differences: those of privileged people before others, then the oldest.
    pub fn add(&mut self, part: Part, most: usize) {
        self.events += part.events;
        self.compared += part.compared;
        self.erased += part.erased;
        self.undecided += part.undecided;
        self.ended.add(part.ended);
        self.spared.add(part.spared);
        self.failed += part.failed;
        for (difference, more) in part.differ {
            *self.differ.entry(difference).or_default() += more;
        }
        for (rule, more) in part.rules {
            self.rules.entry(rule).or_default().add(more);
        }
        for (name, more) in part.downstreams {
            let there = self.downstreams.entry(name).or_default();
            there.was += more.was;
            there.would += more.would;
            there.replaced += more.replaced;
            there.unsupported += more.unsupported;
        }
        for (rule, more) in part.brakes {
            let windows = self.brakes.entry(rule).or_default();
            (windows.bound, windows.window_ms) = (more.bound, more.window_ms);
            for (begins, orders) in more.orders {
                *windows.orders.entry(begins).or_default() += orders;
            }
        }
        self.differences.extend(part.differences);
        // Stable: within both kinds the order of the ledger stays.
        self.differences.sort_by_key(|differing| !differing.privileged);
        self.left_out += self.differences.len().saturating_sub(most) as u64;
        self.differences.truncate(most);
        self.next = part.next;
    }
}

impl Windows {
    /// What of it the brake would hold; the counts above leave that out.
    fn verdict(&self, rule: &str) -> String {
        let beyond = self.orders.values().map(|orders| orders.saturating_sub(self.bound)).filter(|beyond| *beyond > 0);
        let (windows, held) = beyond.fold((0_u64, 0_u64), |(windows, held), beyond| (windows + 1, held + beyond));
        let (bound, window) =
            (self.bound, humantime::format_duration(std::time::Duration::from_millis(self.window_ms)));
        let rule = visible(rule);
        match held {
            0 => format!("the brake of {rule} would hold nothing ({bound} in {window})"),
            held => {
                let windows = count(windows, "window");
                format!("the brake of {rule} would hold {held} of these in {windows} ({bound} in {window})")
            }
        }
    }
}

impl Pair {
    fn add(&mut self, more: Pair) {
        self.was += more.was;
        self.would += more.would;
    }
}

pub fn show(replay: &Replay, view: View) -> String {
    let Replay { policy, since, found } = replay;
    let mut page = Page::new(view);
    let (policy, since) = (page.paint(Style::Strong, visible(policy)), page.paint(Style::Dim, instant(*since)));
    page.line(format_args!("{policy}   beside what was decided since {since}"));
    page.line(format_args!("{}, of which {} bear on it", count(found.events, "event"), found.compared));
    if found.erased > 0 {
        page.line(format_args!("{} left out: what policy read of them was erased", count(found.erased, "event")));
    }
    if found.undecided > 0 {
        page.line(format_args!("{} left out: nobody has decided them yet", count(found.undecided, "event")));
    }
    if found.failed > 0 {
        let text = format!("{} on which a rule of it has no result", count(found.failed, "event"));
        page.line(page.paint(Style::Waiting, text));
    }
    if found.compared > 0 {
        page.table(&rules(found));
        page.table(&downstreams(found));
    }
    for (rule, windows) in &found.brakes {
        page.line(windows.verdict(rule));
    }
    page.line(verdict(found));
    page.table(&differences(&found.differences, view));
    if found.left_out > 0 {
        let ellipsis = if view.unicode { "…" } else { "..." };
        page.line(pasteable(&format!("{ellipsis} and {} more (`--all`)", found.left_out), view));
    }
    page.line("nothing was changed");
    page.finish()
}

fn rules(found: &Part) -> Table {
    let mut table = Table::new([text("RULE"), number("WAS"), number("WOULD")]);
    for (rule, pair) in &found.rules {
        table.row([Cell::from(rule), Cell::from(pair.was), Cell::from(pair.would)]);
    }
    if found.spared.was + found.spared.would > 0 {
        table.row([Cell::from("spared (break_glass)"), Cell::from(found.spared.was), Cell::from(found.spared.would)]);
    }
    table.row([
        Cell::styled("ends something", Style::Strong),
        Cell::from(found.ended.was),
        Cell::from(found.ended.would),
    ]);
    table
}

fn downstreams(found: &Part) -> Table {
    let heads = [text("DOWNSTREAM"), number("WAS"), number("WOULD"), number("BY ELSE"), number("UNSUPPORTED")];
    let mut table = Table::new(heads);
    for (name, there) in &found.downstreams {
        let some = |many: u64| Cell::maybe((many > 0).then_some(many));
        table.row([
            Cell::from(name),
            Cell::from(there.was),
            Cell::from(there.would),
            some(there.replaced),
            some(there.unsupported),
        ]);
    }
    table
}

fn verdict(found: &Part) -> String {
    let all: u64 = found.differ.values().sum();
    if all == 0 {
        return "no differences".to_owned();
    }
    let known = ["more", "fewer", "other_actions", "other_downstreams"];
    let parts = known.into_iter().filter_map(|word| Some((word, found.differ.get(word)?)));
    let parts: Vec<String> = parts.map(|(word, many)| format!("{many} {}", word.replace('_', " "))).collect();
    format!("{}: {}", count(all, "difference"), parts.join(", "))
}

fn differences(items: &[Differing], view: View) -> Table {
    let mut table = Table::new([text(" "), text("WHO"), text("AT"), text("WAS, WOULD")]);
    for item in items {
        let names = [&item.user_name, &item.display_name].into_iter().flatten().next().cloned();
        table.row([
            Cell::styled(if item.privileged { "!" } else { " " }, Style::Waiting),
            Cell::styled(names.unwrap_or_else(|| item.subject.to_string()), Style::Strong),
            Cell::dim(instant(item.at)),
            Cell::from(item.change(view)),
        ]);
    }
    table
}

impl Differing {
    /// What was done and what would be, and what one has to know of the person to judge it.
    fn change(&self, view: View) -> String {
        let arrow = if view.unicode { "→" } else { "->" };
        let mut parts = vec![format!("{} {arrow} {}", self.was, self.would)];
        let replaced = self.would.replaced.keys().map(|name| format!("else at {name}"));
        parts.extend(replaced.filter(|_| !self.would.spared));
        let unsupported = self.would.unsupported.iter();
        let unsupported = unsupported.map(|(name, actions)| format!("{} unsupported by {name}", actions.join(", ")));
        parts.extend(unsupported.filter(|_| !self.would.spared));
        parts.extend(self.would.errors.iter().cloned());
        parts.push(self.event_type.clone());
        parts.extend(self.group.iter().map(|group| format!("group {group}")));
        if !self.privileged_groups.is_empty() {
            parts.push(format!("in {}", self.privileged_groups.join(", ")));
        }
        parts.extend(self.display_name.iter().filter(|_| self.user_name.is_some()).cloned());
        parts.extend(self.department.iter().cloned());
        parts.join("; ")
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.spared {
            return f.write_str("spared");
        }
        if self.scopes.is_empty() {
            return f.write_str("nothing");
        }
        for (i, (scope, actions)) in self.scopes.iter().enumerate() {
            let (and, actions) = (if i > 0 { " and " } else { "" }, actions.join(", "));
            match scope.as_str() {
                "*" => write!(f, "{and}{actions}")?,
                name => write!(f, "{and}{actions} at {name}")?,
            }
        }
        if self.rules.is_empty() { Ok(()) } else { write!(f, " ({})", self.rules.join(", ")) }
    }
}
