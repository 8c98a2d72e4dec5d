//! What is wrong with a configuration, where, and how it is mended; and how that is printed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::quote::{Quote, Text, masked};
use crate::style::{Style, View};

/// Where a problem is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// In the text of the file: line and column from 1, length in characters.
    Text { line: usize, column: usize, length: usize },
    /// In an environment variable that overrides the file.
    Variable { variable: String },
    /// The file as a whole.
    File {},
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: PathBuf,
    #[serde(flatten)]
    pub place: Place,
    /// What, in lower case and without a full stop.
    pub message: String,
    /// The choices there are, if the problem is a wrong choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// One exact edit or command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What lies beneath, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The line, its secrets masked.
    #[serde(skip)]
    pub quote: Option<Quote>,
}

impl Problem {
    pub fn new(file: &Path, place: Place, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place,
            // Who writes a URL where a key belongs gets it back without its password.
            message: masked(&message.into()),
            known: Vec::new(),
            help: None,
            causes: Vec::new(),
            quote: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The choices, and the one that `written` is similar to.
    pub fn known<'a>(mut self, what: &str, written: &str, choices: impl IntoIterator<Item = &'a str>) -> Self {
        self.known = choices.into_iter().map(str::to_owned).collect();
        if let Some(near) = similar(written, self.known.iter().map(String::as_str)) {
            self.help = Some(format!("a similar {what} is `{near}`"));
        }
        self
    }

    /// Adds `error` and all that lies beneath it.
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string().trim_end_matches('.').to_owned());
            next = cause.source();
        }
        self
    }

    /// The problem as lines of text.
    pub fn render(&self, view: View) -> String {
        let paint = |style: Style| style.paint(view.colour);
        let (wrong, strong, dim) = (paint(Style::Wrong), paint(Style::Strong), paint(Style::Dim));
        let mut out = format!("{wrong}error{wrong:#}{strong}: {}{strong:#}\n", visible(&self.message));
        let file = self.file.display();
        match &self.place {
            Place::Text { line, column, .. } => {
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                push(&mut out, format_args!("{gutter}{dim}-->{dim:#} {file}:{line}:{column}"));
                if let Some(quote) = &self.quote {
                    let quote = quote.fit(view, number.len() + 3);
                    push(&mut out, format_args!("{dim}{number} |{dim:#} {}", quote.text));
                    let (pad, carets) = (" ".repeat(quote.start), "^".repeat(quote.length));
                    push(&mut out, format_args!("{dim}{gutter} |{dim:#} {pad}{wrong}{carets}{wrong:#}"));
                }
            }
            Place::Variable { variable } => push(&mut out, format_args!(" {dim}-->{dim:#} {variable}")),
            Place::File {} => push(&mut out, format_args!(" {dim}-->{dim:#} {file}")),
        }
        if !self.known.is_empty() {
            push(&mut out, format_args!("known: {}", enumerate(&self.known, view)));
        }
        if let Some(help) = &self.help {
            push(&mut out, format_args!("help: {}", pasteable(&visible(help), view)));
        }
        for cause in &self.causes {
            push(&mut out, format_args!("caused by: {}", visible(cause)));
        }
        out
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(out, "{line}").unwrap_or_default();
}

/// A file may hold what would steer a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The choices in one line, cut with `…` where the view is narrow.
fn enumerate(choices: &[String], view: View) -> String {
    let whole = visible(&choices.join(", "));
    let room = match view.width {
        Some(width) if "known: ".len() + whole.chars().count() > width => width,
        _ => return whole,
    };
    let ellipsis = if view.unicode { "…" } else { "..." };
    let mut shown = String::new();
    for choice in choices {
        let taken = "known: ".len() + shown.chars().count() + ", ".len() + ellipsis.chars().count();
        if taken + choice.chars().count() > room {
            break;
        }
        shown += choice;
        shown += ", ";
    }
    shown + ellipsis
}

/// What stands between backquotes is for pasting.
fn pasteable(text: &str, view: View) -> String {
    let paste = Style::Paste.paint(view.colour);
    text.split('`').enumerate().fold(String::new(), |mut out, (i, part)| {
        if i > 0 {
            out.push('`');
        }
        out += &if i % 2 == 1 { format!("{paste}{part}{paste:#}") } else { part.to_owned() };
        out
    })
}

/// The choice that was probably meant: few letters apart, apart from case and the kind of dash.
pub(super) fn similar<'a>(written: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let written = plain(written);
    choices
        .into_iter()
        .map(|choice| (strsim::damerau_levenshtein(&written, &plain(choice)), choice))
        .filter(|(distance, choice)| *distance <= (choice.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

/// Everything that is wrong with a configuration: at least one problem, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the configuration has {} problem(s)", .0.len())]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Every problem, then how many there are if there are several.
    pub fn render(&self, view: View) -> String {
        let mut out = self.0.iter().map(|problem| problem.render(view)).collect::<Vec<_>>().join("\n");
        if self.0.len() > 1 {
            let mut files: Vec<String> = self.0.iter().map(|problem| problem.file.display().to_string()).collect();
            files.dedup();
            push(&mut out, format_args!("\n{} problems in {}", self.0.len(), files.join(", ")));
        }
        out
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub file: &'a Path,
    pub problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a Path) -> Self {
        Self { file, problems: Vec::new() }
    }

    /// Starts a problem; `push` it when it is complete.
    pub fn problem(&self, place: Place, message: impl Into<String>) -> Problem {
        Problem::new(self.file, place, message)
    }

    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Puts the problems into the order of the file and quotes their lines. What environment variables caused comes last.
    pub fn finish(mut self, text: &Text<'_>) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| match &problem.place {
            Place::File {} => (0, 0, 0, String::new()),
            Place::Text { line, column, .. } => (1, *line, *column, String::new()),
            Place::Variable { variable } => (2, 0, 0, variable.clone()),
        });
        for problem in &mut self.problems {
            if let Place::Text { line, column, length } = problem.place {
                problem.quote = text.quote(line, column, length);
            }
        }
        self.problems
    }
}
