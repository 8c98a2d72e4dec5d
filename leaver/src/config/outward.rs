//! What goes out: the names of subjects on the bus, and where traces are sent.

use super::Config;
use super::checks::{expression, within};
use super::problem::Report;
use super::quote::Text;
use super::secrets::is_reference;
use super::tree::{Entry, Node};

/// Reports names that are none, expressions that do not compile or would show too much, and a collector that has no address.
pub(super) fn check(config: &Config, root: &Node, text: &Text<'_>, report: &mut Report<'_>) {
    for entry in root.at(&["publish", "subjects"]).into_iter().flat_map(Node::entries) {
        name(entry, report);
        if let Some(written) = entry.node.text() {
            subject(config, root, &entry.node, written, text, report);
        }
    }
    if let Some(node) = root.at(&["publish", "hmac_key"])
        && config.publish.hmac_key.as_ref().is_some_and(|key| is_short(key.expose()))
    {
        let message =
            format!("`hmac_key` is shorter than {SHORTEST_KEY} characters, so names could be guessed from hashes");
        let problem = report.problem(node.origin.place(), message);
        report.push(problem.help("make one with `openssl rand -hex 32`"));
    }
    if let Some((node, written)) = root.at(&["http", "public_url"]).and_then(|node| Some((node, node.text()?)))
        && !url::Url::parse(written).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        let problem = report.problem(node.origin.place(), "`public_url` is no address");
        report.push(problem.help("write `https://HOST`, as sources reach SCIM from outside"));
    }
    if let Some((node, written)) = root.at(&["traces", "otlp"]).and_then(|node| Some((node, node.text()?)))
        && !url::Url::parse(written).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        let problem = report.problem(node.origin.place(), "`otlp` is no address of a collector");
        report.push(problem.help("write `http://HOST:4318`: OTLP goes over HTTP"));
    }
}

/// Verbs that need no secret leave references as they stand.
fn is_short(key: &str) -> bool {
    !is_reference(key) && key.len() < SHORTEST_KEY
}

/// In bytes. E-mail addresses are few enough to be tried out, so all that keeps them secret is the key.
const SHORTEST_KEY: usize = 16;

/// Subscribers read it as a key of JSON, and perhaps as the name of a claim.
fn name(entry: &Entry, report: &mut Report<'_>) {
    let key = &entry.key;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if key.chars().all(legal) && key.starts_with(|c: char| c.is_ascii_lowercase()) {
        return;
    }
    let message =
        format!("a name of subjects cannot be `{key}`: lower-case letters, digits, underscores and dashes make a name");
    let problem = report.problem(entry.key_origin.place(), message);
    let better: String = key.to_lowercase().chars().map(|c| if legal(c) { c } else { '_' }).collect();
    let better = better.trim_matches(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let fits = better.starts_with(|c: char| c.is_ascii_lowercase());
    report.push(if fits { problem.help(format!("name it `{better}`")) } else { problem });
}

fn subject(config: &Config, root: &Node, node: &Node, written: &str, text: &Text<'_>, report: &mut Report<'_>) {
    let parsed = match policy::PublishExpression::parse(written) {
        Ok(parsed) => parsed,
        Err(problems) => return expression(root, node, written, Err(problems), text, report),
    };
    expression(root, node, written, Ok(parsed.sources()), text, report);
    let at = |word: &str| {
        let offset = written.find(word).map(|byte| written[..byte].chars().count());
        offset.and_then(|offset| within(node, written, text, offset, word.chars().count()))
    };
    if parsed.uses_hmac() && root.at(&["publish", "hmac_key"]).is_none() {
        let problem = report.problem(
            at("hmac").unwrap_or_else(|| node.origin.place()),
            "`hmac` needs a key that subscribers have, too",
        );
        report.push(problem.help("add `publish.hmac_key: \"env:PUBLISH_KEY\"`"));
    }
    if config.publish.allow_personal_data {
        return;
    }
    for shown in parsed.personal_reads(|source| has_personal_ids(config, source)) {
        let place = at(&shown).unwrap_or_else(|| node.origin.place());
        let problem =
            report.problem(place, format!("`{shown}` is personal, and would stand on the bus for all to read"));
        report.push(problem.help(format!(
            "write `hmac({shown})`, or say `publish.allow_personal_data: true` if that is what you want"
        )));
    }
}

/// Reports what `subject` of a receiver of signals would tell of a person.
pub(super) fn told(config: &Config, node: &Node, written: &str, report: &mut Report<'_>) {
    // What does not compile is reported as what every downstream may say.
    let Ok(parsed) = policy::PublishExpression::parse(written) else { return };
    for shown in parsed.personal_reads(|source| has_personal_ids(config, source)) {
        let problem =
            report.problem(node.origin.place(), format!("`{shown}` is personal, and signals would take it outside"));
        report.push(problem.help(
            "name people by `identity.id` or the id of an account, or say `allow_personal_data: true` in the adapter",
        ));
    }
}

/// Whether the native ids of a source are names or addresses of people.
pub(super) fn has_personal_ids(config: &Config, source: &str) -> bool {
    match config.sources.get(source).map(|source| &source.connector) {
        Some(connectors::Config::Csv(csv)) => {
            let key = csv.key.to_ascii_lowercase();
            ["username", "email", "e-mail", "mail", "name"].iter().any(|word| key.contains(word))
        }
        Some(connectors::Config::Keycloak(_) | connectors::Config::Scim(_)) | None => false,
    }
}
