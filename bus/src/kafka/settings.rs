//! What librdkafka is told.
//!
//! TLS to the brokers is OpenSSL, the one exception to rustls: librdkafka brings its own network code, and it knows no other.
//! Nothing but librdkafka links it.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::Config;

/// A member that is silent for so long has gone, and others take its partitions. It is the least that brokers allow by
/// default: a revoker that was killed and does not come back holds up its partitions for this long.
pub(crate) const SESSION: Duration = Duration::from_secs(6);

/// A member is asked for nothing for so long at most: its thread polls all the time, whatever its subscriber does.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// What a producer's queue holds at most. It is what waits in memory while brokers are slow.
const QUEUED_RECORDS: u32 = 20_000;
const QUEUED_KBYTES: u32 = 64 * 1024;

/// What every connection has in common. `instance` names this process.
pub(crate) fn common(config: &Config, instance: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", config.brokers.as_str())
        .set("client.id", instance)
        // A topic that a broker makes by itself is not the one that we need.
        .set("allow.auto.create.topics", "false")
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", "5000")
        // A broker that takes requests and answers none is given up after this; the default is a minute.
        .set("socket.timeout.ms", "10000")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("security.protocol", protocol(config))
        .set_log_level(RDKafkaLogLevel::Info);
    if let Some(tls) = &config.tls {
        client.set("ssl.ca.location", tls.ca.as_deref().map_or_else(|| "probe".into(), path));
        if let Some(certificate) = &tls.certificate {
            client.set("ssl.certificate.location", path(certificate));
        }
        if let Some(key) = &tls.key {
            client.set("ssl.key.location", path(key));
        }
    }
    if let Some(sasl) = &config.sasl {
        client
            .set("sasl.mechanism", sasl.mechanism.as_str())
            .set("sasl.username", &sasl.username)
            .set("sasl.password", sasl.password.expose());
    }
    client
}

/// A producer that keeps the order per partition and never gives a record up by itself: whoever publishes does, for all of
/// them at once, so that none overtakes another.
pub(crate) fn producer(config: &Config, instance: &str) -> ClientConfig {
    let mut client = common(config, instance);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("request.timeout.ms", "10000")
        .set("topic.metadata.propagation.max.ms", "5000")
        .set("linger.ms", "0")
        .set("compression.type", "lz4")
        // As Kafka's own clients place keys, so that other programs find a subject's partition.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", QUEUED_RECORDS.to_string())
        .set("queue.buffering.max.kbytes", QUEUED_KBYTES.to_string());
    client
}

/// A consumer that answers at once and commits only what it is told to.
pub(crate) fn consumer(config: &Config, instance: &str, group: &str) -> ClientConfig {
    let mut client = common(config, instance);
    client
        .set("group.id", group)
        .set("group.instance.id", instance)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", SESSION.as_millis().to_string())
        .set("heartbeat.interval.ms", "1500")
        .set("max.poll.interval.ms", POLL_INTERVAL.as_millis().to_string())
        // A group that nobody was in begins with what is there.
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "500")
        .set("enable.auto.offset.store", "false")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "100")
        // The default is a second, spent whenever the queue below was full.
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "16384")
        .set("statistics.interval.ms", "5000");
    client
}

fn protocol(config: &Config) -> &'static str {
    match (&config.tls, &config.sasl) {
        (None, None) => "plaintext",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), None) => "ssl",
        (Some(_), Some(_)) => "sasl_ssl",
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
