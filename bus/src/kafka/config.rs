//! What an operator may set for Kafka.

use std::fmt;
use std::path::PathBuf;

use lifecycle::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// An Apache Kafka, 2.6 or newer, or what speaks its protocol.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Brokers to begin with, `HOST:PORT`, with commas between them. They name the others.
    pub brokers: Brokers,

    /// What the names of the topics begin with: `leaver` gives `leaver.revocations.v1`.
    #[serde(default)]
    pub prefix: Name,

    /// What the names of the consumer groups begin with: `leaver` gives `leaver.revoker.lifecycle.urgent.v1`. Deployments
    /// that share topics need different ones.
    #[serde(default)]
    pub group: Name,

    /// How many brokers keep each record of a topic that Leaver makes: a number, or `auto`, which is 3, or all brokers where
    /// there are fewer.
    #[serde(default)]
    pub replication: Replication,

    /// TLS to the brokers. `{}` trusts what the system trusts. Absent: no TLS.
    #[serde(default)]
    pub tls: Option<Tls>,

    /// Name and password for the brokers. Absent: none.
    #[serde(default)]
    pub sasl: Option<Sasl>,
}

/// Whom to trust, and who we are. PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificates of authorities to trust. Absent: those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate, where the brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
}

/// How we say who we are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub username: String,
    pub password: Secret,
}

/// A SASL mechanism, as the brokers name it. `PLAIN` shows the password to whoever reads the wire: use it with TLS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// How many brokers keep each record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Replication {
    /// min(3, brokers).
    #[default]
    Auto,
    Fixed(u8),
}

/// A non-empty list of `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Brokers(String);

/// The first part of a topic's or a group's name: 1 to 100 letters, digits, dots, dashes and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Config {
    /// The defaults, for these brokers.
    ///
    /// Errors: what is wrong with `brokers`.
    pub fn new(brokers: &str) -> Result<Self, String> {
        Ok(Self {
            brokers: Brokers::try_from(brokers.to_owned())?,
            prefix: Name::default(),
            group: Name::default(),
            replication: Replication::Auto,
            tls: None,
            sasl: None,
        })
    }

    /// Every path in it, so that relative ones can be made absolute.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.tls.iter_mut().flat_map(|tls| [&mut tls.ca, &mut tls.certificate, &mut tls.key]).flatten()
    }
}

impl Mechanism {
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Replication {
    /// The number for a cluster of so many brokers.
    pub fn among(self, brokers: usize) -> i32 {
        match self {
            Replication::Auto => i32::try_from(brokers.clamp(1, 3)).unwrap_or(3),
            Replication::Fixed(number) => i32::from(number),
        }
    }

    fn number(number: u64) -> Result<Self, String> {
        match u8::try_from(number) {
            Ok(number) if number > 0 => Ok(Replication::Fixed(number)),
            _ => Err(format!("`{number}` is neither `auto` nor a number from 1 to 255")),
        }
    }

    fn text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Replication::Auto),
            text => match text.parse() {
                Ok(number) => Self::number(number),
                Err(_) => Err(format!("`{text}` is neither `auto` nor a number from 1 to 255")),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Replication {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Replication;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`auto` or a number from 1 to 255")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Replication, E> {
                Replication::number(number).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Replication, E> {
                Replication::number(u64::try_from(number).unwrap_or(0)).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Replication, E> {
                Replication::text(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Replication {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Replication".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^(auto|[0-9]+)$", "minimum": 1, "maximum": 255 })
    }
}

impl Brokers {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Brokers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let host = |part: &str| part.rsplit_once(':').map_or(part, |(host, _)| host).trim().to_owned();
        let port = |part: &str| part.rsplit_once(':').is_none_or(|(_, port)| port.trim().parse::<u16>().is_ok());
        match text.split(',').find(|part| host(part).is_empty() || host(part).contains('/') || !port(part)) {
            Some(part) => Err(format!("`{}` is no HOST:PORT", part.trim())),
            None => Ok(Self(text)),
        }
    }
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Self {
        Self("leaver".to_owned())
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if (1..=100).contains(&text.len()) && text.chars().all(legal) && !text.starts_with('.') {
            Ok(Self(text))
        } else {
            Err("takes 1 to 100 letters, digits, dots, dashes and underscores".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Config, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn brokers_alone_are_enough() {
        let config = read(json!({"brokers": "a:9092,b:9092"})).expect("it is whole");
        assert_eq!(config.brokers.as_str(), "a:9092,b:9092");
        assert_eq!((config.prefix.as_str(), config.group.as_str()), ("leaver", "leaver"));
        assert_eq!(config.replication, Replication::Auto);
        assert!(config.tls.is_none() && config.sasl.is_none());
    }

    #[test]
    fn auto_replication_is_three_or_as_many_as_there_are() {
        assert_eq!([1, 2, 3, 9].map(|brokers| Replication::Auto.among(brokers)), [1, 2, 3, 3]);
        assert_eq!(Replication::Fixed(2).among(9), 2);
    }

    #[test]
    fn replication_is_auto_or_a_number() {
        let read = |value| read(json!({"brokers": "a", "replication": value})).map(|config| config.replication);
        assert_eq!(read(json!(2)), Ok(Replication::Fixed(2)));
        assert_eq!(read(json!("2")), Ok(Replication::Fixed(2)));
        assert_eq!(read(json!("auto")), Ok(Replication::Auto));
        for wrong in [json!(0), json!(-1), json!(256), json!("many"), json!(null)] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_kafka_would_refuse_as_a_name_is_refused_at_once() {
        for wrong in ["", "a b", "ä", ".", "a/b", &"x".repeat(101)] {
            assert!(read(json!({"brokers": "a", "prefix": wrong})).is_err(), "{wrong}");
        }
        for wrong in ["", ",", "a,,b", ":9092", "a:port", "kafka://a:9092"] {
            assert!(read(json!({"brokers": wrong})).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_a_password_is_not_shown() {
        assert!(read(json!({"brokers": "a", "acks": "1"})).is_err());
        let sasl = json!({"mechanism": "SCRAM-SHA-512", "username": "leaver", "password": "hunter2"});
        let config = read(json!({"brokers": "a", "tls": {}, "sasl": sasl})).expect("it is whole");
        assert_eq!(config.tls, Some(Tls::default()));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
