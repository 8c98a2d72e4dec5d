//! `plan list`, `show`, `approve` and `reject`.

use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::client::Client;
use crate::show::Items;
use crate::show::plan::{self, Plan, Rejection, Rows, Verdict};

use super::args;
use super::failure::{Exit, Failure};
use super::pages;
use super::progress;
use super::screen::Screen;
use super::sources::{Asked, finish};

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
    let seen = pages::read::<Rows>(client, "plan", id, all).await?;
    if screen.is_json() {
        screen.document(&seen.json)?;
    } else {
        screen.answer(&plan::show(&seen.typed, Utc::now(), screen.out))?;
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
