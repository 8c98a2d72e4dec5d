//! What an identity provider's requests cost: Leaver beside the SCIM endpoint of BoxyHQ Jackson on the same PostgreSQL, by the same
//! client with the same bodies, and beside the least that PostgreSQL can do for a change that is durable.

mod jackson;
mod limit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tests::world::{Postgres, Role, Scim, Site, World, http, person};
use tokio::task::JoinSet;

use self::jackson::Jackson;
use crate::usage::Usage;
use crate::{histogram, micros};

/// Requests under way at a time.
const AT_ONCE: [usize; 3] = [1, 16, 64];

/// How long each is measured.
const SPAN: Duration = Duration::from_secs(5);

/// How long one answer may take; a group of so many takes Jackson a while.
const PATIENCE: Duration = Duration::from_secs(600);

/// Members of the group, and users beside them who come and go.
const MEMBERS: usize = 10_000;
const OTHERS: usize = 500;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Create,
    Find,
    ChangeUser,
    ChangeGroup,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Create, Self::Find, Self::ChangeUser, Self::ChangeGroup];

    fn describe(self) -> &'static str {
        match self {
            Self::Create => "POST a user",
            Self::Find => "GET a user by `userName eq`",
            Self::ChangeUser => "PATCH `active` of a user",
            Self::ChangeGroup => "PATCH a group: one member of 10,000",
        }
    }
}

/// A server that is measured.
#[derive(Clone)]
struct Server {
    http: reqwest::Client,
    base: String,
    token: String,
    /// What has been used so far is the process's.
    process: u32,
    /// The ids of the users that are there, the members of the group first.
    users: Arc<Vec<String>>,
    group: String,
    /// Counts requests, so that no two say the same.
    next: Arc<AtomicUsize>,
}

/// What a server did in one span.
struct Measured {
    times: Histogram<u64>,
    per_second: f64,
    /// CPU-seconds of its process for 1,000 requests.
    cpu: f64,
}

pub async fn measure() {
    let site = Site::with_postgres(Postgres::start_durable().await, |_| {
        // Neither the brake nor the rate of a token is measured.
        "sources:
  okta:
    connector: { type: scim, tokens: [\"env:SCIM_TOKEN\"], rate: { per_second: 1000000, burst: 1000000 } }
    correlate: [employeeNumber, userName]
    brake: { burst: { count: 1000000000, window: 60s } }
"
        .to_owned()
    })
    .await;
    let mut world = World::at(site).await;
    let postgres = world.site_mut().postgres_mut().url();
    let jackson = Jackson::start(&postgres).await;
    println!("## SCIM: Leaver beside Jackson on one PostgreSQL (fsync on), {} s each\n", SPAN.as_secs());
    println!(
        "| | at once | Leaver, requests/s | p50 ms | p99 ms | CPU-s per 1000 | Jackson, requests/s | p50 ms | p99 ms | CPU-s per 1000 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (base, token) = world.scim_address("okta");
    let leaver = Server::filled(base, token, world.member(Role::Up, 0).process_id()).await;
    let peer = Server::filled(jackson.scim.clone(), jackson.token.clone(), jackson.process()).await;
    for kind in Kind::ALL {
        for at_once in AT_ONCE {
            let (ours, theirs) = (leaver.run(kind, at_once).await, peer.run(kind, at_once).await);
            println!("| {} | {at_once} | {} | {} |", kind.describe(), ours.cells(), theirs.cells());
        }
    }
    println!();
    limit::measure(&postgres, world.site(), &AT_ONCE, SPAN).await;
}

impl Measured {
    fn cells(&self) -> String {
        let ms = |q: f64| format!("{:.1}", self.times.value_at_quantile(q) as f64 / 1e3);
        format!("{:.0} | {} | {} | {:.2}", self.per_second, ms(0.5), ms(0.99), self.cpu)
    }
}

impl Server {
    /// With the users and the group that requests are about.
    async fn filled(base: String, token: String, process: u32) -> Self {
        let mut server = Self {
            http: http(),
            base,
            token,
            process,
            users: Arc::default(),
            group: String::new(),
            next: Arc::default(),
        };
        let mut tasks = JoinSet::new();
        let mut users = Vec::new();
        for number in 0..MEMBERS + OTHERS {
            if tasks.len() == 16 {
                users.extend(tasks.join_next().await.map(|id| id.expect("no creation fails")));
            }
            let server = server.clone();
            tasks.spawn(async move { server.create(&format!("user{number}"), number).await });
        }
        users.extend(tasks.join_all().await);
        let members: Vec<Value> = users[..MEMBERS].iter().map(|id| json!({ "value": id })).collect();
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "everybody", "members": members
        });
        let made = server.send("POST", "/Groups", Some(group)).await;
        server.group = made["id"].as_str().expect("a group has an id").to_owned();
        server.users = Arc::new(users);
        server
    }

    async fn create(&self, user: &str, number: usize) -> String {
        let person = person(u32::try_from(number).expect("a small number"), user);
        let mut resource = Scim::resource(&person, true);
        // Jackson asks for a name, calls people by what is here, and finds them by their e-mail alone.
        resource["userName"] = resource["emails"][0]["value"].clone();
        resource["name"] = json!({ "givenName": user, "familyName": "Example" });
        let made = self.send("POST", "/Users", Some(resource)).await;
        made["id"].as_str().expect("a user has an id").to_owned()
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method: reqwest::Method = method.parse().expect("a method");
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.header("content-type", "application/scim+json").body(body.to_string());
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status();
        let bytes = response.bytes().await.expect("the answer is whole");
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    async fn one(&self, kind: Kind) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let user = |number: usize| &self.users[MEMBERS + number % OTHERS];
        let patch = |operation: Value| json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
        match kind {
            Kind::Create => {
                self.create(&format!("new{number}"), 1_000_000 + number).await;
            }
            Kind::Find => {
                let name = format!("user{}@example.com", MEMBERS + number % OTHERS);
                let found = self.send("GET", &format!("/Users?filter=userName%20eq%20%22{name}%22"), None).await;
                assert_eq!(found["totalResults"], 1, "{name} is found");
            }
            Kind::ChangeUser => {
                let active = number / OTHERS % 2 == 1;
                let operation = json!({ "op": "replace", "value": { "active": active } });
                self.send("PATCH", &format!("/Users/{}", user(number)), Some(patch(operation))).await;
            }
            Kind::ChangeGroup => {
                let id = user(number / 2);
                let operation = match number % 2 {
                    0 => json!({ "op": "add", "path": "members", "value": [{ "value": id }] }),
                    _ => json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") }),
                };
                self.send("PATCH", &format!("/Groups/{}", self.group), Some(patch(operation))).await;
            }
        }
    }

    async fn run(&self, kind: Kind, at_once: usize) -> Measured {
        let (before, begun) = (Usage::of(self.process), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            let server = self.clone();
            tasks.spawn(async move {
                let mut times = histogram();
                while begun.elapsed() < SPAN {
                    let sent = Instant::now();
                    server.one(kind).await;
                    times.saturating_record(micros(sent.elapsed()));
                }
                times
            });
        }
        let mut times = histogram();
        for of_one in tasks.join_all().await {
            times.add(of_one).expect("all are of one shape");
        }
        let (seconds, count) = (begun.elapsed().as_secs_f64(), times.len() as f64);
        let used = Usage::of(self.process).cpu_seconds - before.cpu_seconds;
        Measured { times, per_second: count / seconds, cpu: used / count * 1e3 }
    }
}
