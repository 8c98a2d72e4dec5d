//! `parked list` and `retry`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::client::Client;
use crate::show::Items;
use crate::show::parked::{self, Parked, Retried};

use super::args;
use super::failure::{Exit, Failure};
use super::screen::Screen;
use super::sources::{Asked, finish};

pub async fn run(screen: &Screen, client: &Client, verb: &args::Parked) -> Result<Exit, Failure> {
    match verb {
        args::Parked::List => list(screen, client).await,
        args::Parked::Retry { id, timeout } => retry(screen, client, *id, *timeout).await,
    }
}

async fn list(screen: &Screen, client: &Client) -> Result<Exit, Failure> {
    let found = client.get::<Items<Parked>>(&["parked"], &[]).await?;
    if screen.is_json() {
        screen.document(&found.json)?;
    } else if found.typed.items.is_empty() {
        screen.remark("nothing is parked\n");
    } else {
        screen.answer(&parked::list(&found.typed.items, screen.out))?;
    }
    Ok(Exit::Done)
}

async fn retry(screen: &Screen, client: &Client, id: Uuid, timeout: Duration) -> Result<Exit, Failure> {
    let asked = client.post::<Asked>(&["parked", &id.to_string(), "retry"], &json!({})).await?;
    let what = format!("the retry of {id}");
    let Some(result) = finish(screen, client, asked.typed.request, &what, timeout).await? else {
        return Ok(Exit::Held);
    };
    let retried = Retried::deserialize(&result).map_err(anyhow::Error::from)?;
    if screen.is_json() {
        screen.document(&result)?;
    } else {
        screen.answer(&parked::retried(id, &retried, screen.out))?;
    }
    Ok(Exit::Done)
}
