//! A personnel file of ten thousand, a hundred thousand and a million people: the first run, one in which nothing has changed,
//! one of another file that says the same, and one a week later, each beside the least that PostgreSQL can do with the same file; and what it costs
//! that one person comes and goes.

mod by_hand;
mod plot;

use std::fs::File;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use organisation::{Organisation, Profile};
use serde_json::{Value, json};
use tests::world::{Postgres, Role, Scim, Site, World, okta, people, person};

use self::by_hand::ByHand;
use self::plot::{Point, Series};
use crate::usage::Usage;
use crate::{histogram, micros, row};

/// How many people, one size after another, unless `LEAVER_BENCH_PEOPLE` names one.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// After so many days about one in a hundred people is another, elsewhere or gone.
const LATER: u32 = 7;

/// Requests while nothing else happens.
const IDLE: usize = 200;

pub async fn measure() {
    let asked = std::env::var("LEAVER_BENCH_PEOPLE").ok().map(|text| vec![text.parse().expect("a number of people")]);
    let mut all: Vec<Series> = Vec::new();
    for people in asked.unwrap_or_else(|| SIZES.to_vec()) {
        for (name, point) in one_size(people).await {
            match all.iter_mut().find(|series| series.name == name) {
                Some(series) => series.points.push(point),
                None => all.push(Series { name, points: vec![point] }),
            }
        }
    }
    if let Ok(path) = std::env::var("LEAVER_BENCH_PLOT") {
        std::fs::write(&path, plot::draw("Rows per second, by people in the file", &all)).expect("the plot is written");
        println!("{path} shows it.\n");
    }
}

/// A Leaver and one person who is changed again and again by SCIM.
struct Stage {
    world: World,
    process: u32,
    scim: Scim,
    someone: String,
}

/// What one run took.
struct Ran {
    took: Duration,
    cpu: f64,
    peak_mib: u64,
    report: Value,
}

async fn one_size(size: u64) -> Vec<(String, Point)> {
    let profile = Profile::named("isp-1m").expect("a profile of that name");
    let organisation = Organisation::new(profile, 1).of_people(size);
    let mut site = Site::with_postgres(Postgres::start_durable().await, |_| {
        let burst = ", brake: { burst: { count: 1000000000, window: 60s } }";
        format!("sources:\n  people: {}\n  okta: {}\ngroups: {{ privileged: [admins] }}\n", people(""), okta(burst))
    })
    .await;
    let file = site.path("people.csv");
    let write = |organisation: &Organisation| {
        let written = organisation::write(organisation, File::create(&file).expect("a file"), |_| {});
        written.expect("an organisation can be written").rows
    };
    write(&organisation);
    let by_hand = ByHand::on(&site.postgres_mut().url()).await;
    let stage = Stage::set(World::at(site).await).await;

    let mut idle = histogram();
    for turn in 0..IDLE {
        stage.change(turn, &mut idle).await;
    }
    let mut during = histogram();
    let first = stage.run(Some(&mut during)).await;
    let by_hand_first = by_hand.load(&file).await;
    let unchanged = stage.run(None).await;
    let by_hand_unchanged = by_hand.compare().await;
    blank_line(&file);
    let same = stage.run(None).await;
    write(&organisation.on_day(LATER));
    let later = stage.run(None).await;
    let changed = changes(&later.report);
    let by_hand_later = by_hand.change(changed).await;
    let length = std::fs::metadata(&file).expect("the file is there").len();
    append(&file);
    let comes = stage.run(None).await;
    let shortened = File::options().write(true).open(&file).and_then(|file| file.set_len(length));
    shortened.expect("the file can be shortened");
    let goes = stage.run(None).await;
    let mut after = histogram();
    for turn in 0..IDLE {
        stage.change(turn, &mut after).await;
    }

    println!("## A personnel file of {size} people\n");
    println!("| run | rows | changed | seconds | rows/s | CPU-seconds | peak memory, MiB | by hand, s | times |");
    println!("|---|---|---|---|---|---|---|---|---|");
    first.print("the first", Some(by_hand_first));
    unchanged.print("unchanged", Some(by_hand_unchanged));
    same.print("the same people, other bytes", Some(by_hand_unchanged));
    later.print(&format!("{LATER} days later"), Some(by_hand_later));
    comes.print("one person more", None);
    goes.print("and gone again", None);
    println!("\n| SCIM PATCH → event committed and answered, ms | p50 | p99 | max |\n|---|---|---|---|");
    row("before, idle", &idle);
    row("during the first run", &during);
    row("afterwards, idle", &after);
    println!();
    let point = |took: Duration| Point { people: size as f64, per_second: size as f64 / took.as_secs_f64() };
    vec![
        ("Leaver, first run".to_owned(), point(first.took)),
        ("by hand: COPY and indexes".to_owned(), point(by_hand_first)),
        ("Leaver, unchanged".to_owned(), point(unchanged.took)),
        ("Leaver, the same people".to_owned(), point(same.took)),
        ("by hand: COPY out and compare".to_owned(), point(by_hand_unchanged)),
        (format!("Leaver, {LATER} days later"), point(later.took)),
    ]
}

/// How many people are not as they were.
fn changes(report: &Value) -> i64 {
    let count = |name: &str| report["counts"][name].as_i64().unwrap_or_default();
    count("create") + count("update") + count("disable")
}

/// Another file that says the same.
fn blank_line(file: &std::path::Path) {
    use std::io::Write as _;
    let mut file = File::options().append(true).open(file).expect("the file is there");
    writeln!(file).expect("a line is written");
}

/// One person more, and nothing else.
fn append(file: &std::path::Path) {
    use std::io::Write as _;
    let mut file = File::options().append(true).open(file).expect("the file is there");
    writeln!(file, "1,late,late@example.com,Late,Comer,Data,,active,2025-01-01,,everybody").expect("a row is written");
}

impl Stage {
    async fn set(world: World) -> Self {
        let (process, scim) = (world.member(Role::Up, 0).process_id(), world.scim("okta"));
        let someone = scim.create(&person(0, "someone")).await;
        Self { world, process, scim, someone }
    }

    async fn change(&self, turn: usize, times: &mut Histogram<u64>) {
        let sent = Instant::now();
        let operation = json!({"op": "replace", "value": {"active": !turn.is_multiple_of(2)}});
        self.scim.patch(&self.someone, &operation).await.expect_status(200);
        times.saturating_record(micros(sent.elapsed()));
    }

    /// Reads the file; meanwhile somebody is changed ten times a second, if anybody wants to know how long that takes.
    async fn run(&self, times: Option<&mut Histogram<u64>>) -> Ran {
        Usage::forget_peak(self.process);
        let (before, begun) = (Usage::of(self.process), Instant::now());
        let work = self.world.ask(&["source", "sync", "people", "--timeout", "4h"]);
        let mut work = std::pin::pin!(work);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let report = match times {
            None => work.await,
            Some(times) => {
                let mut turn = 0;
                loop {
                    tokio::select! {
                        report = &mut work => break report,
                        _ = tick.tick() => {
                            self.change(turn, times).await;
                            turn += 1;
                        }
                    }
                }
            }
        };
        let (took, after) = (begun.elapsed(), Usage::of(self.process));
        Ran { took, cpu: after.cpu_seconds - before.cpu_seconds, peak_mib: after.peak_mib, report }
    }
}

impl Ran {
    fn print(&self, name: &str, by_hand: Option<Duration>) {
        let (rows, seconds) = (self.report["rows"].as_u64().unwrap_or_default(), self.took.as_secs_f64());
        let hand = by_hand.map_or_else(
            || " | ".to_owned(),
            |hand| format!("{:.2} | {:.1}", hand.as_secs_f64(), seconds / hand.as_secs_f64()),
        );
        println!(
            "| {name} | {rows} | {} | {seconds:.2} | {:.0} | {:.1} | {} | {hand} |",
            changes(&self.report),
            rows as f64 / seconds,
            self.cpu,
            self.peak_mib
        );
    }
}
