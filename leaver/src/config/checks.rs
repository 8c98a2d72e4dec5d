//! What no single value shows: names that must exist, patterns and expressions that must compile.

use std::collections::BTreeSet;

use super::problem::{Place, Problem, Report};
use super::quote::Text;
use super::tree::{Entry, Node, Origin, Value};
use super::{Config, outward};

/// Reports everything that is wrong between the parts. `root` still has what could not be typed: its names count as known.
pub(super) fn check(config: &Config, root: &Node, text: &Text<'_>, report: &mut Report<'_>) {
    names(root, report);
    addresses(config, root, report);
    sources(root, report);
    downstreams(config, root, text, report);
    patterns(root, report);
    attributes(root, report);
    outward::check(config, root, text, report);
    if let (Some(_), Some(entry)) = (&config.database, root.entry("postgres")) {
        let problem =
            report.problem(entry.key_origin.place(), "`postgres` is for the embedded one, but there is a `database`");
        report.push(problem.help("remove one of the two sections"));
    }
}

/// The names that an operator gave in a section, in the order of the file.
pub(super) fn named<'n>(root: &'n Node, section: &str) -> Vec<&'n str> {
    root.entry(section).into_iter().flat_map(|entry| entry.node.entries()).map(|entry| entry.key.as_str()).collect()
}

/// Names become parts of URLs and labels of metrics.
fn names(root: &Node, report: &mut Report<'_>) {
    for (section, one) in [("sources", "source"), ("downstreams", "downstream")] {
        for Entry { key, key_origin, .. } in root.entry(section).into_iter().flat_map(|entry| entry.node.entries()) {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if key.chars().all(legal) && !key.is_empty() && !key.starts_with('-') {
                continue;
            }
            let message = format!("a {one} cannot be named `{key}`: lower-case letters, digits and dashes make a name");
            let mut problem = report.problem(key_origin.place(), message);
            let better: String = key.to_lowercase().chars().map(|c| if legal(c) { c } else { '-' }).collect();
            let better = better.trim_matches('-');
            if !better.is_empty() {
                problem = problem.help(format!("name it `{better}`"));
            }
            report.push(problem);
        }
    }
}

/// Two listeners cannot share an address; port 0 is a new one each time.
fn addresses(config: &Config, root: &Node, report: &mut Report<'_>) {
    let http = &config.http;
    let all = [("public", http.public), ("admin", http.admin), ("probes", http.probes)];
    for (i, (key, address)) in all.iter().enumerate() {
        let taken = all[..i].iter().find(|(_, other)| other == address && address.port() != 0);
        let Some((other, _)) = taken else { continue };
        let at = root.at(&["http", key]).or_else(|| root.at(&["http", other])).unwrap_or(root);
        let message = format!("`{key}` and `{other}` have the same address, {address}");
        let problem = report.problem(at.origin.place(), message);
        report.push(problem.help("give them different ports; port 0 is any free one"));
    }
}

fn sources(root: &Node, report: &mut Report<'_>) {
    let profile = lifecycle::account::Profile::default();
    let fields: Vec<&str> = std::iter::once("lifecycle").chain(profile.fields().map(|(name, _)| name)).collect();
    for entry in root.entry("sources").into_iter().flat_map(|entry| entry.node.entries()) {
        let source = &entry.node;
        for (key, choices) in [("correlate", &lifecycle::correlate::RULES[..]), ("authority", &fields[..])] {
            for item in source.at(&[key]).into_iter().flat_map(Node::items) {
                let Some(word) = item.text().filter(|word| !choices.contains(word)) else { continue };
                let message = format!("`{key}` does not know `{word}`");
                let problem = report.problem(item.origin.place(), message);
                report.push(problem.known("field", word, choices.iter().copied()));
            }
        }
        let schedules = ["schedule", "snapshot_schedule"].into_iter().filter_map(|key| source.at(&[key]));
        for (node, schedule) in schedules.filter_map(|node| Some((node, node.text()?))) {
            // A sixth field is seconds, first; a seventh would be years.
            let parser = croner::parser::CronParser::builder().year(croner::parser::Year::Disallowed).build();
            if let Err(error) = parser.parse(schedule) {
                let message = format!("`{schedule}` is no schedule");
                let problem = report.problem(node.origin.place(), message).caused_by(&error);
                report.push(problem.help("a schedule has 5 fields, or 6 with seconds first: `*/5 * * * *`"));
            }
        }
    }
}

fn downstreams(config: &Config, root: &Node, text: &Text<'_>, report: &mut Report<'_>) {
    for entry in root.entry("downstreams").into_iter().flat_map(|entry| entry.node.entries()) {
        if let Some((node, written)) = entry.node.at(&["subject"]).and_then(|node| Some((node, node.text()?))) {
            let sources = policy::SubjectExpression::parse(written).map(|subject| subject.sources());
            expression(root, node, written, sources, text, report);
            if config.downstreams.get(&entry.key).is_some_and(|downstream| downstream.adapter.hides_people()) {
                super::outward::told(config, node, written, report);
            }
        }
        if let Some(Err(error)) =
            config.downstreams.get(&entry.key).map(|downstream| downstream.adapter.check(downstream.compare))
        {
            use downstreams::ConfigError::{Missing, Stray};
            let written = entry.node.at(&["adapter", "layout"]).and_then(Node::text);
            // An unknown layout has been reported, and another one stands in for it.
            if !matches!(error, Missing { layout, .. } | Stray { layout, .. } if Some(layout) != written) {
                let node = entry.node.at(&["adapter"]).unwrap_or(&entry.node);
                report.push(report.problem(node.origin.place(), error.to_string()));
            }
        }
        if config.downstreams.get(&entry.key).is_some_and(|downstream| downstream.sweeps.is_empty()) {
            let node = entry.node.at(&["sweeps"]).unwrap_or(&entry.node);
            let problem = report
                .problem(node.origin.place(), "`sweeps` is empty, so nobody would look whether sessions came back");
            report.push(problem.help("remove it: the default is `[200ms, 1s, 5s, 30s, 120s]`"));
        }
    }
}

/// What is wrong with an expression: that it does not compile, or asks for accounts at sources that there are not.
pub(super) fn expression(
    root: &Node,
    node: &Node,
    written: &str,
    sources: Result<Vec<String>, Vec<policy::Problem>>,
    text: &Text<'_>,
    report: &mut Report<'_>,
) {
    match sources {
        Ok(sources) => {
            let known: BTreeSet<&str> = named(root, "sources").into_iter().collect();
            for source in sources.iter().filter(|source| !known.contains(source.as_str())) {
                let place = written
                    .find(source.as_str())
                    .filter(|_| !source.is_empty())
                    .map(|byte| written[..byte].chars().count())
                    .and_then(|offset| within(node, written, text, offset, source.chars().count()))
                    .unwrap_or_else(|| node.origin.place());
                let problem = report.problem(place, format!("there is no source `{source}`"));
                report.push(problem.known("source", source, known.iter().copied()));
            }
        }
        Err(problems) => {
            for found in problems {
                let place =
                    (found.line == 1).then(|| within(node, written, text, found.column - 1, found.length)).flatten();
                let mut problem = report.problem(place.unwrap_or_else(|| node.origin.place()), found.message);
                (problem.known, problem.help) = (found.known, found.help);
                report.push(problem);
            }
        }
    }
}

/// The place of a part of a scalar, if it is written as it reads: in one line and without escapes.
pub(super) fn within(node: &Node, written: &str, text: &Text<'_>, offset: usize, length: usize) -> Option<Place> {
    let Origin::Text(extent) = &node.origin else { return None };
    let line = text.source.lines().nth(extent.from.0 - 1)?;
    let raw: String = line.chars().skip(extent.from.1 - 1).collect();
    let quote = usize::from(raw.starts_with(['"', '\'']));
    raw.get(quote..)?.starts_with(written).then_some(Place::Text {
        line: extent.from.0,
        column: extent.from.1 + quote + offset,
        length: length.max(1),
    })
}

fn patterns(root: &Node, report: &mut Report<'_>) {
    for item in root.at(&["groups", "privileged"]).into_iter().flat_map(Node::items) {
        let Some(Err(error)) = item.text().map(globset::Glob::new) else { continue };
        let problem = report.problem(item.origin.place(), "a pattern for the names of groups does not compile");
        report.push(Problem { causes: vec![error.kind().to_string()], ..problem });
    }
}

/// An attribute without a name, or without values, makes no group privileged.
fn attributes(root: &Node, report: &mut Report<'_>) {
    for by in root.at(&["groups", "privileged_by"]).into_iter().flat_map(Node::items) {
        let unnamed = by.at(&["attribute"]).filter(|name| name.text().is_some_and(|name| name.trim().is_empty()));
        let no_values = by.at(&["values"]).filter(|values| values.value == Value::List(Vec::new()));
        for (key, node, help) in [
            ("attribute", unnamed, "name one: `attribute: tier`"),
            ("values", no_values, "say which values make a group privileged: `values: [\"0\"]`"),
        ] {
            let Some(node) = node else { continue };
            let message = format!("`{key}` is empty, so no group is privileged by it");
            report.push(report.problem(node.origin.place(), message).help(help));
        }
    }
}
