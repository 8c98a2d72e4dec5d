//! The two streams: stdout carries the answer, stderr everything else, each with what it can show.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::config::Environment;
use crate::style::{Style, View};

use super::args::{Colour, Output};
use super::failure::Failure;

/// Where answers and remarks go.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub out: View,
    pub err: View,
    pub output: Output,
    /// Whether somebody reads the remarks as they come.
    pub attended: bool,
}

impl Screen {
    pub fn new(colour: Colour, output: Output, environment: &Environment) -> Self {
        let view = |terminal: bool, width: Option<u16>| View {
            colour: has_colour(colour, terminal, environment),
            unicode: is_utf8(environment),
            width: terminal.then(|| width.map_or(80, usize::from)),
        };
        let width = |size: Option<(terminal_size::Width, terminal_size::Height)>| size.map(|(width, _)| width.0);
        let (stdout, stderr) = (io::stdout(), io::stderr());
        Self {
            out: view(stdout.is_terminal(), width(terminal_size::terminal_size_of(&stdout))),
            err: view(stderr.is_terminal(), width(terminal_size::terminal_size_of(&stderr))),
            output,
            attended: stderr.is_terminal(),
        }
    }

    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// The answer as text; it ends with a line feed already.
    ///
    /// # Errors
    /// [`Failure::Closed`] if nobody reads any more, as after `| head`.
    pub fn answer(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::from)
    }

    /// The answer as one JSON document.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn document(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document).map_err(anyhow::Error::from)?;
        self.answer(&(text + "\n"))
    }

    /// A remark beside the answer; it ends with a line feed already.
    pub fn remark(&self, text: &str) {
        // There is nobody to tell that the error stream is gone.
        io::stderr().lock().write_all(text.as_bytes()).unwrap_or_default();
    }

    /// The one likely command to go on with. Only people need it; it must not end or approve anything.
    pub fn next(&self, command: &str) {
        if self.attended && !self.is_json() {
            let command = crate::show::text::paint(self.err, Style::Paste, command);
            self.remark(&format!("next: {command}\n"));
        }
    }
}

fn has_colour(wish: Colour, terminal: bool, environment: &Environment) -> bool {
    let is = |name: &str, test: fn(&str) -> bool| environment.get(name).is_some_and(|value| test(value));
    match wish {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => terminal && !is("NO_COLOR", |value| !value.is_empty()) && !is("TERM", |value| value == "dumb"),
    }
}

/// As POSIX orders them: the first that is set decides; none is the C locale.
fn is_utf8(environment: &Environment) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| environment.get(*name));
    let locale = locale.map(|value| value.to_lowercase()).find(|value| !value.is_empty()).unwrap_or_default();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn colour_needs_a_terminal_that_wants_it_unless_it_is_asked_for() {
        for (wish, terminal, variables, expected) in [
            (Colour::Auto, true, &[][..], true),
            (Colour::Auto, false, &[], false),
            (Colour::Auto, true, &[("NO_COLOR", "1")], false),
            (Colour::Auto, true, &[("NO_COLOR", "")], true),
            (Colour::Auto, true, &[("TERM", "dumb")], false),
            (Colour::Always, false, &[("NO_COLOR", "1")], true),
            (Colour::Never, true, &[], false),
        ] {
            assert_eq!(has_colour(wish, terminal, &environment(variables)), expected, "{wish:?} {variables:?}");
        }
    }

    #[test]
    fn signs_follow_the_locale() {
        for (variables, expected) in [
            (&[("LANG", "en_US.UTF-8")][..], true),
            (&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], false),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")], true),
            (&[], false),
        ] {
            assert_eq!(is_utf8(&environment(variables)), expected, "{variables:?}");
        }
    }
}
