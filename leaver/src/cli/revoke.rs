//! `revoke`, `lock` and `unlock`: accepted at once; with `--wait`, followed until every downstream has answered; with `--dry-run`, only looked at.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, Client};
use crate::show::revocation::{self, Revocation};
use crate::show::sessions::{self, Look};

use super::args::{self, Until, Wait};
use super::failure::{Exit, Failure, Message};
use super::holds;
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
    identity: Option<Uuid>,
    /// Of somebody whom no source knows: identities that go by the same text.
    #[serde(default)]
    known: Vec<Uuid>,
}

pub async fn run(screen: &Screen, client: &Client, wish: &args::Revoke) -> Result<Exit, Failure> {
    let (who, mut body) = match (&wish.subject, &wish.who) {
        (None, None) => ("", json!({"group": wish.group, "reason": wish.reason})),
        (Some(value), _) if wish.downstreams.len() == 1 => {
            (value.as_str(), json!({"subject": value, "reason": wish.reason}))
        }
        (Some(_), _) => {
            let told = Message::new(Exit::Usage, "--subject is what one downstream calls somebody");
            return Err(told.help("name that downstream, and no other").into());
        }
        (None, who) => {
            let who = who.as_deref().unwrap_or_default();
            (who, json!({"who": who, "reason": wish.reason}))
        }
    };
    if !wish.downstreams.is_empty() {
        body["downstreams"] = json!(wish.downstreams);
    }
    if let Some(lasts) = wish.lock_for {
        body["lock_for"] = json!(humantime::format_duration(lasts).to_string());
    }
    if wish.credentials {
        body["credentials"] = json!(true);
    }
    if wish.dry_run {
        body["dry_run"] = json!(true);
    }
    if wish.group.is_some() {
        return holds::revoke(screen, client, wish, &body).await;
    }
    if wish.dry_run {
        return rehearse(screen, client, who, &body).await;
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
    let Accepted { id, identity, known } = accepted.typed;
    namesakes(screen, &known);
    let next = identity.map_or_else(|| "leaver owed list".to_owned(), |id| format!("leaver identity trace {id}"));
    let Some(wanted) = until.wait else {
        if screen.is_json() {
            screen.document(&accepted.json)?;
        } else {
            screen.answer(&revocation::accepted(who, id, screen.out))?;
            screen.next(&next);
        }
        return Ok(Exit::Done);
    };
    let what = format!("{who} to be {} everywhere", wanted.as_str());
    let follow = follow(client, id, wanted, until.timeout);
    let (reached, seen) = progress::during(screen, &what, until.timeout, follow).await?;
    if screen.is_json() {
        screen.document(&with_whom(seen.json, &accepted.json))?;
    } else {
        screen.answer(&revocation::show(who, &seen.typed, screen.out))?;
    }
    if reached {
        return Ok(Exit::Done);
    }
    progress::unfinished(screen, &revocation::missing(wanted.as_str(), &seen.typed));
    screen.next(&next);
    Ok(Exit::Held)
}

/// What would end where; nothing is changed.
async fn rehearse(screen: &Screen, client: &Client, who: &str, body: &Value) -> Result<Exit, Failure> {
    let look = client.post::<Look>(&["revocations"], body);
    let mut seen = progress::during(screen, "a look at every downstream", Duration::from_secs(15), look).await?;
    if screen.is_json() {
        screen.document(&seen.json)?;
    } else {
        namesakes(screen, &seen.typed.known);
        seen.typed.user_name.get_or_insert_with(|| who.to_owned());
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
fn with_whom(mut answer: Value, accepted: &Value) -> Value {
    for key in ["identity", "kind", "known"] {
        if let Some(said) = accepted.get(key) {
            answer[key] = said.clone();
        }
    }
    answer
}

/// Whoever is known by the text that stands for a stranger may have more sessions than those under it.
fn namesakes(screen: &Screen, known: &[Uuid]) {
    if screen.is_json() {
        return;
    }
    for id in known {
        screen.remark(&format!("somebody who is known goes by that, too: leaver identity show {id}\n"));
    }
}
