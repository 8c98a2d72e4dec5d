//! People and machines: the list, and one of them with what was done about it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::style::{Style, View};

use super::table::{Cell, Table, number, text};
use super::text::{Page, instant, visible};

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub generation: i64,
    pub version: i64,
    pub user_name: Option<String>,
    pub email: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    pub manager: Option<String>,
    #[serde(default)]
    pub unresolved: bool,
    #[serde(default)]
    pub accounts: Vec<Account>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    pub source: String,
    pub native_id: String,
    /// As the source says; `None`: it does not.
    pub active: Option<bool>,
    /// What the source says waits for a person to approve it.
    #[serde(default)]
    pub held: bool,
    /// What the source says does not count, since a person rejected it.
    pub rejected: Option<Rejected>,
    pub seen: DateTime<Utc>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Rejected {
    pub plan: Uuid,
    pub by: Option<String>,
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Detail {
    #[serde(flatten)]
    pub identity: Identity,
    pub why: String,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub locks: Vec<Lock>,
    #[serde(default)]
    pub shortened: Vec<Shortened>,
    #[serde(default)]
    pub receipts: Vec<Receipt>,
}

/// For so long every session of theirs is dead.
#[derive(Debug, Deserialize)]
pub struct Lock {
    pub until: DateTime<Utc>,
    /// `*`, or names of downstreams.
    pub scopes: Vec<String>,
    pub asked_by: Option<String>,
    pub reason: Option<String>,
}

/// Sessions of theirs from before an instant end at a later one.
#[derive(Debug, Deserialize)]
pub struct Shortened {
    pub sessions_before: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    /// `*`, or names of downstreams.
    pub scopes: Vec<String>,
}

/// Where something is in force.
fn places(scopes: &[String]) -> String {
    if scopes.iter().any(|scope| scope == "*") { "everywhere".to_owned() } else { visible(&scopes.join(", ")) }
}

#[derive(Debug, Deserialize)]
pub struct Receipt {
    pub downstream: String,
    /// What it is of, where that is no end of sessions.
    pub action: Option<String>,
    pub state: String,
    pub ended: u64,
    pub resurrected: u64,
}

impl Identity {
    /// What a person would call it.
    pub fn name(&self) -> String {
        let names = [&self.user_name, &self.email, &self.display_name];
        names.into_iter().flatten().next().cloned().unwrap_or_else(|| self.id.to_string())
    }
}

/// One line for each.
pub fn list(identities: &[Identity], view: View) -> String {
    let mut table = Table::new([text("ID"), text("KIND"), text("STATE"), text("NAME")]);
    for identity in identities {
        let name = Cell::styled(identity.name(), Style::Strong);
        let kind = Cell::from(&identity.kind);
        table.row([Cell::dim(identity.id), kind, Cell::state(&identity.state), name]);
    }
    table.render(view)
}

/// One identity, why it is as it is, what each source says and what each downstream has answered.
pub fn detail(detail: &Detail, view: View) -> String {
    let mut page = Page::new(view);
    let identity = &detail.identity;
    page.opening(&identity.name(), &identity.kind, &identity.state, identity.id);
    page.fact("why", visible(&detail.why));
    let mut facts = vec![format!("generation {}, version {}", identity.generation, identity.version)];
    facts.extend(identity.department.iter().map(|department| format!("department {}", visible(department))));
    facts.extend(identity.manager.iter().map(|manager| format!("manager {}", visible(manager))));
    page.line(facts.join(", "));
    if !detail.groups.is_empty() {
        page.line(format_args!("groups {}", visible(&detail.groups.join(", "))));
    }
    for lock in &detail.locks {
        let sign = page.paint(Style::Waiting, "locked");
        let by = lock.asked_by.as_deref().unwrap_or("the policy");
        let reason = lock.reason.as_ref().map(|reason| format!(": {}", visible(reason))).unwrap_or_default();
        page.line(format_args!(
            "{sign} until {}, {}, by {}{reason}",
            instant(lock.until),
            places(&lock.scopes),
            visible(by)
        ));
    }
    for shortened in &detail.shortened {
        let sign = page.paint(Style::Waiting, "shortened");
        let (before, due) = (instant(shortened.sessions_before), instant(shortened.due_at));
        page.line(format_args!("{sign}: sessions from before {before} end at {due}, {}", places(&shortened.scopes)));
    }
    if identity.unresolved {
        let sign = page.paint(Style::Waiting, "unresolved");
        page.line(format_args!("{sign}: an account could belong to several identities, so it was linked to none"));
    }
    for (account, rejected) in identity.accounts.iter().filter_map(|a| Some((a, a.rejected.as_ref()?))) {
        let by = rejected.by.as_deref().unwrap_or("somebody");
        let reason = rejected.reason.as_deref().unwrap_or("-");
        let source = visible(&account.source);
        page.line(format_args!("what {source} says was rejected by {}: {}", visible(by), visible(reason)));
    }
    let mut accounts = Table::new([text("SOURCE"), text("NATIVE ID"), text("ACTIVE"), text("SEEN")]);
    for account in &identity.accounts {
        let active = account.active.map_or("-", |active| if active { "true" } else { "false" });
        let active = match account {
            Account { held: true, .. } => Cell::styled(format!("{active}, held"), Style::Waiting),
            Account { rejected: Some(_), .. } => Cell::styled(format!("{active}, rejected"), Style::Waiting),
            _ => Cell::from(active),
        };
        let seen = Cell::dim(instant(account.seen));
        accounts.row([Cell::from(&account.source), Cell::dim(&account.native_id), active, seen]);
    }
    page.table(&accounts);
    let mut receipts = Table::new([text("DOWNSTREAM"), text("RECEIPT"), number("ENDED"), number("CAME BACK")]);
    for receipt in &detail.receipts {
        let back = Cell::styled(receipt.resurrected, (receipt.resurrected > 0).then_some(Style::Wrong));
        let place = super::text::place(&receipt.downstream, receipt.action.as_deref());
        receipts.row([Cell::from(place), Cell::state(&receipt.state), Cell::from(receipt.ended), back]);
    }
    page.table(&receipts);
    page.finish()
}
