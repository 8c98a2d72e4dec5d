//! Colours by meaning: the only place that knows an ANSI colour.

use anstyle::{AnsiColor, Style as Ansi};

/// What a colour says. A word or a sign next to it always says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Done: verified, settled, active.
    Good,
    /// Not yet: held, owed, backed off, suspended.
    Waiting,
    /// Wrong: an error, stuck, resurrected.
    Wrong,
    /// Heads and names.
    Strong,
    /// Ids, past instants, the frame around a quoted line.
    Dim,
    /// A command or a word to paste.
    Paste,
}

impl Style {
    /// The escape sequences, or none: `let good = Style::Good.paint(on); write!(f, "{good}✓{good:#}")`.
    pub fn paint(self, on: bool) -> Ansi {
        if !on {
            return Ansi::new();
        }
        match self {
            Style::Good => AnsiColor::Green.on_default(),
            Style::Waiting => AnsiColor::Yellow.on_default(),
            Style::Wrong => AnsiColor::Red.on_default(),
            Style::Strong => Ansi::new().bold(),
            Style::Dim => Ansi::new().dimmed(),
            Style::Paste => AnsiColor::Cyan.on_default(),
        }
    }
}

/// What a stream can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub colour: bool,
    /// Whether `…` and the like can be shown; otherwise they are spelled in ASCII.
    pub unicode: bool,
    /// Columns after which a list of choices is cut; `None` never cuts.
    pub width: Option<usize>,
}

impl View {
    /// Without colour and uncut: for files, pipes and tests.
    pub const PLAIN: View = View { colour: false, unicode: true, width: None };
}
