//! Whether the ledger holds together, and what is still owed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::style::{Style, View};

use super::table::{Cell, Table, text};
use super::text::{Page, Sign, count};

#[derive(Debug, Deserialize)]
pub struct Ledger {
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub owed: BTreeMap<String, Owed>,
    /// Events that wait for the bus.
    #[serde(default)]
    pub pending: u64,
}

#[derive(Debug, Deserialize)]
pub struct Finding {
    /// A sentence that should be true.
    pub rule: String,
    pub subject: String,
    pub detail: String,
}

#[derive(Debug, Deserialize)]
pub struct Owed {
    pub owed: u64,
    pub stuck: u64,
}

pub fn show(ledger: &Ledger, view: View) -> String {
    let mut page = Page::new(view);
    let mut rules: Vec<&str> = Vec::new();
    for finding in &ledger.findings {
        if !rules.contains(&finding.rule.as_str()) {
            rules.push(&finding.rule);
        }
    }
    for rule in &rules {
        page.line(format_args!("{} {rule}", Sign::Wrong.show(view)));
        let mut table = Table::new([text("SUBJECT"), text("DETAIL")]).indented(Sign::width(view) + 1);
        for finding in ledger.findings.iter().filter(|finding| finding.rule == *rule) {
            table.row([Cell::dim(&finding.subject), Cell::from(&finding.detail)]);
        }
        page.table(&table);
    }
    if rules.is_empty() {
        page.line("ledger is clean");
    } else {
        let found = count(ledger.findings.len() as u64, "finding");
        page.line(format_args!("{found} against {}", count(rules.len() as u64, "rule")));
    }
    for (downstream, Owed { owed, stuck }) in ledger.owed.iter().filter(|(_, owed)| owed.owed + owed.stuck > 0) {
        let mut parts = Vec::new();
        if *owed > 0 {
            parts.push(page.paint(Style::Waiting, format!("{owed} owed")));
        }
        if *stuck > 0 {
            parts.push(page.paint(Style::Wrong, format!("{stuck} stuck")));
        }
        page.line(format_args!("{downstream}: {}", parts.join(", ")));
    }
    match ledger.pending {
        0 => {}
        1 => page.line("1 event waits for the bus"),
        many => page.line(format_args!("{many} events wait for the bus")),
    }
    page.finish()
}
