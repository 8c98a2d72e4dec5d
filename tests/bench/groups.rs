//! A group of 100,000: what one change of it costs, a first push, and the removal of all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tests::world::{Postgres, Scim, Site, World, eventually, text};

use crate::usage::Usage;

const MEMBERS: usize = 100_000;
const WAIT: Duration = Duration::from_secs(600);

/// People of okta as a push would have stored them, each with its one event, which the bus has had.
const PEOPLE: &str = "
    WITH people AS MATERIALIZED (
        SELECT n, gen_random_uuid() AS account, gen_random_uuid() AS identity FROM generate_series(1, $1) AS n
    ), identities AS (
        INSERT INTO directory.identities (id, state, user_name, version, last_bulk, recorded_at)
        SELECT identity, 'active', 'user' || n, 1, 1, clock_timestamp() FROM people
    ), accounts AS (
        INSERT INTO directory.accounts (id, source, native_id, identity_id, user_name, unique_name, attributes, stated, fact,
                                        counted, content_hash)
        SELECT account, 'okta', account::text, identity, 'user' || n, 'user' || n, '{}', 'active', 'active', 'active', ''
        FROM people
    )
    INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
    SELECT gen_random_uuid(), 'identity', identity, 'identity.created', 1, 0, 1, 2, clock_timestamp(), '{}' FROM people";

pub async fn measure() {
    let site = Site::with_postgres(Postgres::start_durable().await, |names| names.usual()).await;
    let world = World::at(site).await;
    let pool = PgPoolOptions::new().max_connections(1).connect(world.site().database().url()).await;
    let pool = pool.expect("the database of the world answers");
    let members = i64::try_from(MEMBERS).expect("a small number");
    sqlx::query(PEOPLE).bind(members).execute(&pool).await.expect("people can be stored");
    sqlx::query("ANALYZE directory.accounts, directory.identities, ledger.events")
        .execute(&pool)
        .await
        .expect("analyzed");
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT native_id FROM directory.accounts WHERE source = 'okta' ORDER BY 1")
            .fetch_all(&pool)
            .await
            .expect("accounts can be read");
    let stage = Stage { okta: world.scim("okta"), world, pool };
    let (first, others) = ids.split_first().expect("people");

    println!("## A group of {MEMBERS}\n");
    println!("| call | answered, s | all told, s | events | peak memory of Leaver, MiB |\n|---|---|---|---|---|");
    let created = stage.okta.raw("POST", "/Groups", Some(resource(&[]).to_string())).await;
    let path = format!("/Groups/{}", text(&created.expect_status(201).json()["id"]));
    let put = |members: &[String]| Some(resource(members).to_string());
    let one = |op: &str| {
        let operation = json!({"op": op, "path": "members", "value": [{"value": first}]});
        Some(patch(&operation))
    };
    stage.row("PUT of all but one, the first push", "PUT", &path, put(others)).await;
    for round in ["first", "again"] {
        stage.row(&format!("PATCH adds one, {round}"), "PATCH", &path, one("add")).await;
        stage.row(&format!("PATCH removes one, {round}"), "PATCH", &path, one("remove")).await;
        stage.row(&format!("PUT of the same, {round}"), "PUT", &path, put(others)).await;
        let swapped: Vec<String> = others[1..].iter().chain([first]).cloned().collect();
        stage.row(&format!("PUT with one other, {round}"), "PUT", &path, put(&swapped)).await;
        stage.row(&format!("PUT with it back, {round}"), "PUT", &path, put(others)).await;
    }
    stage
        .row(
            "PATCH removes all, which is held",
            "PATCH",
            &path,
            Some(patch(&json!({"op": "remove", "path": "members"}))),
        )
        .await;
    stage.approve().await;
    println!();
}

struct Stage {
    okta: Scim,
    world: World,
    pool: PgPool,
}

impl Stage {
    async fn row(&self, name: &str, method: &str, path: &str, body: Option<String>) {
        let before = self.events().await;
        let sent = Instant::now();
        let answer = self.okta.raw(method, path, body).await;
        assert!(answer.status < 300, "{name}: {}", answer.body);
        let answered = sent.elapsed();
        self.told().await;
        self.print(name, answered, sent.elapsed(), before).await;
    }

    async fn approve(&self) {
        let before = self.events().await;
        let plans = self.world.cli(&["plan", "list", "--held", "--output", "json"]).await.expect_code(0).json();
        let begun = Instant::now();
        self.world.cli(&["plan", "approve", &text(&plans["items"][0]["id"])]).await.expect_code(0);
        let done = begun.elapsed();
        self.print("that plan is approved", done, done, before).await;
    }

    async fn print(&self, name: &str, answered: Duration, told: Duration, before: i64) {
        let events = self.events().await - before;
        let peak = self.world.members().map(|m| Usage::of(m.process_id()).peak_mib).sum::<u64>();
        println!("| {name} | {:.3} | {:.3} | {events} | {peak} |", answered.as_secs_f64(), told.as_secs_f64());
    }

    async fn events(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM ledger.events WHERE type LIKE 'membership.%'");
        count.fetch_one(&self.pool).await.expect("events can be counted")
    }

    /// Waits until every change has its event.
    async fn told(&self) {
        let none = "SELECT NOT EXISTS (SELECT FROM directory.fan_outs)";
        let done =
            async || sqlx::query_scalar::<_, bool>(none).fetch_one(&self.pool).await.expect("fan-outs can be read");
        eventually(WAIT, "the fan-out ends", done).await;
    }
}

fn resource(members: &[String]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "everybody", "members": members})
}

fn patch(operation: &Value) -> String {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}).to_string()
}
