//! Who seems to be on the other side, by the shapes that it sends: counted, and shown to people. Nothing is understood otherwise.

use std::sync::Mutex;

use scim::ResourceType;
use scim::dialect::{Dialect, Quirks, quirks};
use serde_json::Value;

use super::Shared;

/// What was seen of a source since this process began.
#[derive(Debug, Default)]
pub struct Seen {
    seen: Mutex<Quirks>,
    /// What is configured; it is not guessed then.
    stated: Option<Dialect>,
}

impl Seen {
    pub(crate) fn new(stated: Option<Dialect>) -> Self {
        Self { seen: Mutex::default(), stated }
    }

    /// Remembers what a request had; the new guess, if it is another one now.
    fn add(&self, found: &Quirks) -> Option<Option<Dialect>> {
        // Whoever panicked left a set that is whole.
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = (self.guess(&seen), seen.len());
        seen.extend(found);
        let now = self.guess(&seen);
        (before.0 != now || before.1 == 0).then_some(now)
    }

    fn guess(&self, seen: &Quirks) -> Option<Dialect> {
        self.stated.or_else(|| Dialect::detect(seen))
    }
}

impl Shared {
    /// Counts what is outside of the standard in a request, by its name.
    pub(super) async fn note_quirks(&self, source: &str, resource: ResourceType, body: &Value, query: Option<&str>) {
        let Some(pushed) = self.worker.pushed.get(source) else { return };
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        let found = quirks(resource, body, &pairs);
        if found.is_empty() {
            return;
        }
        for quirk in &found {
            self.worker.metrics.quirk(source, quirk.as_str());
        }
        if let Some(guess) = pushed.dialect.add(&found)
            && let Err(error) = self.worker.directory.note_dialect(source, guess.map(Dialect::as_str)).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                source.name = source,
                "the dialect of a source could not be noted"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use scim::dialect::Quirk;

    use super::*;

    #[test]
    fn a_dialect_is_guessed_once_and_again_when_something_else_is_seen() {
        let seen = Seen::default();
        assert_eq!(seen.add(&Quirks::from([Quirk::StartIndexZero])), Some(Some(Dialect::Entra)));
        assert_eq!(seen.add(&Quirks::from([Quirk::OpCase])), None);
        assert_eq!(seen.add(&Quirks::from([Quirk::Password])), Some(None));
        assert_eq!(Seen::new(Some(Dialect::Generic)).add(&Quirks::from([Quirk::OpCase])), Some(Some(Dialect::Generic)));
    }
}
