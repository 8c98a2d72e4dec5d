//! Plans that wait for a person, or did.

use serde::Deserialize;
use uuid::Uuid;

use crate::style::View;

use super::table::{Cell, Table, text};
use super::text::{Page, count};

#[derive(Debug, Deserialize)]
pub struct Plan {
    pub id: Uuid,
    pub source: String,
    pub state: String,
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// What approving did.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Verdict {
    pub applied: u64,
    pub skipped: u64,
}

pub fn list(plans: &[Plan], view: View) -> String {
    let mut table = Table::new([text("ID"), text("SOURCE"), text("STATE"), text("WHY")]);
    for plan in plans {
        let why = (!plan.reasons.is_empty()).then(|| plan.reasons.join("; "));
        table.row([Cell::dim(plan.id), Cell::from(&plan.source), Cell::state(&plan.state), Cell::maybe(why)]);
    }
    table.render(view)
}

pub fn approved(plan: Uuid, verdict: Verdict, view: View) -> String {
    let mut page = Page::new(view);
    let (id, state) = (page.paint(crate::style::Style::Dim, plan), page.state("applied"));
    page.line(format_args!("plan   {state}   {id}"));
    let skipped = match verdict.skipped {
        0 => String::new(),
        many => format!("; {many} skipped, since their source says something else by now"),
    };
    page.line(format_args!("{} applied{skipped}", count(verdict.applied, "change")));
    page.finish()
}
