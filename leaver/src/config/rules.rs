//! The policy file that the configuration names, read and compared with it.

use std::path::Path;

use super::checks::named;
use super::problem::{Place, Problem, Report};
use super::quote::Text;
use super::tree::Node;

/// Reads the policy at `path`, which `root` names.
///
/// # Errors
/// Its problems; one that is about the path goes to `report`, since it is a problem of the file that names it.
pub(super) fn read(path: &Path, root: &Node, report: &mut Report<'_>) -> Result<policy::Policy, Vec<Problem>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let problem = report
                .problem(root.at(&["policy"]).unwrap_or(root).origin.place(), "the policy cannot be read")
                .caused_by(&error);
            report.push(problem.help(
                "a relative path is looked for beside the configuration; without `policy`, the built-in one applies",
            ));
            return Err(Vec::new());
        }
    };
    let mut own = Report::new(path);
    let (parsed, found) = match policy::Policy::parse(&text) {
        Ok(parsed) => {
            let downstreams: Vec<String> = named(root, "downstreams").into_iter().map(str::to_owned).collect();
            let found = parsed.check_downstreams(&downstreams);
            let sources = named(root, "sources");
            for source in parsed.sources().iter().filter(|source| !sources.contains(&source.as_str())) {
                let problem = own.problem(
                    Place::File {},
                    format!("a rule asks for an account at `{source}`, but there is no such source"),
                );
                own.push(problem.known("source", source, sources.iter().copied()));
            }
            (Some(parsed), found)
        }
        Err(found) => (None, found),
    };
    for policy::Problem { line, column, length, message, known, help } in found {
        let problem = own.problem(Place::Text { line, column, length }, message);
        own.push(Problem { known, help, ..problem });
    }
    let problems = own.finish(&Text { source: &text, scalars: None, secrets: Vec::new() });
    match parsed {
        Some(parsed) if problems.is_empty() => Ok(parsed),
        _ => Err(problems),
    }
}
