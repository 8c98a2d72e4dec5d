//! `plan list` and `approve`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::client::Client;
use crate::show::Items;
use crate::show::plan::{self, Plan, Verdict};

use super::args;
use super::failure::{Exit, Failure};
use super::screen::Screen;
use super::sources::{Asked, finish};

pub async fn run(screen: &Screen, client: &Client, verb: &args::Plan) -> Result<Exit, Failure> {
    match verb {
        args::Plan::List { held } => list(screen, client, *held).await,
        args::Plan::Approve { id, timeout } => approve(screen, client, *id, *timeout).await,
    }
}

async fn list(screen: &Screen, client: &Client, held: bool) -> Result<Exit, Failure> {
    let found = client.get::<Items<Plan>>(&["plans"], &[("state", held.then(|| "held".to_owned()))]).await?;
    if screen.is_json() {
        screen.document(&found.json)?;
    } else if found.typed.items.is_empty() {
        screen.remark(if held { "no held plans\n" } else { "no plans\n" });
    } else {
        screen.answer(&plan::list(&found.typed.items, screen.out))?;
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
        screen.answer(&plan::approved(id, verdict, screen.out))?;
    }
    Ok(Exit::Done)
}
