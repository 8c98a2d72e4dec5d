//! What `leaver check` wants to know: which brokers there are, and how the topics are.

use super::layout::{self, Difference};
use super::topics::{Inquiry, Topics};
use crate::{Error, Topic};

/// What the brokers said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `HOST:PORT` of each broker.
    pub brokers: Vec<String>,
    /// Every topic that Leaver needs.
    pub topics: Vec<Probed>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Its name on the brokers.
    pub name: String,
    /// Absent topics are made when they are first needed.
    pub present: bool,
    /// What is not as Leaver would have made it, and the edit that mends it.
    pub wrong: Vec<(Difference, String)>,
}

impl Probe {
    /// Whether Leaver cannot work with a topic as it is.
    pub fn is_unusable(&self) -> bool {
        self.topics.iter().flat_map(|topic| &topic.wrong).any(|(difference, _)| difference.unusable)
    }
}

pub(crate) fn probe(topics: &Topics, inquiry: &Inquiry<'_>, brokers: &str) -> Result<Probe, Error> {
    let mut probe = Probe { brokers: Vec::new(), topics: Vec::new() };
    for topic in Topic::ALL {
        let name = topics.name(topic);
        let seen = inquiry.look(&name)?;
        probe.brokers = seen.brokers;
        let mut wrong = Vec::new();
        let present = seen.topic.is_some();
        if let Some(mut found) = seen.topic {
            found.settings = inquiry.describe(&name)?.unwrap_or_default();
            let told = layout::differences(topic, &found).into_iter();
            wrong.extend(told.map(|difference| {
                let edit = layout::edit(brokers, &name, &difference);
                (difference, edit)
            }));
        }
        probe.topics.push(Probed { name, present, wrong });
    }
    Ok(probe)
}
