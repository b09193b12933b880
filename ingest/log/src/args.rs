//! Flags of every binary that talks to Kafka, and the settings made of them.

use clap::Args;
use contract::footer::Clock;
use contract::layout::Topic;
use rdkafka::ClientConfig;

use crate::error::LogError;

/// The largest record that our clients send or fetch, in bytes. Topics have their own, smaller limit.
const MAX_RECORD_BYTES: u32 = 64 << 20;

/// Options on which the guarantees rest: nobody else sets them.
const OURS: [&str; 14] = [
    "acks",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

#[derive(Debug, Clone, Args)]
pub struct KafkaArgs {
    /// Kafka's bootstrap servers, separated by commas
    #[arg(
        help_heading = "Kafka",
        long,
        env = "PIXTOLL_BROKERS",
        value_name = "HOST:PORT,…",
        default_value = "127.0.0.1:9092"
    )]
    pub brokers: String,

    /// Any librdkafka option, such as security.protocol=ssl; may be repeated
    #[arg(
        help_heading = "Kafka",
        long = "kafka-option",
        env = "PIXTOLL_KAFKA_OPTIONS",
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    pub options: Vec<String>,

    /// Development only: take producers' timestamps where the broker sets none. Bills made so prove nothing
    #[arg(help_heading = "Kafka", long, env = "PIXTOLL_PRODUCER_TIMES")]
    pub producer_times: bool,

    /// Prefix of all topics and groups, for several systems on one broker
    #[arg(help_heading = "Kafka", long, env = "PIXTOLL_TOPIC_PREFIX", value_name = "PREFIX", default_value = "")]
    pub topic_prefix: String,
}

/// How this process reaches the log.
#[derive(Debug, Clone)]
pub struct Settings {
    base: ClientConfig,
    prefix: String,
    /// Whose timestamps are taken.
    pub clock: Clock,
}

impl KafkaArgs {
    pub fn settings(&self) -> Result<Settings, LogError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !self.topic_prefix.bytes().all(allowed) || self.topic_prefix.len() > 100 {
            return Err(LogError::BadSetting(format!(
                "--topic-prefix {:?}: up to 100 letters, digits, '.', '_' and '-'",
                self.topic_prefix
            )));
        }
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", &self.brokers)
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            .set("receive.message.max.bytes", (MAX_RECORD_BYTES + (1 << 20)).to_string())
            .set("client.id", "pixtoll");
        for option in &self.options {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                LogError::BadSetting(format!(
                    "--kafka-option {option:?}: not NAME=VALUE, such as security.protocol=ssl"
                ))
            })?;
            if OURS.contains(&name.trim()) {
                return Err(LogError::BadSetting(format!(
                    "--kafka-option {option:?}: {} is set by Pixtoll, as its guarantees rest on it",
                    name.trim()
                )));
            }
            base.set(name.trim(), value.trim());
        }
        let clock = if self.producer_times { Clock::Producers } else { Clock::Broker };
        Ok(Settings { base, prefix: self.topic_prefix.clone(), clock })
    }
}

impl Settings {
    /// The options that all clients share; a client adds its own where the user has not set them.
    pub fn client(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.base.clone();
        for (name, value) in defaults {
            if config.get(name).is_none() {
                config.set(*name, *value);
            }
        }
        config
    }

    /// For a consumer that may hold about so many bytes of records that it was not asked for yet. They come compressed, in
    /// answers of a part of that.
    #[must_use]
    pub fn fetching(mut self, bytes: usize) -> Self {
        let answer = (bytes / 8).clamp(64 << 10, 64 << 20);
        for (name, value) in [
            ("queued.max.messages.kbytes", (bytes >> 10).clamp(1, 2_097_151)),
            ("fetch.max.bytes", answer),
            ("max.partition.fetch.bytes", answer.min(1 << 20)),
            // Else it would raise the above. A larger record comes all the same, alone.
            ("message.max.bytes", answer),
            ("fetch.queue.backoff.ms", 20),
        ] {
            self.base.set(name, value.to_string());
        }
        self
    }

    /// A topic's name on this broker.
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }

    /// The topic of that name on this broker, if it is one of ours.
    pub fn parse_topic(&self, name: &str) -> Option<Topic> {
        Topic::from_name(name.strip_prefix(&self.prefix)?)
    }

    pub(crate) fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}
