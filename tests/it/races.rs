//! Requests and logins that race a revocation at random instants, in real applications on real session libraries: nobody
//! survives it, no neighbour is harmed, and who comes back keeps the new session.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::RngExt;
use serde_json::json;
use tests::world::{
    Application, Browser, Database, Express, Framework, SOON, Scim, World, eventually, okta, person, redis_url, rounds,
};
use tokio::sync::watch;

/// People who leave at about the same time, each from every application.
const AT_ONCE: u32 = 4;

/// Long enough that every request in flight ends within the series.
const SWEEPS: &str = "[200ms, 1s, 2s, 3s]";

const FRAMEWORKS: [Framework; 4] =
    [Framework::Flask, Framework::Django, Framework::DjangoCached, Framework::SpringIndexed];

/// An application, by the name of its downstream.
enum App {
    Express(Express),
    Framework(Application),
}

impl App {
    async fn sign_in(&self, user: &str) -> Browser {
        match self {
            App::Express(express) => express.sign_in(user).await,
            App::Framework(application) => application.sign_in(user).await,
        }
    }
}

/// How long a session that was to end still worked after the identity provider had its answer, for each application.
type Windows = Vec<(&'static str, Vec<Duration>)>;

#[tokio::test]
async fn requests_that_race_their_revocation_over_and_over_bring_nobody_back_and_harm_nobody() {
    let (django, cached, none) = (Database::create().await, Database::create().await, Database::create().await);
    let database = |framework: Framework| match framework {
        Framework::Django => &django,
        Framework::DjangoCached => &cached,
        _ => &none,
    };
    let world = World::start(|names| {
        let okta = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        let express: String =
            ["web", "resaving"].map(|name| format!("  {name}: {}\n", names.redis(name, &redis_url(), SWEEPS))).concat();
        let frameworks: String = FRAMEWORKS.map(|f| f.downstream(names, database(f), SWEEPS)).concat();
        format!("sources:\n  okta: {okta}\ndownstreams:\n{express}{frameworks}")
    })
    .await;
    let mut apps = vec![
        ("web", App::Express(world.express().await)),
        ("resaving", App::Express(world.express_that_resaves("resaving").await)),
    ];
    for framework in FRAMEWORKS {
        let application = Application::start(world.site(), framework, database(framework)).await;
        apps.push((framework.name(), App::Framework(application)));
    }
    let scim = world.scim("okta");
    scim.create(&person(1, "neighbour")).await;
    let mut neighbours = Vec::new();
    for (name, app) in &apps {
        neighbours.push((*name, app.sign_in("neighbour").await));
    }

    let mut windows: Windows = apps.iter().map(|(name, _)| (*name, Vec::new())).collect();
    let mut returned = Vec::new();
    for round in 0..rounds(1) {
        let users: Vec<String> = (0..AT_ONCE).map(|n| format!("user{round}-{n}")).collect();
        let mut racing = Vec::new();
        for (n, user) in (0..).zip(&users) {
            let account = scim.create(&person(1_000 + round * AT_ONCE + n, user)).await;
            let mut browsers = Vec::new();
            for (name, app) in &apps {
                browsers.push((*name, app.sign_in(user).await));
            }
            racing.push(race(&scim, account, user.clone(), browsers));
        }
        for (user, account, stayed, dead) in join_all(racing).await {
            for ((_, all), (_, one)) in windows.iter_mut().zip(stayed) {
                all.push(one);
            }
            for (name, browser) in &dead {
                let receipt = world.reached(&user, name, "settled").await;
                assert_eq!(browser.me().await, None, "{user} survived at {name}: {receipt:#}");
            }
            returned.push((user.clone(), come_back(&world, &scim, &account, &user, &apps).await, dead));
        }
    }

    // One more leaves: whatever else was to happen has happened when that is settled.
    let account = scim.create(&person(999, "last")).await;
    scim.deactivate(&account).await;
    for (name, neighbour) in &neighbours {
        world.reached("last", name, "settled").await;
        assert_eq!(neighbour.me().await.as_deref(), Some("neighbour"), "{name}");
    }
    for (user, fresh, dead) in &returned {
        for ((name, fresh), (_, dead)) in fresh.iter().zip(dead) {
            assert_eq!(fresh.me().await.as_deref(), Some(user.as_str()), "the new session of {user} at {name} lives");
            assert_eq!(dead.me().await, None, "the old session of {user} at {name} stays dead");
        }
    }
    print(windows);
}

/// Uses every application with several requests at a time, and deactivates the user in the midst of it.
async fn race(
    scim: &Scim,
    account: String,
    user: String,
    browsers: Vec<(&'static str, Browser)>,
) -> (String, String, Vec<(&'static str, Duration)>, Vec<(&'static str, Browser)>) {
    let (tell, answered) = watch::channel(None);
    let mut tabs = Vec::new();
    for (name, browser) in &browsers {
        for tab in 0..2 {
            let label = format!("{user}-{tab}");
            let answered = answered.clone();
            tabs.push(async move { (*name, work(browser, &label, &answered).await) });
        }
    }
    let revocation = async {
        tokio::time::sleep(at_random(150)).await;
        scim.deactivate(&account).await;
        let now = Instant::now();
        tell.send_replace(Some(now));
        now
    };
    let (last, answered) = tokio::join!(join_all(tabs), revocation);
    let stayed = |name: &str| {
        let theirs = last.iter().filter(|(other, _)| *other == name).map(|(_, at)| *at);
        theirs.max().map_or(Duration::ZERO, |at| at.saturating_duration_since(answered))
    };
    let stayed = browsers.iter().map(|(name, _)| (*name, stayed(name))).collect();
    (user, account, stayed, browsers)
}

/// Reads and changes the session at random instants, for a second after the end was `answered`. When it last worked.
async fn work(browser: &Browser, label: &str, answered: &watch::Receiver<Option<Instant>>) -> Instant {
    let mut last = Instant::now();
    for turn in 0.. {
        if answered.borrow().is_some_and(|at| at.elapsed() > Duration::from_secs(1)) {
            break;
        }
        tokio::time::sleep(at_random(200)).await;
        if browser.me().await.is_none() {
            continue;
        }
        last = Instant::now();
        // A request that has read its session and changed it may end before, amid or after the revocation.
        if let Some(in_flight) = browser.try_hold(&format!("{label}-{turn}")).await {
            tokio::time::sleep(at_random(30)).await;
            if in_flight.finish().await.status == 200 {
                last = Instant::now();
            }
        }
    }
    last
}

fn at_random(most_ms: u64) -> Duration {
    Duration::from_micros(rand::rng().random_range(0..=most_ms * 1_000))
}

/// The user is active again, and signs in at every application as soon as that is decided.
async fn come_back(
    world: &World,
    scim: &Scim,
    account: &str,
    user: &str,
    apps: &[(&'static str, App)],
) -> Vec<(&'static str, Browser)> {
    // Nothing else is decided meanwhile.
    let decisions = async || world.metric("leaver_decisions_total", "").await;
    let before = decisions().await;
    scim.patch(account, &json!({"op": "replace", "value": {"active": true}})).await.expect_status(200);
    eventually(SOON, "the return is decided", async || decisions().await > before).await;
    let mut browsers = Vec::new();
    for (name, app) in apps {
        browsers.push((*name, app.sign_in(user).await));
    }
    browsers
}

/// Percentiles, and how many windows were that long at most and longer than the bound before: tables of several runs add up.
fn print(windows: Windows) {
    const BOUNDS: [u64; 12] = [5, 10, 20, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, u64::MAX];
    let head: String = BOUNDS[..11].iter().map(|bound| format!(" ≤ {bound} |")).collect();
    println!(
        "| from the answer to the last request that still worked, ms | people | p50 | p90 | p99 | max |{head} more |\n|{}",
        "---|".repeat(6 + BOUNDS.len())
    );
    for (name, mut all) in windows {
        all.sort_unstable();
        let at = |part: usize| all[(all.len() - 1) * part / 100].as_secs_f64() * 1e3;
        let mut counts = [0; BOUNDS.len()];
        for window in &all {
            counts[BOUNDS.partition_point(|bound| u128::from(*bound) < window.as_millis())] += 1;
        }
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(at);
        let counts: String = counts.iter().map(|count| format!(" {count} |")).collect();
        println!("| {name} | {} | {p50:.1} | {p90:.1} | {p99:.1} | {max:.1} |{counts}", all.len());
    }
}
