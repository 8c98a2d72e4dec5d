//! `policy replay`: what a policy would have made of the ledger's history, beside what was decided.

use std::path::Path;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::client::{self, Client};
use crate::config;
use crate::show::replay::{self, Part, Replay};

use super::args;
use super::failure::{Exit, Failure, Message};
use super::progress;
use super::screen::Screen;

/// Differences that are kept and shown, unless all are wanted: so memory does not grow with the ledger.
const SHOWN: usize = 50;
/// The server takes no larger draft.
const LARGEST: usize = 1_000_000;
/// For each part of the ledger.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(screen: &Screen, client: &Client, wish: &args::Replay) -> Result<Exit, Failure> {
    let too_long = || Failure::new(Exit::Usage, "--since is longer ago than a calendar goes");
    let ago = TimeDelta::from_std(wish.since).map_err(|_| too_long())?;
    let since = Utc::now().checked_sub_signed(ago).ok_or_else(too_long)?;
    let draft = wish.policy.as_deref().map(read).transpose()?;
    let policy = match &wish.policy {
        Some(file) => super::shown(file),
        None if wish.shadow => "the shadow".to_owned(),
        None => "the policy in force".to_owned(),
    };
    let most = if wish.all { usize::MAX } else { SHOWN };
    let mut body = json!({"since": since, "policy": draft, "shadow": wish.shadow});
    let replaying = async {
        let mut found = Part::default();
        loop {
            let part = client.post_patiently::<Part>(&["policy", "replay"], &body, PATIENCE).await?.typed;
            found.add(part, most);
            let Some(next) = found.next.take() else { return Ok::<_, client::Error>(found) };
            body["next"] = next;
        }
    };
    let found = progress::during(screen, "the history of the ledger", None, replaying).await;
    let found = match (found, &draft) {
        (Err(client::Error::Refused(refusal)), Some(text)) if !refusal.problems.is_empty() => {
            return Err(config::problems_of_policy(Path::new(&policy), text, refusal.problems).into());
        }
        (found, _) => found?,
    };
    let replayed = Replay { policy, since, found };
    if screen.is_json() {
        screen.document(&replayed)?;
    } else {
        screen.answer(&replay::show(&replayed, screen.out))?;
    }
    Ok(Exit::Done)
}

/// The text of a draft.
///
/// # Errors
/// It cannot be read, or is too large to be sent.
pub fn read(file: &Path) -> Result<String, Failure> {
    let failed = |what: String| Message::new(Exit::Usage, format!("{} {what}", super::shown(file)));
    let text =
        std::fs::read_to_string(file).map_err(|error| failed("cannot be read".to_owned()).caused_by(Some(&error)))?;
    if text.len() > LARGEST {
        return Err(failed(format!("is larger than {LARGEST} bytes, which is more than a policy may have")).into());
    }
    Ok(text)
}
