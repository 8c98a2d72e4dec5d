//! What each topic must look like, and what is wrong with one that looks otherwise.

use std::fmt;

use crate::Topic;

/// Enough to share a topic among as many processes; more would only make reading the revocations from their start slower.
pub(crate) const PARTITIONS: i32 = 12;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// The settings with which a topic is made. An operator may change all but `cleanup.policy`.
///
/// The revocations are read from their start by every proxy that starts, so the log must stay near one record per subject.
/// Compaction takes whole segments, never the newest: a segment is closed after an hour, so that what was overwritten goes
/// soon. It begins when a tenth is overwritten (the default is half), which costs the brokers reading, and readers
/// at most a tenth more than they need. A partition with little news is compacted after four hours nevertheless. Nobody
/// needs a revision that was overwritten, so nothing has to stay for a while (`min.compaction.lag.ms`).
pub(crate) fn settings(topic: Topic, replication: i32) -> Vec<(&'static str, String)> {
    let mut settings = match topic {
        Topic::Lifecycle(_) => kept(7 * DAY),
        Topic::Receipts => kept(30 * DAY),
        Topic::Revocations => vec![
            ("cleanup.policy", "compact".to_owned()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            ("segment.ms", HOUR.to_string()),
            ("min.compaction.lag.ms", "0".to_owned()),
            ("max.compaction.lag.ms", (4 * HOUR).to_string()),
        ],
    };
    // When a broker had it, whatever the clock of the producer says.
    settings.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    settings.push(("min.insync.replicas", replication.clamp(1, 2).to_string()));
    settings
}

fn kept(ms: i64) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", ms.to_string()),
        ("retention.bytes", "-1".to_owned()),
    ]
}

/// A topic as it was found. Settings that we may not see are absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub partitions: usize,
    pub replication: usize,
    pub settings: Vec<(String, String)>,
}

/// A setting of a topic that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub setting: String,
    pub found: String,
    pub wanted: String,
    /// What comes of it.
    pub effect: &'static str,
    /// Whether Leaver cannot work with it at all.
    pub unusable: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, found, wanted, effect, .. } = self;
        write!(f, "{setting} is {found}, not {wanted}: {effect}")
    }
}

/// What differs from [`settings`], and matters.
pub(crate) fn differences(topic: Topic, found: &Found) -> Vec<Difference> {
    let replication = i32::try_from(found.replication).unwrap_or(i32::MAX);
    let mut differences: Vec<Difference> = settings(topic, replication)
        .into_iter()
        .filter_map(|(setting, wanted)| {
            let (_, value) = found.settings.iter().find(|(name, _)| name == setting)?;
            let effect = effect(topic, setting, value, &wanted, replication)?;
            let unusable = setting == "cleanup.policy" || (setting == "min.insync.replicas" && *value > wanted);
            Some(Difference { setting: setting.to_owned(), found: value.clone(), wanted, effect, unusable })
        })
        .collect();
    if found.partitions < PARTITIONS as usize {
        differences.push(Difference {
            setting: "partitions".to_owned(),
            found: found.partitions.to_string(),
            wanted: PARTITIONS.to_string(),
            effect: "no more processes than that share the work",
            unusable: false,
        });
    }
    differences
}

/// What comes of this value; none if it is as good as the wanted one.
fn effect(topic: Topic, setting: &str, found: &str, wanted: &str, replication: i32) -> Option<&'static str> {
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::MAX);
    // Minus one is without an end.
    let shorter = || number(found) >= 0.0 && (number(wanted) < 0.0 || number(found) < number(wanted));
    match setting {
        "cleanup.policy" if found == wanted => None,
        "cleanup.policy" if topic == Topic::Revocations => Some("subscribers read the revocation state from its start"),
        "cleanup.policy" => Some("an event would be dropped because a later one is of the same subject"),
        "retention.ms" | "retention.bytes" => {
            shorter().then_some("who is away for longer than records are kept misses some")
        }
        "message.timestamp.type" => (found != wanted).then_some("the published hop shows the clock of the relay"),
        "min.insync.replicas" if number(found) < number(wanted) => {
            Some("records that only one broker has count as durable")
        }
        "min.insync.replicas" => (number(found) > f64::from(replication)).then_some("no record can be acknowledged"),
        "min.cleanable.dirty.ratio" | "segment.ms" | "min.compaction.lag.ms" | "max.compaction.lag.ms" => {
            (number(found) > number(wanted)).then_some("subscribers that start read more than they need")
        }
        _ => None,
    }
}

/// The edit that mends it.
pub(crate) fn edit(brokers: &str, name: &str, difference: &Difference) -> String {
    let Difference { setting, wanted, .. } = difference;
    match setting.as_str() {
        "partitions" => {
            format!("kafka-topics.sh --bootstrap-server {brokers} --alter --topic {name} --partitions {wanted}")
        }
        _ => format!(
            "kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics --entity-name {name} \
             --add-config {setting}={wanted}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Lane;

    use super::*;

    const LIFECYCLE: Topic = Topic::Lifecycle(Lane::Urgent);

    /// A topic as we make it, but for some settings.
    fn found(topic: Topic, changes: &[(&str, &str)]) -> Found {
        let mut settings: Vec<(String, String)> =
            super::settings(topic, 3).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in changes {
            settings.retain(|(known, _)| known != name);
            settings.push(((*name).to_owned(), (*value).to_owned()));
        }
        Found { partitions: 12, replication: 3, settings }
    }

    fn told(topic: Topic, changes: &[(&str, &str)]) -> Vec<(String, bool)> {
        differences(topic, &found(topic, changes)).into_iter().map(|d| (d.setting, d.unusable)).collect()
    }

    #[test]
    fn a_topic_as_we_make_it_is_right() {
        for topic in Topic::ALL {
            assert_eq!(told(topic, &[]), [], "{topic:?}");
        }
    }

    #[test]
    fn revocations_that_are_not_only_compacted_are_unusable() {
        for policy in ["delete", "compact,delete"] {
            assert_eq!(told(Topic::Revocations, &[("cleanup.policy", policy)]), [("cleanup.policy".to_owned(), true)]);
        }
    }

    #[test]
    fn events_that_are_compacted_away_are_unusable() {
        assert_eq!(told(LIFECYCLE, &[("cleanup.policy", "compact")]), [("cleanup.policy".to_owned(), true)]);
    }

    #[test]
    fn more_replicas_in_sync_than_there_are_is_unusable() {
        assert_eq!(told(LIFECYCLE, &[("min.insync.replicas", "3")]), [], "of three");
        assert_eq!(told(LIFECYCLE, &[("min.insync.replicas", "4")]), [("min.insync.replicas".to_owned(), true)]);
    }

    #[test]
    fn more_than_wanted_is_right_and_less_is_told() {
        assert_eq!(told(LIFECYCLE, &[("retention.ms", "-1")]), []);
        assert_eq!(told(LIFECYCLE, &[("retention.ms", "9999999999")]), []);
        assert_eq!(told(LIFECYCLE, &[("retention.ms", "3600000")]), [("retention.ms".to_owned(), false)]);
        assert_eq!(told(LIFECYCLE, &[("retention.bytes", "1000")]), [("retention.bytes".to_owned(), false)]);
        assert_eq!(told(LIFECYCLE, &[("min.insync.replicas", "1")]), [("min.insync.replicas".to_owned(), false)]);
        assert_eq!(told(LIFECYCLE, &[("message.timestamp.type", "CreateTime")]).len(), 1);
        assert_eq!(told(Topic::Revocations, &[("segment.ms", "604800000")]), [("segment.ms".to_owned(), false)]);
        assert_eq!(told(Topic::Revocations, &[("min.cleanable.dirty.ratio", "0.01")]), []);
    }

    #[test]
    fn what_we_may_not_see_is_not_wrong() {
        assert_eq!(differences(LIFECYCLE, &Found { partitions: 12, replication: 1, settings: Vec::new() }), []);
    }

    #[test]
    fn fewer_partitions_are_told() {
        let few = Found { partitions: 3, ..found(LIFECYCLE, &[]) };
        let difference = &differences(LIFECYCLE, &few)[0];
        assert_eq!((difference.setting.as_str(), difference.unusable), ("partitions", false));
        assert!(edit("b:9092", "leaver.x", difference).ends_with("--alter --topic leaver.x --partitions 12"));
    }
}
