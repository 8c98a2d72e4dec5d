//! Secrets by reference: `env:NAME` and `file:PATH` become what they name.

use std::path::Path;

use super::Environment;

/// Where references are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secrets<'a> {
    pub environment: &'a Environment,
    /// What the PATH of a reference is relative to.
    pub folder: &'a Path,
    /// False leaves references as they stand, for verbs that need no secret.
    pub resolve: bool,
}

/// Why a reference leads to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("the environment variable `{0}` is not set")]
    Variable(String),
    #[error("the environment variable `{0}` is empty")]
    EmptyVariable(String),
    #[error("the secret file `{path}` cannot be read")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the secret file `{0}` is empty")]
    EmptyFile(String),
}

impl Missing {
    /// What to do about it.
    pub fn edit(&self) -> String {
        match self {
            Missing::Variable(name) | Missing::EmptyVariable(name) => {
                format!("set it where leaver is started, or name a file: `file:PATH` instead of `env:{name}`")
            }
            Missing::File { .. } => "a relative path is looked for beside the configuration".to_owned(),
            Missing::EmptyFile(_) => "write the secret into it, on one line".to_owned(),
        }
    }
}

/// Whether the text names a secret rather than being one.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

impl Secrets<'_> {
    /// The secret that `text` names, or `text` itself. A file ends in a newline by habit: that one is no part of the secret.
    pub fn resolve(&self, text: &str) -> Result<String, Missing> {
        if !self.resolve {
            return Ok(text.to_owned());
        }
        if let Some(name) = text.strip_prefix("env:") {
            return match self.environment.get(name) {
                None => Err(Missing::Variable(name.to_owned())),
                Some(value) if value.is_empty() => Err(Missing::EmptyVariable(name.to_owned())),
                Some(value) => Ok(value.clone()),
            };
        }
        let Some(path) = text.strip_prefix("file:") else { return Ok(text.to_owned()) };
        let content = std::fs::read_to_string(self.folder.join(path))
            .map_err(|source| Missing::File { path: path.to_owned(), source })?;
        let secret = content.strip_suffix('\n').map_or(&*content, |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.is_empty() { Err(Missing::EmptyFile(path.to_owned())) } else { Ok(secret.to_owned()) }
    }
}
