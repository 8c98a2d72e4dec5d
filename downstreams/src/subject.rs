//! What a subject goes by in a downstream, and how those values are compared.

use std::{borrow::Cow, collections::HashMap, fmt};

use schemars::JsonSchema;
use serde::Deserialize;

/// The values that one subject goes by in one downstream: its user name there, perhaps former ones too.
///
/// An empty value is nobody: stores keep it for visitors who have not signed in.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    pub values: Vec<String>,
}

impl Subject {
    pub fn new(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { values: values.into_iter().map(Into::into).collect() }
    }

    /// The values that name somebody.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({} values)", self.values.len())
    }
}

/// The `match` of a downstream: how a subject's value and the store's are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    #[default]
    Exact,
    /// By their lower-case forms in Unicode.
    IgnoreCase,
}

impl Match {
    /// The form in which two values are equal iff they match.
    pub(crate) fn fold(self, value: &str) -> Cow<'_, str> {
        match self {
            Match::Exact => Cow::Borrowed(value),
            Match::IgnoreCase => Cow::Owned(value.to_lowercase()),
        }
    }
}

/// The subjects of one pass, looked up by value.
pub(crate) struct Wanted {
    subjects: HashMap<String, Vec<usize>>,
    matching: Match,
}

impl Wanted {
    pub(crate) fn new<'a>(subjects: impl IntoIterator<Item = &'a Subject>, matching: Match) -> Self {
        let mut by_value: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, subject) in subjects.into_iter().enumerate() {
            for value in subject.names() {
                let indices = by_value.entry(matching.fold(value).into_owned()).or_default();
                // Two spellings of one subject may fold to the same value.
                if indices.last() != Some(&index) {
                    indices.push(index);
                }
            }
        }
        Self { subjects: by_value, matching }
    }

    /// Nobody can be found.
    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// The indices of the subjects that go by `value`.
    pub(crate) fn who(&self, value: &str) -> &[usize] {
        self.subjects.get(self.matching.fold(value).as_ref()).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_does_not_print_its_values() {
        assert_eq!(format!("{:?}", Subject::new(["ana@example.com"])), "Subject(1 values)");
    }

    #[test]
    fn a_value_shared_by_two_subjects_leads_to_both() {
        let wanted = Wanted::new(&[Subject::new(["ana", "a.old"]), Subject::new(["a.old"])], Match::Exact);
        assert_eq!((wanted.who("a.old"), wanted.who("ana"), wanted.who("Ana")), (&[0, 1][..], &[0][..], &[][..]));
    }

    #[test]
    fn case_is_ignored_beyond_ascii_and_counts_a_subject_once() {
        let wanted = Wanted::new(&[Subject::new(["ZOË", "zoë"])], Match::IgnoreCase);
        assert_eq!(wanted.who("Zoë"), [0]);
    }

    #[test]
    fn an_empty_value_is_nobody() {
        let wanted = Wanted::new(&[Subject::new([""])], Match::Exact);
        assert!(wanted.is_empty() && wanted.who("").is_empty());
    }
}
