//! What `leaver check` looked at, and what each downstream can do.

use lifecycle::Action;

use crate::check::{Check, Report, State};
use crate::style::{Style, View};

use super::table::{Cell, Table, cut, text};
use super::text::{Page, Sign, count, pasteable, visible};

pub fn show(report: &Report, view: View) -> String {
    let mut page = Page::new(view);
    let name_width = report.checks.iter().filter(|c| is_name(c)).map(|c| c.name.chars().count()).max().unwrap_or(0);
    let detail_at = Sign::width(view) + 1 + name_width + 2;
    // Room for `120 ms` at the right of an ordinary terminal; a longer detail pushes it on.
    let detail_width = 80_usize.saturating_sub(detail_at + 9);
    for check in &report.checks {
        let sign = match check.state {
            State::Ok => Sign::Good,
            State::Warning => Sign::Warning,
            State::Failed => Sign::Wrong,
        };
        let detail = visible(&check.detail);
        let ms = check.ms.map(|ms| format!("  {ms:>4} ms"));
        let (width, taken) = ms.as_ref().map_or((0, 0), |ms| (detail_width, ms.len()));
        let detail = match view.width {
            Some(columns) if is_name(check) => cut(&detail, columns.saturating_sub(detail_at + taken), view),
            _ => detail,
        };
        let ms = ms.map(|ms| page.paint(Style::Dim, ms)).unwrap_or_default();
        let (sign, name) = (sign.show(view), page.paint(Style::Strong, visible(&check.name)));
        let pad = " ".repeat(name_width.saturating_sub(check.name.chars().count()));
        page.line(format_args!("{sign} {name}{pad}  {detail:width$}{ms}"));
        let below = " ".repeat(detail_at);
        for cause in &check.causes {
            page.line(format_args!("{below}caused by: {}", visible(cause)));
        }
        if let Some(help) = &check.help {
            page.line(format_args!("{below}help: {}", pasteable(&visible(help), view)));
        }
    }
    page.table(&capabilities(report));
    page.line(verdict(report));
    page.finish()
}

/// The name of a rule is a sentence, and that of a topic long: they would push every column to the right.
fn is_name(check: &Check) -> bool {
    !matches!(check.what, "rule" | "topic")
}

fn capabilities(report: &Report) -> Table {
    let mut table = Table::new([
        text("DOWNSTREAM"),
        text("ADAPTER"),
        text("FINDS"),
        text("SESSIONS"),
        text("REFRESH"),
        text("TTL"),
        text("RECHECK"),
        text("AUTH TIME"),
    ]);
    for downstream in &report.downstreams {
        let can = |action| if downstream.actions.contains(&action) { Cell::from("yes") } else { Cell::absent() };
        table.row([
            Cell::from(&downstream.name),
            Cell::from(downstream.adapter),
            Cell::from(downstream.finds),
            can(Action::RevokeSessions),
            can(Action::RevokeRefresh),
            can(Action::ShortenTtl),
            can(Action::Recheck),
            Cell::from(if downstream.knows_auth_time { "known" } else { "unknown" }),
        ]);
    }
    table
}

fn verdict(report: &Report) -> String {
    let warnings = count(report.warnings as u64, "warning");
    match (report.failed, report.warnings) {
        (0, 0) => "all is well".to_owned(),
        (0, _) => warnings,
        (failed, 0) => format!("{failed} failed"),
        (failed, _) => format!("{failed} failed, {warnings}"),
    }
}
