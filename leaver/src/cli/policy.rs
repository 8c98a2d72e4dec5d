//! `policy test`: the examples of the policy, decided by its rules.

use ::policy::ExampleResult;
use lifecycle::Action;
use serde_json::json;

use crate::config::Config;
use crate::show::text::{Page, Sign, count};
use crate::style::{Style, View};

use super::failure::{Exit, Failure};
use super::screen::Screen;

pub fn test(screen: &Screen, config: &Config) -> Result<Exit, Failure> {
    let file = config.policy.as_deref().map_or_else(|| "the built-in policy".to_owned(), super::shown);
    let results = config.rules.run_examples();
    let failed = results.iter().filter(|result| !result.passed).count();
    for warning in config.rules.warnings() {
        let word = crate::show::text::paint(screen.err, Style::Waiting, "warning");
        screen.remark(&format!("{word}: {}\n --> {file}:{}:{}\n", warning.message, warning.line, warning.column));
        if let Some(help) = &warning.help {
            screen.remark(&format!("help: {help}\n"));
        }
    }
    if screen.is_json() {
        let (passed, warnings) = (results.len() - failed, config.rules.warnings());
        screen.document(&json!({"examples": results, "passed": passed, "failed": failed, "warnings": warnings}))?;
    } else if results.is_empty() {
        screen.remark(&format!("{file} has no examples\n"));
    } else {
        screen.answer(&show(&file, &results, screen.out))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// The examples that failed, and those that passed because a rule could not be decided; then how many there are.
fn show(file: &str, results: &[ExampleResult], view: View) -> String {
    let mut page = Page::new(view);
    for result in results.iter().filter(|result| !result.passed || !result.errors.is_empty()) {
        let sign = if result.passed { Sign::Warning } else { Sign::Wrong };
        let (sign, place) = (sign.show(view), page.paint(Style::Strong, format_args!("{file}:{}", result.line)));
        let (expected, got) = (words(&result.expected), words(&result.got));
        if result.passed {
            page.line(format_args!("{sign} {place}  {expected}, as expected"));
        } else {
            page.line(format_args!("{sign} {place}  expected {expected}, got {got}"));
        }
        let below = " ".repeat(Sign::width(view) + 1);
        for error in &result.errors {
            let matched = if error.matched { "counts as matched" } else { "does not match" };
            page.line(format_args!(
                "{below}rule {:?} {matched}, since it could not be decided: {}",
                error.rule, error.error
            ));
        }
    }
    let failed = results.iter().filter(|result| !result.passed).count();
    let all = count(results.len() as u64, "example");
    match (failed, results.len()) {
        (0, 1) => page.line("1 example passes"),
        (0, _) => page.line(format_args!("{all} pass")),
        (failed, _) => page.line(format_args!("{failed} of {all} failed")),
    }
    page.finish()
}

fn words(actions: &[Action]) -> String {
    if actions.is_empty() {
        return "nothing".to_owned();
    }
    actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ")
}
