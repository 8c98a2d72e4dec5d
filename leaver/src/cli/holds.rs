//! `hold list`, `show`, `approve` and `reject`; and `revoke --group`, which makes one.

use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, Client};
use crate::show::Items;
use crate::show::hold::{self, Group, Hold, Rows, Verdict};

use super::args::{self, Wait};
use super::failure::{Exit, Failure};
use super::pages;
use super::progress;
use super::screen::Screen;
use super::sources::{Asked, finish};

/// How long a revoker may take to write down who is in a group.
const SOON: Duration = Duration::from_secs(30);
const ANOTHER: &str = "held: another person has to approve it as well, with a token of their own";

pub async fn run(screen: &Screen, client: &Client, verb: &args::Hold) -> Result<Exit, Failure> {
    match verb {
        args::Hold::List { held } => list(screen, client, *held).await,
        args::Hold::Show { id, all } => show(screen, client, id, *all).await,
        args::Hold::Approve { id, timeout } => answer(screen, client, *id, "approve", &json!({}), *timeout).await,
        args::Hold::Reject { id, reason, timeout } => {
            answer(screen, client, *id, "reject", &json!({"reason": reason}), *timeout).await
        }
    }
}

async fn list(screen: &Screen, client: &Client, held: bool) -> Result<Exit, Failure> {
    let found = client.get::<Items<Hold>>(&["holds"], &[("state", held.then(|| "held".to_owned()))]).await?;
    if screen.is_json() {
        screen.document(&found.json)?;
    } else if found.typed.items.is_empty() {
        screen.remark(if held { "nothing is held\n" } else { "no holds\n" });
    } else {
        screen.answer(&hold::list(&found.typed.items, Utc::now(), screen.out))?;
        if let Some(newest) = found.typed.items.iter().find(|hold| hold.state == "held") {
            screen.next(&format!("leaver hold show {}", newest.id));
        }
    }
    Ok(Exit::Done)
}

async fn show(screen: &Screen, client: &Client, id: &str, all: bool) -> Result<Exit, Failure> {
    let seen = pages::read::<Rows>(client, "hold", id, all).await?;
    if screen.is_json() {
        screen.document(&seen.json)?;
    } else {
        screen.answer(&hold::show(&seen.typed, Utc::now(), screen.out))?;
    }
    Ok(Exit::Done)
}

/// Approves or rejects; waits until all of an approved one is ordered.
async fn answer(
    screen: &Screen,
    client: &Client,
    id: Uuid,
    verb: &str,
    body: &Value,
    timeout: Duration,
) -> Result<Exit, Failure> {
    let asked = client.post::<Asked>(&["holds", &id.to_string(), verb], body).await?;
    let what = format!("hold {id} to be answered");
    let Some(result) = finish(screen, client, asked.typed.request, &what, timeout).await? else {
        return Ok(Exit::Held);
    };
    let verdict = Verdict::deserialize(&result).map_err(anyhow::Error::from)?;
    if screen.is_json() {
        screen.document(&result)?;
    } else {
        screen.answer(&hold::answered(id, &verdict, screen.out))?;
    }
    match verdict {
        Verdict::Waiting { .. } => {
            progress::unfinished(screen, ANOTHER);
            Ok(Exit::Held)
        }
        Verdict::Rejected { .. } => Ok(Exit::Done),
        Verdict::Approved { rows } => {
            let (ordered, last) = follow(screen, client, id, None, rows, timeout).await?;
            if ordered {
                return Ok(Exit::Done);
            }
            progress::unfinished(screen, &hold::far(&last.typed.hold, last.typed.progress));
            screen.next(&format!("leaver hold show {id}"));
            Ok(Exit::Held)
        }
    }
}

#[derive(Deserialize)]
struct Accepted {
    id: Uuid,
    #[serde(flatten)]
    group: Group,
}

/// What the server says of a hold that was just asked for.
#[derive(Deserialize)]
struct Taken {
    hold: Option<Hold>,
}

/// `revoke --group`.
pub async fn revoke(screen: &Screen, client: &Client, wish: &args::Revoke, body: &Value) -> Result<Exit, Failure> {
    if wish.dry_run {
        let seen = client.post::<Group>(&["revocations"], body).await?;
        if screen.is_json() {
            screen.document(&seen.json)?;
        } else {
            screen.answer(&hold::would_end(&seen.typed, screen.out))?;
        }
        return Ok(Exit::Done);
    }
    let accepted = client.post::<Accepted>(&["revocations"], body).await?;
    let Accepted { id, group } = accepted.typed;
    let path = id.to_string();
    let taken = progress::rounds(SOON, Duration::ZERO, async |_| {
        let seen = client.get::<Taken>(&["holds", &path], &[("limit", Some("0".to_owned()))]).await?;
        Ok::<_, Failure>((seen.typed.hold.is_some(), seen))
    });
    let (taken, seen) = progress::during(screen, "a revoker to write down who is in the group", SOON, taken).await?;
    let Some(hold) = seen.typed.hold.filter(|_| taken) else {
        progress::unfinished(screen, "no revoker has taken it yet; it stays asked for");
        screen.next(&format!("leaver hold show {id}"));
        return Ok(Exit::Held);
    };
    let next = format!("leaver hold show {id}");
    let held = hold.state == "held";
    let Some(wanted) = wish.until.wait.filter(|_| !held) else {
        if screen.is_json() {
            let mut document = accepted.json;
            document["state"] = json!(hold.state);
            screen.document(&document)?;
        } else {
            let state = if held { "held" } else { "accepted" };
            screen.answer(&hold::accepted(&group, state, id, screen.out))?;
        }
        if held {
            progress::unfinished(screen, ANOTHER);
        }
        screen.next(&next);
        return Ok(if held { Exit::Held } else { Exit::Done });
    };
    let (reached, last) = follow(screen, client, id, Some(wanted), hold.rows, wish.until.timeout).await?;
    if screen.is_json() {
        let mut document = last.json;
        document["reached"] = json!(reached);
        screen.document(&document)?;
    } else {
        screen.answer(&hold::show(&Rows { items: Vec::new(), ..last.typed }, Utc::now(), screen.out))?;
    }
    if reached {
        return Ok(Exit::Done);
    }
    progress::unfinished(screen, &format!("not {} everywhere yet", wanted.as_str()));
    screen.next(&next);
    Ok(Exit::Held)
}

/// Follows an approved hold until everybody is ordered, or in this state at every downstream.
async fn follow(
    screen: &Screen,
    client: &Client,
    id: Uuid,
    wanted: Option<Wait>,
    rows: u64,
    limit: Duration,
) -> Result<(bool, Answer<Rows>), Failure> {
    let path = id.to_string();
    let what = wanted.map_or("people ordered", Wait::people);
    let mut counted = progress::Counted::new(screen, what, rows);
    let polled = progress::rounds(limit, Duration::ZERO, async |_| {
        let seen = client.get::<Rows>(&["holds", &path], &[("limit", Some("0".to_owned()))]).await?;
        let Rows { hold, progress, .. } = &seen.typed;
        let there = match wanted {
            None => hold.done,
            Some(Wait::Applied) => progress.applied,
            Some(Wait::Verified) => progress.verified,
            Some(Wait::Settled) => progress.settled,
        };
        counted.now_at(there);
        Ok::<_, Failure>((hold.state == "applied" && there >= hold.rows, seen))
    })
    .await;
    counted.end();
    polled
}
