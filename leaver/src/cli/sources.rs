//! `source list`, `plan` and `sync`, and how an asked-for run is followed to its end.

use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{self, Client};
use crate::show::Items;
use crate::show::run::{self, Run};
use crate::show::source::{self, Source};

use super::args;
use super::failure::{Exit, Failure, Message};
use super::progress;
use super::screen::Screen;

const ROUND: Duration = Duration::from_secs(10);

/// How long a wish may take that no work stands behind.
const AT_ONCE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
pub struct Asked {
    pub request: Uuid,
}

#[derive(Debug, Deserialize)]
struct Request {
    /// `new`, `done` or `failed`.
    state: String,
    result: Option<Value>,
}

pub async fn run(screen: &Screen, client: &Client, verb: &args::Source) -> Result<Exit, Failure> {
    match verb {
        args::Source::List => list(screen, client).await,
        args::Source::Plan(run) => read(screen, client, run, true).await,
        args::Source::Sync(run) => read(screen, client, run, false).await,
        args::Source::Pause { name, reason } => halt(screen, client, name, "pause", &json!({"reason": reason})).await,
        args::Source::Resume { name } => halt(screen, client, name, "resume", &json!({})).await,
    }
}

async fn list(screen: &Screen, client: &Client) -> Result<Exit, Failure> {
    let found = client.get::<Items<Source>>(&["sources"], &[]).await?;
    let sources = &found.typed.items;
    if screen.is_json() {
        screen.document(&found.json)?;
    } else if sources.is_empty() {
        screen.remark("no sources\n");
    } else {
        screen.answer(&source::list(sources, Utc::now(), screen.out))?;
        if sources.iter().any(|source| source.state == "held") {
            screen.next("leaver plan list --held");
        }
    }
    Ok(Exit::Done)
}

async fn read(screen: &Screen, client: &Client, wish: &args::Run, rehearsed: bool) -> Result<Exit, Failure> {
    let (name, verb) = (wish.name.as_str(), if rehearsed { "plan" } else { "sync" });
    let asked = ask(client, name, verb, &json!({})).await?;
    let what = format!("the {verb} of {name}");
    let Some(result) = finish(screen, client, asked, &what, wish.timeout).await? else { return Ok(Exit::Held) };
    let report = Run::deserialize(&result).map_err(anyhow::Error::from)?;
    if screen.is_json() {
        screen.document(&result)?;
    } else {
        screen.answer(&run::show(name, &report, rehearsed, screen.out))?;
    }
    if !report.is_held() {
        return Ok(Exit::Done);
    }
    if rehearsed {
        progress::unfinished(screen, "the brake would hold it");
    } else {
        progress::unfinished(screen, "held: `leaver plan list --held` shows what waits for a person");
        screen.next("leaver plan list --held");
    }
    Ok(Exit::Held)
}

/// Pauses or resumes a source. A worker does so at once, or there is none.
async fn halt(screen: &Screen, client: &Client, name: &str, verb: &str, body: &Value) -> Result<Exit, Failure> {
    let asked = ask(client, name, verb, body).await?;
    let what = format!("the {verb} of {name}");
    let Some(result) = finish(screen, client, asked, &what, AT_ONCE).await? else { return Ok(Exit::Held) };
    if screen.is_json() {
        screen.document(&result)?;
    } else {
        screen.answer(&source::halted(name, !result["paused"].is_null(), screen.out))?;
    }
    Ok(Exit::Done)
}

async fn ask(client: &Client, source: &str, verb: &str, body: &Value) -> Result<Uuid, Failure> {
    match client.post::<Asked>(&["sources", source, verb], body).await {
        Ok(asked) => Ok(asked.typed.request),
        Err(error) if Failure::is_unknown(&error) => Err(unknown(client, source, error).await),
        Err(error) => Err(error.into()),
    }
}

/// Waits until a request is carried out; `None`: it was not within `limit`, which has been said.
///
/// # Errors
/// What the worker says went wrong.
pub async fn finish(
    screen: &Screen,
    client: &Client,
    request: Uuid,
    what: &str,
    limit: Duration,
) -> Result<Option<Value>, Failure> {
    let id = request.to_string();
    let rounds = progress::rounds(limit, ROUND, async |round: Duration| {
        let timeout = humantime::format_duration(Duration::from_millis(round.as_millis() as u64)).to_string();
        let seen = client.wait::<Request>(&["requests", &id], &[("timeout", Some(timeout))], round).await?.typed;
        Ok::<_, Failure>((seen.state != "new", seen))
    });
    let (over, Request { state, result }) = progress::during(screen, what, limit, rounds).await?;
    if !over {
        let limit = humantime::format_duration(limit);
        progress::unfinished(screen, &format!("{what} did not end within {limit}; it goes on without anybody waiting"));
        return Ok(None);
    }
    let result = result.unwrap_or_default();
    match result["error"].as_str() {
        Some(error) => Err(Failure::new(Exit::Failed, error)),
        None if state == "failed" => Err(Failure::new(Exit::Failed, format!("{what} failed"))),
        None => Ok(Some(result)),
    }
}

/// The error about a source that does not exist, with those that do.
async fn unknown(client: &Client, name: &str, error: client::Error) -> Failure {
    let Ok(found) = client.get::<Items<Source>>(&["sources"], &[]).await else { return error.into() };
    let names: Vec<String> = found.typed.items.into_iter().map(|source| source.name).collect();
    let near = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), known), known))
        .filter(|(distance, known)| *distance <= (known.chars().count() / 3).max(1))
        .min()
        .map(|(_, known)| format!("a similar source is `{known}`"));
    let message = Message::new(Exit::Failed, error.to_string()).known(names.clone());
    match near {
        Some(near) => message.help(near).into(),
        None => message.into(),
    }
}
