//! A run of a source, or what one would do: counts by class, to whom, and why it is held.

use lifecycle::brake::Counts;
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::plan::{self, Item};
use super::table::{Cell, Table, number, text};
use super::text::{Page, count, visible};

#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// `complete`, `held` or `partial`.
    pub outcome: String,
    pub rows: u64,
    pub counts: Counts,
    pub unchanged: u64,
    pub plan: Option<Uuid>,
    #[serde(default)]
    pub reasons: Vec<String>,
    #[serde(default)]
    pub parked: u64,
    /// Where nothing was done: some of those who would lose something.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// So many are shown to people; the answer in JSON has more.
const SHOWN: usize = 10;

impl Run {
    pub fn is_held(&self) -> bool {
        self.outcome == "held"
    }

    /// Where `rehearsed`, nothing was done: `would` takes the place of what was.
    fn state(&self, class: &str, rehearsed: bool) -> (&'static str, Option<Style>) {
        // Who is new or renamed loses nothing, so that is never held; and a run in part ends nobody's access.
        let ends = !matches!(class, "create" | "update");
        match (ends && self.is_held(), rehearsed) {
            (true, true) => ("would be held", Some(Style::Waiting)),
            (true, false) => ("held", Some(Style::Waiting)),
            (false, true) => ("would apply", None),
            (false, false) => ("applied", None),
        }
    }
}

/// The report of `source sync`, and of `source plan` where `rehearsed`.
pub fn show(source: &str, run: &Run, rehearsed: bool, view: View) -> String {
    let mut page = Page::new(view);
    let (name, kind) = (page.paint(Style::Strong, visible(source)), if rehearsed { "plan" } else { "sync" });
    let outcome = page.state(&run.outcome);
    let plan = run.plan.map(|id| format!("   {}", page.paint(Style::Dim, id))).unwrap_or_default();
    page.line(format_args!("{name}   {kind}   {outcome}{plan}"));
    for (i, reason) in run.reasons.iter().enumerate() {
        page.fact(if i == 0 { "why" } else { "   " }, visible(reason));
    }
    if run.outcome == "partial" {
        page.fact("why", "the source was read in part, so that nobody counts as missing");
    }
    let counts = &run.counts;
    let classes = [
        ("create", counts.create),
        ("update", counts.update),
        ("disable", counts.disable),
        ("delete", counts.delete),
        ("member-remove", counts.member_remove),
        ("privileged-loss", counts.privileged_loss),
    ];
    let mut table = Table::new([text("CLASS"), number("COUNT"), text("STATE")]);
    for (class, number) in classes.into_iter().filter(|(_, number)| *number > 0) {
        let (word, style) = run.state(class, rehearsed);
        table.row([Cell::from(class), Cell::from(number), Cell::styled(word, style)]);
    }
    page.table(&table);
    let shown = &run.items[..run.items.len().min(SHOWN)];
    if !shown.is_empty() {
        page.table(&plan::diff(shown, view));
        let all = counts.disable + counts.delete + counts.privileged_loss + counts.member_remove;
        match all.saturating_sub(shown.len() as u64) {
            0 => {}
            more => page.line(format_args!("{} and {more} more", if view.unicode { "…" } else { "..." })),
        }
    }
    let parked = match run.parked {
        0 => String::new(),
        many => format!(", {}", page.paint(Style::Waiting, format!("{many} parked"))),
    };
    page.line(format_args!("{}, {} unchanged{parked}", count(run.rows, "row"), run.unchanged));
    if rehearsed {
        page.line("nothing was changed");
    }
    page.finish()
}
