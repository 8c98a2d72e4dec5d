//! The reference of metrics is what processes of each role export.

use std::collections::{BTreeMap, BTreeSet};

use tests::world::{Names, Role, SOON, Site, World, person, until};

use super::stage::{ONE_EACH, usual};

/// With this variable set, the reference is written instead.
const WRITE: &str = "LEAVER_WRITE_REFERENCE";
const HEADER: &str = "| metric | type | labels | says | roles |\n|---|---|---|---|---|\n";

/// A metric as it is on the wire.
#[derive(Default)]
struct Metric {
    kind: String,
    says: String,
    labels: BTreeSet<String>,
    roles: Vec<&'static str>,
}

/// Reads what a role exports, in the OpenMetrics text format, into `all`, by the name of the samples or of the histogram.
fn read(text: &str, role: &'static str, all: &mut BTreeMap<String, Metric>) {
    let (mut name, mut kind, mut says) = ("", "", "");
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("#", rest)) if rest.starts_with("HELP ") => (name, says) = rest[5..].split_once(' ').unwrap(),
            Some(("#", rest)) if rest.starts_with("TYPE ") => kind = rest[5..].split_once(' ').unwrap().1,
            Some(("#", _)) | None => {}
            Some(_) => {
                let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line} is not of {name}"));
                let wire = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
                let metric = all.entry(wire).or_default();
                (metric.kind, metric.says) = (kind.to_owned(), says.trim_end_matches('.').to_owned());
                metric.labels.extend(labels(rest));
                if metric.roles.last() != Some(&role) {
                    metric.roles.push(role);
                }
            }
        }
    }
}

/// The names of the labels of a sample, of which only the end of its name may come before them. Those of an exemplar, and the
/// bound of a bucket, are none of the metric's.
fn labels(sample: &str) -> impl Iterator<Item = String> {
    let own = sample.split_once(" # ").map_or(sample, |(own, _)| own);
    let inside = own.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split(',').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    names.filter(|name| name != "le").collect::<Vec<_>>().into_iter()
}

fn row((name, metric): (&String, &Metric)) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
    let roles = if metric.roles.len() == ONE_EACH.len() { "all".to_owned() } else { metric.roles.join(", ") };
    format!("| `{name}` | {} | {labels} | {} | {roles} |\n", metric.kind, metric.says)
}

#[tokio::test]
async fn the_reference_of_metrics_is_what_each_role_exports() {
    // With an index, of which there are metrics, too.
    let indexed = |names: &Names| usual(names).replacen("layout:", "session_index: true, layout:", 1);
    let world = World::apart(Site::new(indexed).await, &ONE_EACH).await;
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    world.scim("okta").deactivate(&account).await;
    world.reached("ana", "web", "verified").await;
    let mut all = BTreeMap::new();
    for (role, _) in ONE_EACH {
        let probes = world.member(role, 0).probes();
        // The lag is known only once the consumers have heard from the brokers how far the topics go.
        let text = until(SOON, "metrics of the whole role", async || {
            let text = probes.get("/metrics").await.expect_status(200).body;
            (role != Role::Revoker || text.contains("leaver_bus_consumer_lag{")).then_some(text)
        });
        read(&text.await, role.as_str(), &mut all);
    }
    let generated: String = all.iter().map(row).collect();

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md");
    let committed = std::fs::read_to_string(file).unwrap();
    let (head, table) = committed.split_once(HEADER).expect("the reference has the table of all metrics");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(file, format!("{head}{HEADER}{generated}")).unwrap();
        return;
    }
    let only = |these: &str, those: &str| -> Vec<String> {
        these.lines().filter(|line| !those.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    assert!(
        table == generated,
        "docs/reference/metrics.md is not what is exported; `make metrics` writes it anew\nonly written: {:#?}\nonly exported: {:#?}",
        only(table, &generated),
        only(&generated, table),
    );
}
