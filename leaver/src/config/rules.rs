//! The policy files that the configuration names, read and compared with it.

use std::path::Path;

use super::Problems;
use super::checks::named;
use super::problem::{Place, Problem, Report};
use super::quote::Text;
use super::tree::Node;

/// Reads the policy at `path`, which `root` names under `key`.
///
/// # Errors
/// Its problems; one that is about the path goes to `report`, since it is a problem of the file that names it.
pub(super) fn read(
    path: &Path,
    key: &str,
    root: &Node,
    report: &mut Report<'_>,
) -> Result<policy::Policy, Vec<Problem>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let what = if key == "policy" { "the policy cannot be read" } else { "the draft cannot be read" };
            let place = root.at(&[key]).unwrap_or(root).origin.place();
            let without = match key {
                "policy" => "without `policy`, the built-in one applies",
                _ => "without `shadow`, no draft is decided beside the policy",
            };
            let help = format!("a relative path is looked for beside the configuration; {without}");
            report.push(report.problem(place, what).caused_by(&error).help(help));
            return Err(Vec::new());
        }
    };
    let known = |section| named(root, section).into_iter().map(str::to_owned).collect::<Vec<_>>();
    policy::Policy::parse_for(&text, &known("downstreams"), &known("sources"))
        .map_err(|found| quoted(path, &text, found))
}

/// What is wrong with the policy that `text` is, shown as a problem of the file at `path`.
pub fn problems(path: &Path, text: &str, found: Vec<policy::Problem>) -> Problems {
    Problems(quoted(path, text, found))
}

/// The examples in the policy at `path` that its rules decide otherwise; `None` if there are none.
pub fn failing(path: &Path, policy: &policy::Policy) -> Option<Problems> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let words = |actions: &[lifecycle::Action]| match actions {
        [] => "nothing".to_owned(),
        actions => actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", "),
    };
    let failed = policy.run_examples().into_iter().filter(|result| !result.passed);
    let problem = |result: policy::ExampleResult| policy::Problem {
        line: result.line,
        column: result.column,
        length: 1,
        message: format!("an example expects {}, and the rules order {}", words(&result.expected), words(&result.got)),
        known: Vec::new(),
        help: Some("`leaver policy test` decides every example".to_owned()),
    };
    let found: Vec<policy::Problem> = failed.map(problem).collect();
    (!found.is_empty()).then(|| problems(path, &text, found))
}

fn quoted(path: &Path, text: &str, found: Vec<policy::Problem>) -> Vec<Problem> {
    let mut own = Report::new(path);
    for policy::Problem { line, column, length, message, known, help } in found {
        let problem = own.problem(Place::Text { line, column, length }, message);
        own.push(Problem { known, help, ..problem });
    }
    own.finish(&Text { source: text, scalars: None, secrets: Vec::new() })
}
