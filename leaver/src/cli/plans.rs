//! `plan list`, `show`, `approve` and `reject`.

use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::show::Items;
use crate::show::plan::{self, Plan, Rejection, Rows, Verdict};

use super::args;
use super::failure::{Exit, Failure};
use super::progress;
use super::screen::Screen;
use super::sources::{Asked, finish};

/// Rows in each answer, where all of them are wanted.
const PAGE: u64 = 1_000;

pub async fn run(screen: &Screen, client: &Client, verb: &args::Plan) -> Result<Exit, Failure> {
    match verb {
        args::Plan::List { held } => list(screen, client, *held).await,
        args::Plan::Show { id, all } => show(screen, client, id, *all).await,
        args::Plan::Approve { id, timeout } => approve(screen, client, *id, *timeout).await,
        args::Plan::Reject { id, reason, timeout } => reject(screen, client, *id, reason, *timeout).await,
    }
}

async fn list(screen: &Screen, client: &Client, held: bool) -> Result<Exit, Failure> {
    let found = client.get::<Items<Plan>>(&["plans"], &[("state", held.then(|| "held".to_owned()))]).await?;
    if screen.is_json() {
        screen.document(&found.json)?;
    } else if found.typed.items.is_empty() {
        screen.remark(if held { "no held plans\n" } else { "no plans\n" });
    } else {
        screen.answer(&plan::list(&found.typed.items, Utc::now(), screen.out))?;
        let newest = found.typed.items.iter().find(|plan| plan.state == "held");
        if let Some(plan) = newest {
            screen.next(&format!("leaver plan show {}", plan.id));
        }
    }
    Ok(Exit::Done)
}

async fn show(screen: &Screen, client: &Client, id: &str, all: bool) -> Result<Exit, Failure> {
    let limit = all.then(|| PAGE.to_string());
    let first = client.get::<Rows>(&["plans", id], &[("limit", limit.clone())]).await?;
    let (mut document, mut rows) = (first.json, first.typed);
    while let Some(after) = rows.next.filter(|_| all) {
        // By its whole id: another whose id begins alike may come meanwhile.
        let path = rows.plan.id.to_string();
        let query = [("after", Some(after.to_string())), ("limit", limit.clone())];
        let page = client.get::<Rows>(&["plans", &path], &query).await?;
        if let (Some(Value::Array(items)), Some(more)) = (document.get_mut("items"), page.json["items"].as_array()) {
            items.extend(more.iter().cloned());
        }
        rows.items.extend(page.typed.items);
        rows.next = page.typed.next;
    }
    if screen.is_json() {
        if let (Some(document), None) = (document.as_object_mut(), rows.next) {
            document.remove("next");
        }
        screen.document(&document)?;
    } else {
        screen.answer(&plan::show(&rows, Utc::now(), screen.out))?;
    }
    Ok(Exit::Done)
}

async fn approve(screen: &Screen, client: &Client, id: Uuid, timeout: Duration) -> Result<Exit, Failure> {
    let asked = client.post::<Asked>(&["plans", &id.to_string(), "approve"], &json!({})).await?;
    let what = format!("plan {id} to be applied");
    let Some(result) = finish(screen, client, asked.typed.request, &what, timeout).await? else {
        return Ok(Exit::Held);
    };
    let verdict = Verdict::deserialize(&result).map_err(anyhow::Error::from)?;
    if screen.is_json() {
        screen.document(&result)?;
    } else {
        screen.answer(&plan::approved(id, &verdict, screen.out))?;
    }
    if let Verdict::Waiting { .. } = verdict {
        progress::unfinished(screen, "held: another person has to approve it as well, with a token of their own");
        return Ok(Exit::Held);
    }
    Ok(Exit::Done)
}

async fn reject(screen: &Screen, client: &Client, id: Uuid, reason: &str, timeout: Duration) -> Result<Exit, Failure> {
    let asked = client.post::<Asked>(&["plans", &id.to_string(), "reject"], &json!({"reason": reason})).await?;
    let what = format!("plan {id} to be rejected");
    let Some(result) = finish(screen, client, asked.typed.request, &what, timeout).await? else {
        return Ok(Exit::Held);
    };
    let rejection = Rejection::deserialize(&result).map_err(anyhow::Error::from)?;
    if screen.is_json() {
        screen.document(&result)?;
    } else {
        screen.answer(&plan::rejected(id, rejection, screen.out))?;
    }
    Ok(Exit::Done)
}
