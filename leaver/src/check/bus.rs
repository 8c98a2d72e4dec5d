//! Whether Kafka can be reached and its topics are as Leaver needs them; and what subscribers are told people are called.

use bus::Kafka;
use bus::kafka::Probe;

use super::{Check, PATIENCE, State, silent, timed};
use crate::config::Config;
use crate::show::text::count;

/// The brokers, the topics, and one line for each topic that is wrong. Nothing where the bus is embedded.
pub async fn look(config: &Config, file: &str) -> Vec<Check> {
    let Some(kafka) = &config.bus.kafka else { return Vec::new() };
    let client = Kafka::new(kafka.clone(), "leaver-check");
    let mut topics = Vec::new();
    let brokers = timed(async {
        match tokio::time::timeout(PATIENCE, client.probe()).await {
            Err(_) => silent("bus", "bus"),
            Ok(Err(error)) => {
                let start = if matches!(error, bus::Error::Unavailable(_)) { "start it, or " } else { "" };
                Check::failed("bus", "bus", &error).help(format!("{start}mend bus.kafka in {file}"))
            }
            Ok(Ok(probe)) => {
                topics = wrong(&probe);
                Check::new("bus", "bus", State::Ok, seen(&probe))
            }
        }
    })
    .await;
    [vec![brokers], topics].concat()
}

fn seen(probe: &Probe) -> String {
    let absent = probe.topics.iter().filter(|topic| !topic.present).count();
    let brokers = count(probe.brokers.len() as u64, "broker");
    let topics = count(probe.topics.len() as u64, "topic");
    match absent {
        0 => format!("Kafka, {brokers}, {topics}"),
        absent => format!("Kafka, {brokers}, {topics}, {absent} of them to be made"),
    }
}

fn wrong(probe: &Probe) -> Vec<Check> {
    let differences = probe.topics.iter().flat_map(|topic| topic.wrong.iter().map(|wrong| (&topic.name, wrong)));
    let check = |(name, (difference, edit)): (&String, &(bus::kafka::Difference, String))| {
        let state = if difference.unusable { State::Failed } else { State::Warning };
        Check::new("topic", name, state, difference.to_string()).help(format!("`{edit}`"))
    };
    differences.map(check).collect()
}

/// What subscribers know people by.
pub fn names(config: &Config) -> Option<Check> {
    let publish = &config.publish;
    let told: Vec<String> = publish.subjects.iter().map(|(name, written)| format!("{name} = {written}")).collect();
    let check = |state, detail: String| Some(Check::new("publish", "publish", state, detail));
    match (&config.bus.kafka, told.is_empty()) {
        (None, true) => None,
        (None, false) => Some(
            check(State::Warning, "there is no bus.kafka, so nobody is told the names of subjects".to_owned())?
                .help("add `bus: { kafka: { brokers: \"HOST:9092\" } }`"),
        ),
        (Some(_), true) => check(State::Ok, "subscribers know people by the ids of Leaver alone".to_owned()),
        (Some(_), false) if publish.allow_personal_data => {
            let detail = format!("personal data may stand on the bus as it is: {}", told.join(", "));
            Some(check(State::Warning, detail)?.help("remove `publish.allow_personal_data` and write `hmac(…)`"))
        }
        (Some(_), false) => check(State::Ok, told.join(", ")),
    }
}
