//! What `--help` says: verbs in four groups, then for each one sentence, two examples, its flags and the exit codes.

use clap::builder::{StyledStr, Styles};
use clap::{Command, CommandFactory};

use crate::style::Style;

use super::args::Arguments;

/// Every verb, in the group in which somebody looks for it.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Look",
        &[
            "identity list",
            "identity show",
            "identity sessions",
            "identity trace",
            "events tail",
            "source list",
            "plan list",
            "plan show",
            "hold list",
            "hold show",
            "owed list",
            "parked list",
            "policy replay",
            "ledger check",
        ],
    ),
    (
        "Act",
        &[
            "revoke",
            "lock",
            "unlock",
            "source plan",
            "source sync",
            "source pause",
            "source resume",
            "plan approve",
            "plan reject",
            "hold approve",
            "hold reject",
            "owed retry",
            "parked retry",
        ],
    ),
    ("Run", &["up", "sync-worker", "revoker", "console", "demo", "migrate"]),
    (
        "Set up",
        &[
            "check",
            "policy test",
            "generate",
            "token create",
            "token list",
            "token revoke",
            "config schema",
            "completions",
        ],
    ),
];

const EXIT_CODES: &str = "  0  done
  1  failed, or WHO unknown
  2  usage or configuration
  3  held, --wait timed out, or not every downstream reached the state";

const VERB: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";
const OVERVIEW: &str = "{name} {version}: {about}\n\n{usage-heading} {usage}\n\n{before-help}{options}{after-help}";

/// The command line with its help.
pub fn command() -> Command {
    let root = Arguments::command().styles(styles()).max_term_width(80).subcommand_help_heading("Verbs");
    let overview = overview(&root);
    let root = root.mut_subcommands(dress).help_template(OVERVIEW).after_help(exit_codes());
    root.override_usage("leaver VERB [OPTIONS]").before_help(overview)
}

fn styles() -> Styles {
    let (strong, paste, wrong) = (Style::Strong.paint(true), Style::Paste.paint(true), Style::Wrong.paint(true));
    Styles::plain().header(strong).usage(strong).literal(paste).error(wrong)
}

/// Gives a verb and those below it their form.
fn dress(verb: Command) -> Command {
    let examples = verb.get_before_help().map(|lines| section("Examples", &lines.ansi().to_string()));
    let verb = match examples {
        Some(examples) => verb.before_help(examples),
        None => verb,
    };
    let verb = verb.help_template(VERB).after_help(exit_codes()).subcommand_value_name("VERB");
    verb.subcommand_help_heading("Verbs").disable_help_subcommand(true).mut_subcommands(dress)
}

fn exit_codes() -> StyledStr {
    section("Exit codes", EXIT_CODES)
}

fn section(head: &str, body: &str) -> StyledStr {
    let strong = Style::Strong.paint(true);
    StyledStr::from(format!("{strong}{head}:{strong:#}\n{}", body.trim_end()))
}

/// The groups, each verb with its sentence and in the order of the groups.
fn overview(root: &Command) -> StyledStr {
    let (strong, paste) = (Style::Strong.paint(true), Style::Paste.paint(true));
    let width = GROUPS.iter().flat_map(|(_, verbs)| *verbs).map(|verb| verb.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (head, verbs) in GROUPS {
        text += &format!("{strong}{head}:{strong:#}\n");
        for verb in verbs {
            let found = verb.split(' ').try_fold(root, |command, word| command.find_subcommand(word));
            let about = found.and_then(Command::get_about).map(ToString::to_string).unwrap_or_default();
            text += &format!("  {paste}{verb:width$}{paste:#}  {about}\n");
        }
        text.push('\n');
    }
    StyledStr::from(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &Command, path: &str) -> Vec<String> {
        let below: Vec<String> =
            command.get_subcommands().flat_map(|verb| leaves(verb, &format!("{path} {}", verb.get_name()))).collect();
        if below.is_empty() { vec![path.trim_start().to_owned()] } else { below }
    }

    #[test]
    fn the_command_line_has_no_contradictions() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_is_in_one_group() {
        let mut grouped: Vec<String> =
            GROUPS.iter().flat_map(|(_, verbs)| *verbs).map(|verb| (*verb).to_owned()).collect();
        let mut all = leaves(&command(), "");
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn every_verb_has_one_line() {
        let text = overview(&command()).to_string();
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn every_verb_has_two_examples_of_itself() {
        let command = command();
        for path in leaves(&command, "") {
            let verb = path.split(' ').try_fold(&command, |command, word| command.find_subcommand(word)).unwrap();
            let examples = verb.get_before_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = examples.lines().skip(1).collect();
            assert_eq!(lines.len(), 2, "{path}: {examples}");
            for line in lines {
                assert!(line.starts_with(&format!("  leaver {path}")), "{line}");
                // Quotes are the shell's, and what follows a redirection is its too.
                let line = line.split(" > ").next().unwrap().replace("'stolen laptop'", "theft");
                assert!(command.clone().try_get_matches_from(line.split_whitespace()).is_ok(), "{line}");
            }
        }
    }
}
