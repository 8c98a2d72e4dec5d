//! Gives the tree its types. serde stops at the first wrong value: that one is found, reported and set aside, and so on.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

use super::problem::{Problem, Report, similar};
use super::quote::{holds_secrets, masked};
use super::tree::{Node, Origin, Step};

/// The typed value; `None` if nothing of it is left. Every wrong value is reported, except for stand-ins: what they stand for
/// has been.
pub(super) fn deserialize<T: DeserializeOwned>(root: &mut Node, report: &mut Report<'_>) -> Option<T> {
    let mut set_aside: Vec<Vec<Step>> = Vec::new();
    loop {
        let (path, message) = match attempt::<T>(&root.json()) {
            Ok(typed) => return Some(typed),
            Err(wrong) => wrong,
        };
        let missing = message.starts_with("missing field");
        // What was set aside may be required where it stood; that is no problem of its own.
        let follows = missing && set_aside.iter().any(|gone| gone[..gone.len() - 1] == path);
        let culprit = if missing { path } else { narrow::<T>(root, path, &message) };
        if !follows && root.follow(&culprit).origin != Origin::StandIn {
            let problem = wrong_value(root, &culprit, &message, report);
            report.push(problem);
        }
        if !root.remove(&culprit) {
            return None;
        }
        set_aside.push(culprit);
    }
}

fn attempt<T: DeserializeOwned>(json: &Json) -> Result<T, (Vec<Step>, String)> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        (path.collect(), error.inner().to_string())
    })
}

/// An internally tagged enum is buffered by serde, so the path of an error inside it ends at the enum. The shortest beginning of
/// its entries that still fails in the same way ends with the entry that is wrong.
fn narrow<T: DeserializeOwned>(root: &Node, path: Vec<Step>, message: &str) -> Vec<Step> {
    let node = root.follow(&path);
    let fails = |json: Json| attempt::<T>(&replaced(root.json(), &path, json)).is_err_and(|(_, same)| same == message);
    let below = if node.entries().is_empty() {
        let items: Vec<Json> = node.items().iter().map(Node::json).collect();
        (0..items.len()).find(|last| fails(items[..=*last].iter().cloned().collect())).map(Step::Index)
    } else {
        let (tags, entries): (Vec<_>, Vec<_>) = node.entries().iter().partition(|entry| entry.key == "type");
        let some = |last: usize| tags.iter().chain(&entries[..=last]).map(|e| (e.key.clone(), e.node.json())).collect();
        (0..entries.len()).find(|last| fails(Json::Object(some(*last)))).map(|at| Step::Key(entries[at].key.clone()))
    };
    match below {
        Some(step) => narrow::<T>(root, [path, vec![step]].concat(), message),
        None => path,
    }
}

fn replaced(mut root: Json, path: &[Step], by: Json) -> Json {
    let mut at = Some(&mut root);
    for step in path {
        at = at.and_then(|json| match step {
            Step::Key(key) => json.get_mut(key),
            Step::Index(index) => json.get_mut(index),
        });
    }
    if let Some(json) = at {
        *json = by;
    }
    root
}

fn wrong_value(root: &Node, path: &[Step], message: &str, report: &Report<'_>) -> Problem {
    let key = path.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None });
    let node = root.follow(path);
    if let Some(problem) = unknown_word(root, path, message, report) {
        return problem;
    }
    let what = key.map_or("wrong value".to_owned(), |key| format!("wrong value for `{key}`"));
    let mut problem = report.problem(node.origin.place(), what);
    // "invalid value: string "x", expected y": the value is in the quoted line already, or is nobody's business.
    let expected = message.strip_prefix("invalid ").and_then(|rest| rest.rsplit_once(", expected "));
    problem.causes = match (expected, key.is_some_and(holds_secrets)) {
        (Some((_, expected)), _) => vec![format!("expected {expected}")],
        (None, true) => Vec::new(),
        (None, false) => vec![masked(message)],
    };
    if message.contains("duration") || message.contains("time unit") {
        problem = problem.help("a duration is a number and a unit: `250ms`, `30s`, `5m`, `7d`");
    } else if message.contains("socket address") {
        problem = problem.help("an address is an IP address and a port: `127.0.0.1:8470`");
    } else if let (true, Some(zone)) = (message.contains("timezone"), node.text()) {
        let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        problem.help = similar(zone, zones).map(|zone| format!("a similar zone is `{zone}`"));
    }
    problem
}

/// "unknown variant `x`, expected one of `y`, `z`": a word, or a key, that the schema did not tell.
fn unknown_word(root: &Node, path: &[Step], message: &str, report: &Report<'_>) -> Option<Problem> {
    let words: Vec<&str> = message.strip_prefix("unknown ")?.split('`').skip(1).step_by(2).collect();
    let (written, known) = words.split_first()?;
    let (last, above) = path.split_last()?;
    let entry = if let Step::Key(key) = last { root.follow(above).entry(key) } else { None };
    let (what, origin) = match entry {
        Some(entry) if entry.key == *written => ("key", &entry.key_origin),
        _ => ("value", &root.follow(path).origin),
    };
    let problem = report.problem(origin.place(), format!("unknown {what} `{written}`"));
    Some(problem.known(what, written, known.iter().copied()))
}
