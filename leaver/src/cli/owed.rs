//! `owed list` and `retry`.

use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Answer, Client};
use crate::show::owed::{self, Owed};

use super::args;
use super::failure::{Exit, Failure};
use super::progress;
use super::screen::Screen;
use super::sources::{Asked, finish};

/// The largest page that is asked for.
const PAGE: u64 = 500;
/// A look at one row costs the server little.
const ROUND: Duration = Duration::from_millis(250);

pub async fn run(screen: &Screen, client: &Client, verb: &args::Owed) -> Result<Exit, Failure> {
    match verb {
        args::Owed::List { stuck, limit } => list(screen, client, *stuck, *limit).await,
        args::Owed::Retry { id, timeout } => retry(screen, client, *id, *timeout).await,
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

async fn list(screen: &Screen, client: &Client, stuck: bool, limit: u64) -> Result<Exit, Failure> {
    let mut all = Page { items: Vec::new(), next: None };
    loop {
        let left = limit - all.items.len() as u64;
        let query = [
            ("state", stuck.then(|| "stuck".to_owned())),
            ("after", all.next.take()),
            ("limit", Some(left.min(PAGE).to_string())),
        ];
        let page = client.get::<Page>(&["owed"], &query).await?.typed;
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() || all.items.len() as u64 >= limit {
            break;
        }
    }
    if screen.is_json() {
        screen.document(&match all.next {
            Some(next) => json!({"items": all.items, "next": next}),
            None => json!({"items": all.items}),
        })?;
        return Ok(Exit::Done);
    }
    if all.items.is_empty() {
        screen.remark(if stuck { "nothing is stuck\n" } else { "nothing is owed\n" });
        return Ok(Exit::Done);
    }
    let number = all.items.len();
    let rows: Vec<Owed> = Deserialize::deserialize(Value::from(all.items)).map_err(anyhow::Error::from)?;
    screen.answer(&owed::list(&rows, Utc::now(), screen.out))?;
    if all.next.is_some() {
        screen.remark(&format!("{number} are shown; there are more: --limit {}\n", number * 10));
    }
    Ok(Exit::Done)
}

/// How often it had failed when it was made due; nothing where it had been answered by then.
#[derive(Deserialize)]
struct Due {
    attempts: Option<u64>,
}

async fn retry(screen: &Screen, client: &Client, id: Uuid, timeout: Duration) -> Result<Exit, Failure> {
    let asked = client.post::<Asked>(&["owed", &id.to_string(), "retry"], &json!({})).await?;
    let what = format!("the retry of {id}");
    let Some(due) = finish(screen, client, asked.typed.request, &what, timeout).await? else {
        return Ok(Exit::Held);
    };
    let Due { attempts: before } = Deserialize::deserialize(&due).map_err(anyhow::Error::from)?;
    let look = progress::rounds(timeout, ROUND, async |_| {
        let row = still_owed(client, id).await?;
        let tried = row.as_ref().is_none_or(|row| before.is_none_or(|before| row.typed.attempts > before));
        Ok::<_, Failure>((tried, row))
    });
    let (tried, row) = progress::during(screen, &what, timeout, look).await?;
    if screen.is_json() {
        screen.document(&json!({"id": id, "owed": row.as_ref().map(|row| &row.json)}))?;
    } else {
        screen.answer(&owed::retried(id, row.as_ref().map(|row| &row.typed), screen.out))?;
    }
    if row.is_none() {
        return Ok(Exit::Done);
    }
    progress::unfinished(
        screen,
        if tried { "still owed: it was tried and failed" } else { "still owed: no answer yet" },
    );
    Ok(Exit::Held)
}

async fn still_owed(client: &Client, id: Uuid) -> Result<Option<Answer<Owed>>, Failure> {
    match client.get::<Owed>(&["owed", &id.to_string()], &[]).await {
        Ok(row) => Ok(Some(row)),
        Err(client::Error::Refused(refusal)) if refusal.status == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}
