//! Plans that wait for a person, or did: the list, one with its rows, and what became of an answer.

use chrono::{DateTime, Utc};
use lifecycle::brake::Counts;
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, text};
use super::text::{Page, age, count, instant, pasteable, visible};

#[derive(Debug, Deserialize)]
pub struct Plan {
    pub id: Uuid,
    pub source: String,
    pub state: String,
    pub counts: Counts,
    #[serde(default)]
    pub reasons: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<String>,
    pub decision_reason: Option<String>,
    #[serde(default)]
    pub approved_by: Vec<String>,
}

/// A plan and rows of it, from its first on.
#[derive(Debug, Deserialize)]
pub struct Rows {
    pub plan: Plan,
    /// How many it has.
    pub rows: u64,
    pub items: Vec<Item>,
    pub next: Option<u64>,
}

/// One row: whose account, and what would become of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Item {
    pub class: String,
    pub identity: Uuid,
    pub user_name: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    pub source: String,
    pub native_id: String,
    pub from: String,
    pub to: String,
    /// `stated`, `missing`, `deleted` or `ended`.
    pub because: Option<String>,
    pub group: Option<String>,
    #[serde(default)]
    pub group_privileged: bool,
    #[serde(default)]
    pub privileged_groups: Vec<String>,
    pub stands: bool,
}

/// What approving did.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verdict {
    Applied { applied: u64, skipped: u64 },
    Waiting { rows: u64, mass: u64, approved_by: Vec<String> },
}

/// What rejecting did.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Rejection {
    pub rejected: u64,
    pub skipped: u64,
}

pub fn list(plans: &[Plan], now: DateTime<Utc>, view: View) -> String {
    let mut table = Table::new([text("ID"), text("SOURCE"), text("STATE"), text("AGE"), text("COUNTS, WHY")]);
    for plan in plans {
        let what: Vec<String> = std::iter::once(counts(&plan.counts)).chain(plan.reasons.iter().cloned()).collect();
        table.row([
            Cell::dim(plan.id),
            Cell::from(&plan.source),
            Cell::state(&plan.state),
            Cell::from(age(plan.created_at, now)),
            Cell::from(what.join("; ")),
        ]);
    }
    table.render(view)
}

/// What would end, by class: `212 disable, 4 privileged-loss`.
fn counts(counts: &Counts) -> String {
    let classes = [
        (counts.disable, "disable"),
        (counts.delete, "delete"),
        (counts.privileged_loss, "privileged-loss"),
        (counts.member_remove, "member-remove"),
    ];
    let named: Vec<String> = classes.iter().filter(|(n, _)| *n > 0).map(|(n, class)| format!("{n} {class}")).collect();
    if named.is_empty() { "-".to_owned() } else { named.join(", ") }
}

/// One plan: why it waits, who has answered, and its rows, those of privileged people first.
pub fn show(rows: &Rows, now: DateTime<Utc>, view: View) -> String {
    let Rows { plan, rows: total, items, .. } = rows;
    let mut page = Page::new(view);
    page.opening(&plan.source, "plan", &plan.state, plan.id);
    for (i, reason) in plan.reasons.iter().enumerate() {
        page.fact(if i == 0 { "why" } else { "   " }, visible(reason));
    }
    for (label, at) in [("since", Some(plan.created_at)), ("found again", plan.confirmed_at)] {
        let Some(at) = at else { continue };
        let when = page.paint(Style::Dim, instant(at));
        page.line(format_args!("{label} {when} ({} ago)", age(at, now)));
    }
    page.line(format_args!("{}: {}", count(*total, "row"), counts(&plan.counts)));
    if !plan.approved_by.is_empty() {
        page.line(format_args!("approved by {}", visible(&plan.approved_by.join(", "))));
    }
    if plan.state == "rejected" {
        let by = plan.decided_by.as_deref().unwrap_or("somebody");
        page.line(format_args!("rejected by {}", visible(by)));
        page.line(format_args!("reason {}", visible(plan.decision_reason.as_deref().unwrap_or("-"))));
    }
    page.table(&diff(items, view));
    match total.saturating_sub(items.len() as u64) {
        0 => {}
        more => page.line(format_args!("{} and {more} more (`--all`)", if view.unicode { "…" } else { "..." })),
    }
    if plan.state == "held" {
        let id = plan.id;
        page.line(pasteable(&format!("decide: `leaver plan approve {id}`"), view));
        page.line(pasteable(&format!("    or: `leaver plan reject {id} --reason R`"), view));
    }
    page.finish()
}

pub(super) fn diff(items: &[Item], view: View) -> Table {
    let mut table = Table::new([text(" "), text("WHO"), text("ACCOUNT"), text("CLASS"), text("CHANGE")]);
    for item in items {
        let privileged = item.group_privileged || !item.privileged_groups.is_empty();
        let sign = if privileged { "!" } else { " " };
        let names = [&item.user_name, &item.display_name].into_iter().flatten().next().cloned();
        table.row([
            Cell::styled(sign, Style::Waiting),
            Cell::styled(names.unwrap_or_else(|| item.identity.to_string()), Style::Strong),
            Cell::dim(format_args!("{}:{}", item.source, item.native_id)),
            Cell::from(&item.class),
            Cell::from(item.change(view)),
        ]);
    }
    table
}

impl Item {
    /// By what the source said it, unless it did so in so many words.
    fn because(&self) -> &'static str {
        match self.because.as_deref() {
            Some("missing") => " (missing)",
            Some("deleted") => " (deleted)",
            Some("ended") => " (last day passed)",
            _ => "",
        }
    }

    /// What would change, and what one has to know of the person to judge it.
    pub fn change(&self, view: View) -> String {
        let mut parts = Vec::new();
        if !self.stands {
            parts.push("no longer so".to_owned());
        }
        let arrow = if view.unicode { "→" } else { "->" };
        parts.push(match &self.group {
            Some(group) => format!("{} {arrow} {} of {group}", self.from, self.to),
            None => format!("{} {arrow} {}{}", self.from, self.to, self.because()),
        });
        if !self.privileged_groups.is_empty() {
            parts.push(format!("in {}", self.privileged_groups.join(", ")));
        }
        parts.extend(self.display_name.iter().filter(|_| self.user_name.is_some()).cloned());
        parts.extend(self.department.iter().cloned());
        parts.join("; ")
    }
}

pub fn approved(plan: Uuid, verdict: &Verdict, view: View) -> String {
    let mut page = Page::new(view);
    let id = page.paint(Style::Dim, plan);
    match verdict {
        Verdict::Applied { applied, skipped } => {
            page.line(format_args!("plan   {}   {id}", page.state("applied")));
            page.line(format_args!("{} applied{}", count(*applied, "change"), skipped_too(*skipped)));
        }
        Verdict::Waiting { rows, mass, approved_by } => {
            page.line(format_args!("plan   {}   {id}", page.state("held")));
            let who = visible(&approved_by.join(", "));
            page.line(format_args!("approved by {who}; nothing is applied yet"));
            page.line(format_args!("it has {}, and more than {mass} take two people", count(*rows, "row")));
        }
    }
    page.finish()
}

pub fn rejected(plan: Uuid, rejection: Rejection, view: View) -> String {
    let mut page = Page::new(view);
    let (id, state) = (page.paint(Style::Dim, plan), page.state("rejected"));
    page.line(format_args!("plan   {state}   {id}"));
    let Rejection { rejected, skipped } = rejection;
    page.line(format_args!("{} rejected{}", count(rejected, "change"), skipped_too(skipped)));
    page.line("nobody loses anything by them, until their source says something else");
    page.finish()
}

fn skipped_too(skipped: u64) -> String {
    match skipped {
        0 => String::new(),
        many => format!("; {many} skipped, since their source says something else by now"),
    }
}
