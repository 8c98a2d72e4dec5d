//! The timeline: milliseconds from the commit to each hop, as measured in this very run.

use std::fmt::Write as _;

use directory::Hop;
use serde::Serialize;

use crate::style::{Style, View};

/// What became of one person.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    pub who: String,
    pub what: &'static str,
    pub published_ms: Option<i64>,
    pub decided_ms: Option<i64>,
    pub applied_ms: Option<i64>,
    pub verified_ms: Option<i64>,
    pub settled_ms: Option<i64>,
    pub ended: u64,
    pub came_back: u64,
    pub kept: u64,
}

/// The whole demo.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    pub people: usize,
    pub sessions: u64,
    pub ended: u64,
    pub stories: Vec<Story>,
}

impl Story {
    pub fn new(who: &str, what: &'static str, hops: &[Hop], ended: u64, came_back: u64) -> Self {
        let committed = hops.iter().find(|h| h.hop == "committed").map(|h| h.at);
        let after = |hop: &str| {
            let at = hops.iter().find(|h| h.hop == hop)?.at;
            Some((at - committed?).num_milliseconds())
        };
        Self {
            who: who.to_owned(),
            what,
            published_ms: after("published"),
            decided_ms: after("decided"),
            applied_ms: after("applied"),
            verified_ms: after("verified"),
            settled_ms: after("settled"),
            ended,
            came_back,
            kept: 0,
        }
    }

    fn leaves(&self) -> bool {
        self.what != "moved"
    }
}

impl Timeline {
    /// Whether everybody who lost something had every session settled.
    pub fn all_settled(&self) -> bool {
        self.stories.iter().filter(|s| s.leaves()).all(|s| s.settled_ms.is_some())
    }

    pub fn render(&self, view: View) -> String {
        let mut out = String::new();
        let line = |out: &mut String, text: &str| writeln!(out, "{text}").expect("writing to a string cannot fail");
        let strong = Style::Strong.paint(view.colour);
        line(
            &mut out,
            &format!(
                "{strong}{:<21}  {:>9}  {:>7}  {:>7}  {:>8}  {:>7}  {:>5}  {:>4}{strong:#}",
                "MS AFTER COMMIT", "PUBLISHED", "DECIDED", "APPLIED", "VERIFIED", "SETTLED", "ENDED", "KEPT"
            ),
        );
        let cell = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
        for s in &self.stories {
            line(
                &mut out,
                &format!(
                    "{:<6} {:<14}  {:>9}  {:>7}  {:>7}  {:>8}  {:>7}  {:>5}  {:>4}",
                    s.who,
                    s.what,
                    cell(s.published_ms),
                    cell(s.decided_ms),
                    cell(s.applied_ms),
                    cell(s.verified_ms),
                    cell(s.settled_ms),
                    s.ended,
                    s.kept
                ),
            );
        }
        let slowest = self.stories.iter().filter_map(|s| s.verified_ms).max();
        let came_back: u64 = self.stories.iter().map(|s| s.came_back).sum();
        line(
            &mut out,
            &format!(
                "{} sessions ended, {came_back} came back; slowest commit → verified {} ms",
                self.ended,
                slowest.map_or_else(|| "-".to_owned(), |ms| ms.to_string())
            ),
        );
        line(&mut out, "dora: the built-in policy does nothing about a move, so both her sessions live");
        line(&mut out, "finn: the login after the rehire lives, the session before it stays dead");
        out
    }
}
