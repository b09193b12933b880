//! What goes wrong with the log, with the record or partition that it goes wrong for.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{0}")]
    BadSetting(String),

    #[error("{what}: {error}")]
    Kafka { what: String, error: KafkaError },

    /// The record is not on the log, or it is unknown whether it is: the caller sends it again or gives up.
    #[error("a record for {topic} was not acknowledged: {error}")]
    NotDelivered { topic: String, error: KafkaError },

    /// The topic, or this client, does not take records of that size: sending it again is no use.
    #[error("a record for {topic} is larger than is taken")]
    TooLarge { topic: String },

    /// A position asked for is before the log's start or past its end; librdkafka does not say of which partition.
    #[error("the offset asked for is not in the log")]
    OffsetOutOfRange,

    #[error(
        "{topic} has producers' timestamps, which decide no bill: create it with `ingest topics create`, which sets \
         LogAppendTime, or pass --producer-times in development"
    )]
    ProducerTimes { topic: String },

    #[error("a record came from {0:?}, which is not a topic of ours")]
    ForeignTopic(String),
}

impl LogError {
    /// Whether trying again may help: not where a client is broken for good, or not allowed to.
    pub fn passes(&self) -> bool {
        let Self::NotDelivered { error, .. } = self else { return false };
        let code = error.rdkafka_error_code();
        !matches!(code, Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::TopicAuthorizationFailed))
    }

    pub(crate) fn undelivered(topic: String, error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
                Self::TooLarge { topic }
            }
            _ => Self::NotDelivered { topic, error },
        }
    }

    pub(crate) fn kafka(what: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let what = what.into();
        |error| Self::Kafka { what, error }
    }
}
