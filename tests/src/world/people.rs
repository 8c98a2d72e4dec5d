//! What a world says of people: HR's file, the command line, and the answers about one person.

use serde_json::Value;
use tokio::time::Instant;

use super::waiting::POLL;
use super::{Output, Person, SOON, World, hr, text, until};

impl World {
    /// Runs the program with these arguments and this world's configuration.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        self.site.run_on(arguments, self.console().data()).await
    }

    /// Like [`World::cli`], for what must succeed and answers in JSON.
    pub async fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--output", "json"]].concat()).await;
        output.expect_code(0).json()
    }

    /// Writes the HR file, all of it at once.
    pub fn hr_file(&self, people: &[Person]) {
        hr::write(&self.site.path("people.csv"), people);
    }

    /// Writes the HR file and reads it.
    pub async fn hr(&self, people: &[Person]) -> Output {
        self.hr_file(people);
        self.cli(&["source", "sync", "people"]).await
    }

    /// The identity that `who` names, as `identity show` says.
    pub async fn identity(&self, who: &str) -> Value {
        self.ask(&["identity", "show", who]).await
    }

    pub async fn id_of(&self, who: &str) -> String {
        self.identity(who).await["id"].as_str().expect("an identity has an id").to_owned()
    }

    pub async fn state_of(&self, who: &str) -> String {
        self.identity(who).await["state"].as_str().expect("an identity has a state").to_owned()
    }

    /// The types of all events about `who`, oldest first. A page ends before the oldest transaction in flight, of whichever world on
    /// the server, so it may come to what the ledger has only after a while.
    pub async fn events_of(&self, who: &str) -> Vec<String> {
        let id = self.id_of(who).await;
        let pool = self.site.database().pool().await;
        let path = format!("/api/v1/events?subject={id}&limit=1000");
        until(SOON, &format!("all events about {who} can be read"), async || {
            let count = sqlx::query_scalar("SELECT count(*) FROM ledger.events WHERE subject_id::text = $1").bind(&id);
            let count: i64 = count.fetch_one(&pool).await.expect("the ledger can be read");
            let page = self.admin().get(&path).await.expect_status(200).json();
            let types: Vec<_> =
                page["items"].as_array().expect("a page has items").iter().map(|e| text(&e["type"])).collect();
            (types.len() as i64 >= count).then_some(types)
        })
        .await
    }

    /// The receipt of the latest revocation of `who` at `downstream`; null while there is none.
    pub async fn receipt(&self, who: &str, downstream: &str) -> Value {
        let trace = self.admin().get(&format!("/api/v1/identities/{who}/trace")).await.expect_status(200).json();
        let hops = trace["hops"].as_array().expect("a trace has hops");
        let Some(revocation) = hops.iter().find(|h| h["hop"] == "decided").map(|h| text(&h["event_id"])) else {
            return Value::Null;
        };
        let answer = self.admin().get(&format!("/api/v1/revocations/{revocation}")).await;
        if answer.status != 200 {
            return Value::Null;
        }
        let receipts = answer.json()["receipts"].clone();
        receipts
            .as_array()
            .and_then(|all| all.iter().find(|r| r["downstream"] == downstream))
            .cloned()
            .unwrap_or_default()
    }

    /// Waits until the latest revocation of `who` has reached `state` at `downstream`, or is beyond, and returns its receipt.
    ///
    /// # Panics
    /// When [`SOON`] has passed, with the receipt as it was seen last.
    pub async fn reached(&self, who: &str, downstream: &str, state: &str) -> Value {
        let end = Instant::now() + SOON;
        loop {
            let receipt = self.receipt(who, downstream).await;
            if rank(receipt["state"].as_str().unwrap_or_default()) >= rank(state) {
                return receipt;
            }
            assert!(Instant::now() < end, "{who} is not {state} at {downstream} within {SOON:?}: {receipt:#}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// How far a receipt in this state is; what is owed or stuck is nowhere yet.
fn rank(state: &str) -> usize {
    ["applied", "verified", "settled"].iter().position(|named| *named == state).map_or(0, |place| place + 1)
}
