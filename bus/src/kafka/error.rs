//! What went wrong with Kafka, and what that means for whoever called.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::{BoxError, Error};

/// A sentence for people, and what it follows from.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Trouble {
    sentence: String,
    #[source]
    source: Option<BoxError>,
}

impl Trouble {
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), source: None }
    }

    pub fn of(sentence: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { sentence: sentence.into(), source: Some(source.into()) }
    }

    pub fn unavailable(self) -> Error {
        Error::Unavailable(Box::new(self))
    }

    pub fn unusable(self) -> Error {
        Error::Unusable(Box::new(self))
    }
}

/// Settings that librdkafka does not take: a file that is not there, or no certificate. The value is left out of the
/// sentence, for it may be a password.
pub(crate) fn misconfigured(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, reason, key, _) => {
            Trouble::new(format!("librdkafka does not take the setting `{key}`: {reason}")).unusable()
        }
        other => Trouble::of("the Kafka client could not be made; look at `bus.kafka`", other).unusable(),
    }
}

/// Whether the brokers will never take this very record.
pub(crate) fn refused(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidDifferentRecord
            | Code::InvalidTimestamp
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat
    )
}

/// Whether the brokers do not let us. That can be mended at the brokers while we run, so it is an outage to the caller; a
/// process that ended for it would take no SCIM either. It is told as an error.
pub(crate) fn denied(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
    )
}

/// Whether the topic is not there (any more).
pub(crate) fn missing(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopicId)
}

/// Whether a consumer can never follow, however often it tries.
pub(crate) fn hopeless(code: Code) -> bool {
    matches!(
        code,
        Code::InconsistentGroupProtocol
            | Code::InvalidGroupId
            | Code::GroupIdNotFound
            | Code::InvalidSessionTimeout
            | Code::UnsupportedVersion
    )
}

/// Why a consumer cannot follow, and what mends it.
pub(crate) fn lost(error: &KafkaError, group: &str, instance: &str) -> Trouble {
    let sentence = match error.rdkafka_error_code().unwrap_or(Code::Unknown) {
        Code::FencedInstanceId => format!(
            "another process follows as `{instance}` in the consumer group `{group}`: give each process of a role a \
             `data_dir` of its own"
        ),
        Code::InconsistentGroupProtocol => format!(
            "a program other than Leaver is in the consumer group `{group}`: set `bus.kafka.group` to a name of its own"
        ),
        Code::InvalidGroupId | Code::GroupIdNotFound => {
            format!("the brokers do not take `{group}` as a consumer group: set `bus.kafka.group`")
        }
        Code::InvalidSessionTimeout => format!(
            "the brokers do not take a session timeout of {} s: set their group.min.session.timeout.ms to it or less",
            super::settings::SESSION.as_secs()
        ),
        Code::UnsupportedVersion => "the brokers are older than Kafka 2.6".to_owned(),
        _ => format!("the consumer group `{group}` cannot be followed"),
    };
    Trouble::of(sentence, error.clone())
}
