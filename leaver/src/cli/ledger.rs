//! `ledger check`.

use std::time::Duration;

use crate::client::Client;
use crate::show::ledger::{self, Ledger};

use super::failure::{Exit, Failure};
use super::progress;
use super::screen::Screen;

/// Every history is read.
const PATIENCE: Duration = Duration::from_secs(300);

pub async fn check(screen: &Screen, client: &Client) -> Result<Exit, Failure> {
    let path = ["ledger", "check"];
    let check = client.wait::<Ledger>(&path, &[], PATIENCE);
    let found = progress::during(screen, "the check of the ledger", PATIENCE, check).await?;
    if screen.is_json() {
        screen.document(&found.json)?;
    } else {
        screen.answer(&ledger::show(&found.typed, screen.out))?;
    }
    Ok(if found.typed.findings.is_empty() { Exit::Done } else { Exit::Failed })
}
