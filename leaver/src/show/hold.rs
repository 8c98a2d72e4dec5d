//! Holds: orders that wait for a person, or did: the list, one with its rows, and how far it is.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, age, count, instant, pasteable, visible};

#[derive(Debug, Clone, Deserialize)]
pub struct Hold {
    pub id: Uuid,
    pub kind: String,
    pub name: String,
    pub state: String,
    pub rows: u64,
    pub done: u64,
    pub at: DateTime<Utc>,
    pub bound: Option<u64>,
    pub window_begins: Option<DateTime<Utc>>,
    pub window_ends: Option<DateTime<Utc>>,
    pub asked_by: Option<String>,
    pub reason: Option<String>,
    #[serde(default)]
    pub spared: u64,
    #[serde(default)]
    pub approved_by: Vec<String>,
    pub decided_by: Option<String>,
    pub decision_reason: Option<String>,
}

/// A hold, how far it is, and rows of it, from its first on.
#[derive(Debug, Deserialize)]
pub struct Rows {
    pub hold: Hold,
    #[serde(default)]
    pub progress: Progress,
    #[serde(default)]
    pub items: Vec<Item>,
    pub next: Option<u64>,
}

/// How many of its orders are in a state at every downstream.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Progress {
    pub applied: u64,
    pub verified: u64,
    pub settled: u64,
    pub stuck: u64,
}

/// One order: whom it is about, and what it would do where.
#[derive(Debug, Clone, Deserialize)]
pub struct Item {
    pub subject: Uuid,
    pub user_name: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    #[serde(default)]
    pub privileged_groups: Vec<String>,
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// (scope, actions).
    pub scopes: Vec<(String, Vec<String>)>,
    pub done_at: Option<DateTime<Utc>>,
}

/// What an answer came to.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verdict {
    Approved { rows: u64 },
    Waiting { rows: u64, mass: u64, approved_by: Vec<String> },
    Rejected { rows: u64 },
}

impl Hold {
    /// Why it waits.
    fn why(&self) -> String {
        match (self.bound, &self.asked_by) {
            (Some(bound), _) => {
                let window = match (self.window_begins, self.window_ends) {
                    (Some(begins), Some(ends)) => {
                        let lasts = (ends - begins).to_std().unwrap_or_default();
                        format!(" within {}", humantime::format_duration(lasts))
                    }
                    _ => String::new(),
                };
                format!("the rule orders more than {bound}{window}, which is what its brake lets through")
            }
            (None, Some(by)) => {
                format!("{by} asked for it: {}", self.reason.as_deref().unwrap_or("-"))
            }
            (None, None) => "-".to_owned(),
        }
    }
}

pub fn list(holds: &[Hold], now: DateTime<Utc>, view: View) -> String {
    let heads = [text("ID"), text("KIND"), text("NAME"), text("STATE"), text("AGE"), number("ROWS"), text("WHY")];
    let mut table = Table::new(heads);
    for hold in holds {
        table.row([
            Cell::dim(hold.id),
            Cell::from(&hold.kind),
            Cell::from(visible(&hold.name)),
            Cell::state(&hold.state),
            Cell::from(age(hold.at, now)),
            Cell::from(hold.rows),
            Cell::from(visible(&hold.why())),
        ]);
    }
    table.render(view)
}

/// One hold: why it waits, who has answered, how far it is, and its rows, those of privileged people first.
pub fn show(rows: &Rows, now: DateTime<Utc>, view: View) -> String {
    let Rows { hold, progress, items, .. } = rows;
    let mut page = Page::new(view);
    page.opening(&hold.name, &hold.kind, &hold.state, hold.id);
    page.fact("why", visible(&hold.why()));
    let when = page.paint(Style::Dim, instant(hold.at));
    page.line(format_args!("since {when} ({} ago)", age(hold.at, now)));
    if hold.spared > 0 {
        let spared = format!("{} spared by break_glass", count(hold.spared, "member"));
        page.line(page.paint(Style::Waiting, spared));
    }
    if !hold.approved_by.is_empty() {
        page.line(format_args!("approved by {}", visible(&hold.approved_by.join(", "))));
    }
    if hold.state == "rejected" {
        let by = hold.decided_by.as_deref().unwrap_or("somebody");
        page.line(format_args!("rejected by {}", visible(by)));
        page.line(format_args!("reason {}", visible(hold.decision_reason.as_deref().unwrap_or("-"))));
    }
    if matches!(hold.state.as_str(), "approved" | "applied") {
        page.line(far(hold, *progress));
    }
    page.table(&people(items));
    match hold.rows.saturating_sub(items.len() as u64) {
        0 => {}
        more => page.line(format_args!("{} and {more} more (`--all`)", if view.unicode { "…" } else { "..." })),
    }
    if hold.state == "held" {
        let id = hold.id;
        if let Some(ends) = hold.window_ends.filter(|ends| *ends > now) {
            page.line(format_args!("it gathers until {}, and can be answered from then on", instant(ends)));
        }
        page.line(pasteable(&format!("decide: `leaver hold approve {id}`"), view));
        page.line(pasteable(&format!("    or: `leaver hold reject {id} --reason R`"), view));
    }
    page.finish()
}

fn people(items: &[Item]) -> Table {
    let mut table = Table::new([text(" "), text("WHO"), text("WOULD"), text("BECAUSE")]);
    for item in items {
        let sign = if item.privileged_groups.is_empty() { " " } else { "!" };
        let names = [&item.user_name, &item.display_name].into_iter().flatten().next().cloned();
        table.row([
            Cell::styled(sign, Style::Waiting),
            Cell::styled(names.unwrap_or_else(|| item.subject.to_string()), Style::Strong),
            Cell::from(item.would()),
            Cell::from(visible(&item.because())),
        ]);
    }
    table
}

impl Item {
    fn would(&self) -> String {
        let parts = self.scopes.iter().map(|(scope, actions)| match scope.as_str() {
            "*" => actions.join(", "),
            name => format!("{} at {name}", actions.join(", ")),
        });
        parts.collect::<Vec<_>>().join(" and ")
    }

    /// What happened, and what one has to know of the person to judge it.
    fn because(&self) -> String {
        let mut parts: Vec<String> = self.event_type.iter().cloned().collect();
        if !self.privileged_groups.is_empty() {
            parts.push(format!("in {}", self.privileged_groups.join(", ")));
        }
        parts.extend(self.display_name.iter().filter(|_| self.user_name.is_some()).cloned());
        parts.extend(self.department.iter().cloned());
        if self.done_at.is_some() {
            parts.push("carried out".to_owned());
        }
        parts.join("; ")
    }
}

/// How far a hold is that is carried out, as one line.
pub fn far(hold: &Hold, progress: Progress) -> String {
    let Progress { applied, verified, settled, stuck } = progress;
    let mut line = format!(
        "{} of {} ordered: {applied} applied, {verified} verified, {settled} settled everywhere",
        hold.done,
        count(hold.rows, "person").replace("persons", "people")
    );
    if stuck > 0 {
        line += &format!(", {stuck} stuck");
    }
    line
}

/// What an answer came to.
pub fn answered(hold: Uuid, verdict: &Verdict, view: View) -> String {
    let mut page = Page::new(view);
    let id = page.paint(Style::Dim, hold);
    match verdict {
        Verdict::Approved { rows } => {
            page.line(format_args!("hold   {}   {id}", page.state("approved")));
            page.line(format_args!("{} carried out from now on", count(*rows, "order")));
        }
        Verdict::Waiting { rows, mass, approved_by } => {
            page.line(format_args!("hold   {}   {id}", page.state("held")));
            let who = visible(&approved_by.join(", "));
            page.line(format_args!("approved by {who}; nothing is carried out yet"));
            page.line(format_args!("it has {}, and more than {mass} take two people", count(*rows, "order")));
        }
        Verdict::Rejected { rows } => {
            page.line(format_args!("hold   {}   {id}", page.state("rejected")));
            page.line(format_args!("{} will never be carried out", count(*rows, "order")));
        }
    }
    page.finish()
}

/// Whom a revocation of a group would concern.
#[derive(Debug, Deserialize)]
pub struct Group {
    /// `source/name`.
    pub group: String,
    pub members: u64,
    pub spared: u64,
    pub mass: Option<u64>,
    pub second_person: bool,
    #[serde(default)]
    pub downstreams: std::collections::BTreeMap<String, Vec<String>>,
}

/// `revoke --group --dry-run`.
pub fn would_end(group: &Group, view: View) -> String {
    let mut page = Page::new(view);
    let name = page.paint(Style::Strong, visible(&group.group));
    page.line(format_args!("{name}   group   {}", members(group)));
    let mut table = Table::new([text("DOWNSTREAM"), text("WOULD")]);
    for (name, actions) in &group.downstreams {
        table.row([Cell::from(name), Cell::from(actions.join(", "))]);
    }
    page.table(&table);
    if group.downstreams.is_empty() {
        page.line("no downstream can end sessions, so there is nothing to do");
    }
    if let (true, Some(mass)) = (group.second_person, group.mass) {
        let text = format!("more than {mass} take two people: it would wait until another has approved it");
        page.line(page.paint(Style::Waiting, text));
    }
    page.line("nothing was changed");
    page.finish()
}

fn members(group: &Group) -> String {
    let members = count(group.members, "member");
    match group.spared {
        0 => members,
        spared => format!("{members}, and {spared} spared by break_glass"),
    }
}

/// A group whose revocation was stored.
pub fn accepted(group: &Group, state: &str, id: Uuid, view: View) -> String {
    let mut page = Page::new(view);
    page.opening(&group.group, "revocation of a group", state, id);
    page.line(members(group));
    match state {
        "held" => page.line("nothing is carried out until another person has approved it"),
        _ => page.line("stored and certain to be carried out; nothing is known to have ended yet"),
    }
    page.finish()
}
