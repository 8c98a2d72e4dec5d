//! What may be asked of all that waits for a person, plans and holds alike: lists, pages, the beginning of an id, a rejection.

use serde::Deserialize;

use crate::problem::Problem;

/// Rows in one answer, at most.
const LIMIT: u32 = 1_000;
/// A shorter beginning of an id could soon name several.
pub(crate) const SHORTEST: usize = 8;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    state: Option<String>,
}

impl ListQuery {
    /// Only what waits for a person.
    pub(crate) fn held(&self) -> bool {
        self.state.as_deref() == Some("held")
    }
}

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    #[serde(default)]
    pub(crate) after: u32,
    limit: Option<u32>,
}

impl PageQuery {
    pub(crate) fn limit(&self) -> u32 {
        self.limit.unwrap_or(50).min(LIMIT)
    }

    /// The `after` of the page that follows one of so many rows, if there are more `of` them.
    pub(crate) fn next(&self, rows: usize, of: u64) -> Option<u64> {
        let shown = u64::from(self.after) + rows as u64;
        (rows > 0 && shown < of).then_some(shown)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    reason: String,
}

impl Rejection {
    pub(crate) fn why(&self) -> Result<&str, Problem> {
        match self.reason.trim() {
            "" => Err(Problem::new(400, "a reason is missing").help("say why; it is kept")),
            reason => Ok(reason),
        }
    }
}
