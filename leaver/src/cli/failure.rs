//! Errors as people read them, and the exit codes: the one place where a chain of causes becomes text.

use std::fmt::Write as _;
use std::io;

use crate::client::{self, Refusal};
use crate::config::Problems;
use crate::show::identity::{self, Identity};
use crate::show::text::{paint, pasteable, visible};
use crate::style::{Style, View};

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// It failed, or nobody is WHO.
    Failed = 1,
    /// The command line or the configuration is wrong, or WHO could mean several.
    Usage = 2,
    /// Held, waited in vain, or not every downstream reached the state.
    Held = 3,
}

/// Why a verb could not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    Configuration(Problems),
    /// WHO could mean each of these.
    Several {
        told: Box<Message>,
        matches: Vec<Identity>,
    },
    /// Nobody reads stdout any more, which is how `| head` says thank you.
    Closed,
    Told(Box<Message>),
}

/// An error with what helps.
#[derive(Debug)]
pub struct Message {
    exit: Exit,
    /// In lower case and without a full stop.
    what: String,
    known: Vec<String>,
    help: Option<String>,
    /// Nearest first.
    causes: Vec<String>,
}

impl Message {
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), known: Vec::new(), help: None, causes: Vec::new() }
    }

    pub fn known(self, known: Vec<String>) -> Self {
        Self { known, ..self }
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub fn has_help(&self) -> bool {
        self.help.is_some()
    }

    /// Adds `cause` and all that lies beneath it.
    pub fn caused_by(mut self, cause: Option<&dyn std::error::Error>) -> Self {
        let chain = std::iter::successors(cause, |cause| cause.source());
        self.causes.extend(chain.map(|cause| cause.to_string().trim_end_matches('.').to_owned()));
        // Some libraries pass on what lies beneath as their own.
        self.causes.dedup();
        self
    }

    fn render(&self, view: View) -> String {
        let what = paint(view, Style::Strong, format_args!(": {}", visible(&self.what)));
        let mut out = format!("{}{what}\n", paint(view, Style::Wrong, "error"));
        let mut add = |label: &str, text: String| writeln!(out, "{label}: {text}").unwrap_or_default();
        if !self.known.is_empty() {
            add("known", visible(&self.known.join(", ")));
        }
        if let Some(help) = &self.help {
            add("help", pasteable(&visible(help), view));
        }
        for cause in &self.causes {
            add("caused by", visible(cause));
        }
        out
    }
}

impl Failure {
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Message::new(exit, what).into()
    }

    pub fn exit(&self) -> Exit {
        match self {
            Failure::Configuration(_) | Failure::Several { .. } => Exit::Usage,
            Failure::Closed => Exit::Done,
            Failure::Told(message) => message.exit,
        }
    }

    /// What goes to the error stream.
    pub fn render(&self, view: View) -> String {
        match self {
            Failure::Configuration(problems) => problems.render(view),
            Failure::Several { told, matches } => told.render(view) + &identity::list(matches, view),
            Failure::Closed => String::new(),
            Failure::Told(message) => message.render(view),
        }
    }

    /// What the server said of a name that it does not know, if it is that.
    pub fn is_unknown(error: &client::Error) -> bool {
        matches!(error, client::Error::Refused(Refusal { status: 404, .. }))
    }
}

impl From<Message> for Failure {
    fn from(message: Message) -> Self {
        Failure::Told(Box::new(message))
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Failure::Configuration(problems)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let top: &dyn std::error::Error = error.as_ref();
        Message::new(Exit::Failed, top.to_string()).caused_by(top.source()).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::Closed;
        }
        Message::new(Exit::Failed, "the answer cannot be written").caused_by(Some(&error)).into()
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        use client::Error::*;
        let message = Message::new(Exit::Failed, error.to_string());
        let source = std::error::Error::source(&error);
        match error {
            Nobody { .. } => nobody(message, source),
            Refused(refusal) => refused(message, refusal),
            Unauthorized { .. } => message
                .help("set LEAVER_TOKEN, or run as an account that can read admin.token in the data_dir of the server")
                .into(),
            Elsewhere { location, .. } => message.help(format!("`--server {location}`")).into(),
            Late { .. } => message.help("whether the call was carried out is not known; ask again").into(),
            Broken { .. } => message.caused_by(source).help("whether the call was carried out is not known").into(),
            Garbled { .. } => {
                message.caused_by(source).help("compare the versions of the server and of this leaver").into()
            }
            Unusable(_) => message.caused_by(source).into(),
        }
    }
}

/// Of the layers of a connection only the root says anything, and only if it is not what the message says already.
fn nobody(message: Message, source: Option<&(dyn std::error::Error + 'static)>) -> Failure {
    let message = message.help("start leaver up, or name another with --server");
    let root = std::iter::successors(source, |cause| cause.source()).last();
    let refused = root
        .and_then(|root| root.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    message.caused_by(root.filter(|_| !refused).map(|root| root as &dyn std::error::Error)).into()
}

fn refused(message: Message, refusal: Refusal) -> Failure {
    let Refusal { status, help, matches, .. } = refusal;
    let message = Message { help, ..message };
    match matches.map(<Vec<Identity> as serde::Deserialize>::deserialize) {
        Some(Ok(matches)) => Failure::Several { told: Box::new(message), matches },
        // What was asked for cannot be: the command line is wrong.
        _ if status == 400 => Message { exit: Exit::Usage, ..message }.into(),
        _ => message.into(),
    }
}
