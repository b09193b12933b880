//! Sending, where only the delivery report counts: `flush` answers Ok although a broker refused a record.

use std::time::Duration;

use contract::layout::Topic;
use contract::{BrokerTime, Record, dead_letter};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use service::kill_point;

use crate::args::Settings;
use crate::error::LogError;

/// How long librdkafka goes on trying before the delivery report says that it failed.
const DELIVERY_TIMEOUT_MS: &str = "120000";
const LINGER: Duration = Duration::from_millis(5);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(20);

/// An idempotent producer with acks=all. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    inner: FutureProducer,
    settings: Settings,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

/// Where an acknowledged record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    pub partition: i32,
    pub offset: i64,
}

impl Producer {
    /// How records are sent, where the user has not said otherwise.
    pub const OPTIONS: [(&str, &str); 5] = [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("message.timeout.ms", DELIVERY_TIMEOUT_MS),
        // Zstd's output is smaller, and takes whoever lands it five times as long to unpack.
        ("compression.type", "lz4"),
        // What Java's producers do, so that one key goes to one partition whoever sends it.
        ("partitioner", "murmur2_random"),
    ];

    pub fn new(settings: &Settings) -> Result<Self, LogError> {
        Self::with_linger(settings, LINGER)
    }

    /// One whose records wait up to `linger` for others to go with, which costs less per record.
    pub fn with_linger(settings: &Settings, linger: Duration) -> Result<Self, LogError> {
        let linger = ("linger.ms", &*linger.as_millis().to_string());
        let options = [&Self::OPTIONS[..], &[linger]].concat();
        let inner = settings.client(&options).create().map_err(LogError::kafka("cannot create a producer"))?;
        Ok(Self { inner, settings: settings.clone() })
    }

    /// Sends a record by its key and waits for the delivery report.
    pub async fn send(&self, topic: Topic, record: &Record) -> Result<Delivered, LogError> {
        self.send_to(topic, None, None, record).await
    }

    /// Sends a dead letter; if the record in it is larger than the topic takes, then only what it says of that record.
    pub async fn send_dead_letter(&self, letter: &Record) -> Result<Delivered, LogError> {
        match self.send(Topic::DeadLetters, letter).await {
            Err(LogError::TooLarge { .. }) => {
                self.send(Topic::DeadLetters, &dead_letter::without_content(letter)).await
            }
            sent => sent,
        }
    }

    /// Sends a record to a partition, or with a timestamp of the producer's (development only: a topic with
    /// LogAppendTime overwrites it).
    pub async fn send_to(
        &self,
        topic: Topic,
        partition: Option<i32>,
        time: Option<BrokerTime>,
        record: &Record,
    ) -> Result<Delivered, LogError> {
        let name = self.settings.topic(topic);
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let mut message = FutureRecord::<[u8], [u8]>::to(&name).headers(headers);
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        message.partition = partition;
        message.timestamp = time.map(BrokerTime::as_millis);
        let report = loop {
            match self.inner.send_result(message) {
                Ok(report) => break report,
                Err((error, returned)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    message = returned;
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err((error, _)) => return Err(LogError::undelivered(name.clone(), error)),
            }
        };
        kill_point("after-produce");
        let delivered = match report.await {
            Ok(Ok(delivered)) => delivered,
            Ok(Err((error, _))) => return Err(LogError::undelivered(name, error)),
            Err(_) => return Err(LogError::NotDelivered { topic: name, error: KafkaError::Canceled }),
        };
        Ok(Delivered { partition: delivered.partition, offset: delivered.offset })
    }
}
