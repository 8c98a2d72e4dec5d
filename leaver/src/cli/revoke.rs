//! `revoke`, `lock` and `unlock`: accepted at once; with `--wait`, followed until every downstream has answered; with `--dry-run`, only looked at.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, Client};
use crate::show::revocation::{self, Revocation};
use crate::show::sessions::{self, Look};

use super::args::{self, Until, Wait};
use super::failure::{Exit, Failure};
use super::progress;
use super::screen::Screen;
use super::sources::{Asked, finish};

/// The server is asked to wait so long at a time, less than what breaks idle connections.
const ROUND: Duration = Duration::from_secs(10);
/// How long an unlock may take, behind which no work stands.
const AT_ONCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Accepted {
    id: Uuid,
    identity: Uuid,
}

pub async fn run(screen: &Screen, client: &Client, wish: &args::Revoke) -> Result<Exit, Failure> {
    let who = wish.who.who.as_str();
    let mut body = json!({"who": who, "reason": wish.reason});
    if !wish.downstreams.is_empty() {
        body["downstreams"] = json!(wish.downstreams);
    }
    if let Some(lasts) = wish.lock_for {
        body["lock_for"] = json!(humantime::format_duration(lasts).to_string());
    }
    if wish.dry_run {
        body["dry_run"] = json!(true);
        return rehearse(screen, client, &body).await;
    }
    order(screen, client, "revocations", who, &body, &wish.until).await
}

/// `lock`: a revocation that lasts.
pub async fn lock(screen: &Screen, client: &Client, wish: &args::Lock) -> Result<Exit, Failure> {
    let who = wish.who.who.as_str();
    let lasts = humantime::format_duration(wish.lasts).to_string();
    let mut body = json!({"who": who, "reason": wish.reason, "for": lasts});
    if !wish.downstreams.is_empty() {
        body["downstreams"] = json!(wish.downstreams);
    }
    order(screen, client, "locks", who, &body, &wish.until).await
}

/// `unlock`: at once, or there is no revoker.
pub async fn unlock(screen: &Screen, client: &Client, who: &str, reason: Option<&str>) -> Result<Exit, Failure> {
    let asked = client.post::<Asked>(&["unlocks"], &json!({"who": who, "reason": reason})).await?;
    let what = format!("{who} to be unlocked");
    let Some(result) = finish(screen, client, asked.typed.request, &what, AT_ONCE).await? else {
        return Ok(Exit::Held);
    };
    let unlocked = result["unlocked"].as_u64().unwrap_or_default();
    if screen.is_json() {
        screen.document(&json!({"identity": asked.json["identity"], "unlocked": unlocked}))?;
    } else {
        screen.answer(&revocation::unlocked(who, unlocked, screen.out))?;
    }
    Ok(Exit::Done)
}

/// Orders it, and follows it if that is wanted.
async fn order(
    screen: &Screen,
    client: &Client,
    route: &str,
    who: &str,
    body: &Value,
    until: &Until,
) -> Result<Exit, Failure> {
    let accepted = client.post::<Accepted>(&[route], body).await?;
    let Accepted { id, identity } = accepted.typed;
    let trace = format!("leaver identity trace {identity}");
    let Some(wanted) = until.wait else {
        if screen.is_json() {
            screen.document(&accepted.json)?;
        } else {
            screen.answer(&revocation::accepted(who, id, screen.out))?;
            screen.next(&trace);
        }
        return Ok(Exit::Done);
    };
    let what = format!("{who} to be {} everywhere", wanted.as_str());
    let follow = follow(client, id, wanted, until.timeout);
    let (reached, seen) = progress::during(screen, &what, until.timeout, follow).await?;
    if screen.is_json() {
        screen.document(&with_identity(seen.json, identity))?;
    } else {
        screen.answer(&revocation::show(who, &seen.typed, screen.out))?;
    }
    if reached {
        return Ok(Exit::Done);
    }
    progress::unfinished(screen, &revocation::missing(wanted.as_str(), &seen.typed));
    screen.next(&trace);
    Ok(Exit::Held)
}

/// What would end where; nothing is changed.
async fn rehearse(screen: &Screen, client: &Client, body: &Value) -> Result<Exit, Failure> {
    let look = client.post::<Look>(&["revocations"], body);
    let seen = progress::during(screen, "a look at every downstream", Duration::from_secs(15), look).await?;
    if screen.is_json() {
        screen.document(&seen.json)?;
    } else {
        screen.answer(&sessions::would_end(&seen.typed, screen.out))?;
    }
    match sessions::silent(&seen.typed) {
        Some(silent) => {
            progress::unfinished(screen, &silent);
            Ok(Exit::Held)
        }
        None => Ok(Exit::Done),
    }
}

async fn follow(
    client: &Client,
    id: Uuid,
    wanted: Wait,
    limit: Duration,
) -> Result<(bool, Answer<Revocation>), Failure> {
    let id = id.to_string();
    progress::rounds(limit, ROUND, async |round: Duration| {
        let timeout = humantime::format_duration(Duration::from_millis(round.as_millis() as u64)).to_string();
        let query = [("wait", Some(wanted.as_str().to_owned())), ("timeout", Some(timeout))];
        let seen = client.wait::<Revocation>(&["revocations", &id], &query, round).await?;
        Ok((seen.typed.reached, seen))
    })
    .await
}

/// The answer about a revocation calls them subject; who asked by name wants to know whom that meant.
fn with_identity(mut answer: Value, identity: Uuid) -> Value {
    answer["identity"] = json!(identity);
    answer
}
