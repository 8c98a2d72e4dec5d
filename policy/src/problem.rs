//! A problem in a policy or an expression: where it is, what is wrong, what would be right. Rendering is the caller's.

use serde::{Deserialize, Serialize};

use crate::place::Place;

/// One thing that is wrong with what somebody wrote.
///
/// Lines and columns count from 1 and columns count characters, so that an editor jumps to the right place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    pub line: usize,
    pub column: usize,
    /// How many characters are meant, at least 1 and never beyond the line.
    pub length: usize,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// The words that would have been understood here; empty where there is no such list.
    pub known: Vec<String>,
    /// One exact edit, where one is known.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        let Place { line, column, length } = place;
        Self { line, column, length, message: message.into(), known: Vec::new(), help: None }
    }

    /// Adds the words understood here, and as help the one that `found` resembles. `what` names them: key, field, action.
    pub(crate) fn known(mut self, what: &str, found: &str, words: &[&str]) -> Self {
        self.known = words.iter().map(|word| (*word).to_owned()).collect();
        self.help = similar(found, words).map(|word| format!("a similar {what} is `{word}`"));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The one word of `words` that `found` is a slip of the pen away from. One edit in three letters is still a slip.
pub(crate) fn similar<'w>(found: &str, words: &[&'w str]) -> Option<&'w str> {
    let lower = found.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&lower, &word.to_lowercase());
    let bound = (found.chars().count() / 3).max(1);
    words.iter().copied().map(|word| (distance(word), word)).filter(|(d, _)| *d <= bound).min().map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn only_a_slip_of_the_pen_is_similar() {
        let words = ["department", "userName", "email"];
        for (found, expected) in [
            ("departement", Some("department")),
            ("username", Some("userName")),
            ("mail", Some("email")),
            ("salary", None),
        ] {
            assert_eq!(similar(found, &words), expected, "{found}");
        }
    }
}
