//! Everybody in a large realm of Keycloak: how fast a first snapshot is read and stored, how fast one in which nothing has
//! changed, and how fast a bare client pages through the same lists.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::world::{Postgres, Role, Site, World};

use crate::realm::Realm;
use crate::usage::Usage;

/// How many users, unless `LEAVER_BENCH_USERS` says otherwise.
const USERS: usize = 100_000;

/// Each user is in `staff`, and in one of as many teams as it takes with so many users each.
const TEAM: usize = 1_000;

/// How many users one request of the import brings: its transaction gets slower with each.
const CHUNK: usize = 100;

/// Users of a page, as many as the connector asks for.
const PAGE: usize = 500;

pub async fn measure() {
    let users = std::env::var("LEAVER_BENCH_USERS").map_or(USERS, |text| text.parse().expect("a number of users"));
    let realm = Realm::create().await;
    let made = Instant::now();
    import(&realm, users).await;
    let on_postgres = std::env::var("LEAVER_KEYCLOAK_STORE").is_ok_and(|store| store == "postgres");
    let store = if on_postgres { "on PostgreSQL" } else { "with its built-in database" };
    println!(
        "## Keycloak {store}: {users} users, all in one group and {TEAM} in each of {} more (imported in {:.0} s)\n",
        users.div_ceil(TEAM),
        made.elapsed().as_secs_f64()
    );
    println!("| | seconds | people/s | CPU-seconds of Leaver | peak memory of Leaver, MiB |\n|---|---|---|---|---|");
    let people = bare(&realm, users).await;

    let site = Site::with_postgres(Postgres::start_durable().await, |_| {
        let connector = realm.settings("leaver");
        format!("sources:\n  corp: {{ connector: {connector}, correlate: [employeeNumber] }}\n")
    })
    .await;
    let world = World::at(site).await;
    let process = world.member(Role::Up, 0).process_id();
    for name in ["a first snapshot, stored", "the same again, unchanged"] {
        Usage::forget_peak(process);
        let (before, begun) = (Usage::of(process), Instant::now());
        world.cli(&["source", "sync", "corp", "--timeout", "4h"]).await.expect_code(0);
        let (took, after) = (begun.elapsed(), Usage::of(process));
        row(name, people, took, Some((after.cpu_seconds - before.cpu_seconds, after.peak_mib)));
    }
    bare(&realm, users).await;
    println!();
    realm.remove().await;
}

/// Before and after Leaver, for Keycloak remembers some of what it has just read.
async fn bare(realm: &Realm, users: usize) -> usize {
    let begun = Instant::now();
    let (people, memberships) = page_through(realm).await;
    assert!(people > users && memberships > 2 * users, "the realm has all of them, and a few of its own");
    row("a bare client, page after page", people, begun.elapsed(), None);
    people
}

fn row(name: &str, people: usize, took: Duration, leaver: Option<(f64, u64)>) {
    let seconds = took.as_secs_f64();
    let (cpu, memory) = leaver.map_or(("".to_owned(), "".to_owned()), |(c, m)| (format!("{c:.1}"), m.to_string()));
    println!("| {name} | {seconds:.1} | {:.0} | {cpu} | {memory} |", people as f64 / seconds);
}

async fn import(realm: &Realm, users: usize) {
    // Without events every run is a snapshot.
    realm.admin(Method::PUT, "", json!({ "adminEventsEnabled": false })).await;
    for team in 0..users.div_ceil(TEAM) {
        realm.admin(Method::POST, "/groups", json!({ "name": format!("team-{team}") })).await;
    }
    let numbers: Vec<usize> = (0..users).collect();
    for chunk in numbers.chunks(CHUNK) {
        let users: Vec<Value> = chunk.iter().map(|number| user(*number)).collect();
        let import = json!({ "ifResourceExists": "FAIL", "users": users });
        realm.admin(Method::POST, "/partialImport", import).await;
    }
}

fn user(number: usize) -> Value {
    json!({
        "username": format!("user{number}"), "enabled": true, "email": format!("user{number}@example.com"),
        "firstName": "User", "lastName": format!("Number {number}"),
        "attributes": { "employeeNumber": [number.to_string()], "department": [format!("d{}", number % 40)] },
        "groups": ["/staff", format!("/team-{}", number / TEAM)],
    })
}

/// Reads what the connector reads, in pages of the same size, and keeps no more of it than ids. Answers with the number of
/// users and of memberships.
async fn page_through(realm: &Realm) -> (usize, usize) {
    let groups = realm.get("/groups?first=0&max=500&briefRepresentation=true").await;
    let mut memberships = 0;
    for group in groups.as_array().into_iter().flatten() {
        let id = group["id"].as_str().expect("a group has an id");
        memberships += list(realm, &format!("/groups/{id}/members?briefRepresentation=true")).await.len();
    }
    let people = list(realm, "/users?briefRepresentation=false").await;
    (people.len(), memberships)
}

async fn list(realm: &Realm, path: &str) -> HashSet<String> {
    let (mut ids, mut first) = (HashSet::new(), 0);
    loop {
        let page = realm.get(&format!("{path}&first={first}&max={PAGE}")).await;
        let page = page.as_array().expect("a list");
        ids.extend(page.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        first += PAGE;
        if page.len() < PAGE {
            return ids;
        }
    }
}
