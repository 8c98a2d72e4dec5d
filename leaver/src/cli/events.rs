//! `events tail`: one CloudEvent per line, as they are committed.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;

use super::args::Tail;
use super::failure::{Exit, Failure};
use super::screen::Screen;

const PAGE: u64 = 500;
const ROUND: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

pub async fn tail(screen: &Screen, client: &Client, tail: &Tail) -> Result<Exit, Failure> {
    tokio::select! {
        ended = print(screen, client, tail) => ended,
        // Ctrl-C is how one ends this, so that is no failure.
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Exit::Done).map_err(|e| anyhow::Error::from(e).into()),
    }
}

async fn print(screen: &Screen, client: &Client, tail: &Tail) -> Result<Exit, Failure> {
    let since = begin(tail, Utc::now()).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    let round = if tail.no_follow { Duration::ZERO } else { ROUND };
    let wait = (!tail.no_follow).then(|| humantime::format_duration(ROUND).to_string());
    let mut after = None;
    let mut seen = false;
    loop {
        let query = [
            ("after", after.clone()),
            ("type", tail.event_type.clone()),
            ("since", since.clone()),
            ("limit", Some(PAGE.to_string())),
            ("wait", wait.clone()),
        ];
        let page = client.wait::<Page>(&["events"], &query, round).await?.typed;
        let lines: String = page.items.iter().map(|event| format!("{event}\n")).collect();
        screen.answer(&lines)?;
        seen |= !page.items.is_empty();
        if tail.no_follow && (page.items.is_empty() || page.next.is_none()) {
            if !seen {
                screen.remark("no events\n");
            }
            return Ok(Exit::Done);
        }
        after = page.next.or(after);
    }
}

/// Who follows wants what comes; who does not wants what there is.
fn begin(tail: &Tail, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match tail.since {
        Some(ago) => now.checked_sub_signed(chrono::TimeDelta::from_std(ago).ok()?),
        None => (!tail.no_follow).then_some(now),
    }
}
