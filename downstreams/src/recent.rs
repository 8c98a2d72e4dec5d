//! Sessions that were ended lately, remembered where ending one hides it from `find`.
//!
//! Once a session is out of the index that it was found by, a request in flight that writes it back would go unseen.
//! For as long as such a request may take, `find` also asks after the sessions that are remembered here.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Match, SessionId, Subject};

/// Longer than any request in flight.
const KEEP: Duration = Duration::from_secs(60 * 60);

pub(crate) struct Recent {
    matching: Match,
    ended: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    by_value: HashMap<String, Vec<(SessionId, Instant)>>,
    swept: Option<Instant>,
}

impl Recent {
    pub(crate) fn new(matching: Match) -> Self {
        Self { matching, ended: Mutex::default() }
    }

    pub(crate) fn remember(&self, subject: &Subject, sessions: &[SessionId], now: Instant) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.swept.is_none_or(|swept| now.duration_since(swept) > KEEP / 60) {
            ended.by_value.retain(|_, sessions| {
                sessions.retain(|(_, at)| now.duration_since(*at) < KEEP);
                !sessions.is_empty()
            });
            ended.swept = Some(now);
        }
        for value in subject.names() {
            let known = ended.by_value.entry(self.matching.fold(value).into_owned()).or_default();
            for session in sessions {
                match known.iter_mut().find(|(id, _)| id == session) {
                    Some((_, at)) => *at = now,
                    None => known.push((session.clone(), now)),
                }
            }
        }
    }

    /// What was ended for this subject, whether or not it is there again.
    pub(crate) fn of(&self, subject: &Subject) -> Vec<SessionId> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |value| ended.by_value.get(self.matching.fold(value).as_ref());
        let mut sessions: Vec<SessionId> = Vec::new();
        for (session, _) in subject.names().filter_map(of).flatten() {
            if !sessions.contains(session) {
                sessions.push(session.clone());
            }
        }
        sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_remembered_for_its_subject_and_for_an_hour() {
        let recent = Recent::new(Match::IgnoreCase);
        let (ana, begun) = (Subject::new(["Ana", "a.old"]), Instant::now());
        recent.remember(&ana, &[SessionId::new("s1")], begun);
        recent.remember(&ana, &[SessionId::new("s1")], begun + KEEP / 2);
        assert_eq!(recent.of(&Subject::new(["ana"])), [SessionId::new("s1")]);
        assert_eq!(recent.of(&ana), [SessionId::new("s1")], "once, although two values lead to it");
        assert_eq!(recent.of(&Subject::new(["bob"])), []);

        recent.remember(&Subject::new(["bob"]), &[SessionId::new("s2")], begun + KEEP);
        assert_eq!(recent.of(&ana).len(), 1, "its second end counts");
        recent.remember(&Subject::new(["bob"]), &[], begun + KEEP * 2);
        assert_eq!(recent.of(&ana), []);
    }
}
