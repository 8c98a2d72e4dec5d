//! Who may depend on whom. A wrong arrow fails with the crate and both sets.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The arrows between our crates, beside those of `leaver`, which may know all, and of the stories.
const ARROWS: [(&str, &[&str]); 12] = [
    ("lifecycle", &[]),
    ("organisation", &[]),
    ("scim", &["lifecycle"]),
    ("policy", &["lifecycle"]),
    ("connectors", &["lifecycle", "scim"]),
    ("downstreams", &["lifecycle"]),
    ("bus", &["lifecycle"]),
    ("directory", &["lifecycle", "scim"]),
    ("relay", &["bus", "directory", "lifecycle"]),
    ("sync-worker", &["connectors", "directory", "lifecycle", "scim"]),
    ("revoker", &["bus", "directory", "downstreams", "lifecycle", "policy"]),
    ("console", &["directory", "lifecycle", "policy"]),
];

/// Who may use what talks to the outside.
const OUTSIDE: [(&str, &[&str]); 4] = [
    // Our SQL is in `directory`; `downstreams` reads other people's tables, and `leaver` starts its own server.
    ("sqlx", &["directory", "downstreams", "leaver"]),
    ("rdkafka", &["bus"]),
    ("redis", &["downstreams"]),
    ("axum", &["console", "leaver", "sync-worker"]),
];

/// What the crates without I/O do without.
const IO: [&str; 6] = ["axum", "rdkafka", "redis", "reqwest", "sqlx", "tokio"];

/// The dependencies of each crate of the workspace that are part of the program.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest];
    let output = Command::new(cargo).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let shipped = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"] != "dev").map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), shipped(package))).collect()
}

#[test]
fn every_arrow_between_crates_is_an_allowed_one() {
    let found = dependencies();
    let ours: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).chain(["leaver", "tests"]).collect();
    assert_eq!(ours, known, "each crate has its arrows here");
    for (name, allowed) in ARROWS {
        let drawn: BTreeSet<&str> = found[name].iter().map(String::as_str).filter(|d| ours.contains(d)).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(drawn.is_subset(&allowed), "{name} depends on {drawn:?}, allowed is {allowed:?}");
    }
    assert!(!found.values().any(|drawn| drawn.contains("leaver")), "nothing depends on the program");
}

#[test]
fn the_rules_do_no_input_or_output() {
    let found = dependencies();
    for name in ["lifecycle", "organisation", "scim", "policy"] {
        let io: Vec<&&str> = IO.iter().filter(|io| found[name].contains(**io)).collect();
        assert!(io.is_empty(), "{name} depends on {io:?}");
    }
}

#[test]
fn each_way_to_the_outside_has_its_crates() {
    let found = dependencies();
    for (library, allowed) in OUTSIDE {
        let users = found.iter().filter(|(name, drawn)| *name != "tests" && drawn.contains(library));
        let users: BTreeSet<&str> = users.map(|(name, _)| name.as_str()).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(users.is_subset(&allowed), "{library} is used by {users:?}, allowed are {allowed:?}");
    }
}
