//! A log of one's own: topics under a prefix on a real Kafka, or a broker embedded in this process.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use contract::footer::Clock;
use contract::layout::Topic;
use log::{KafkaArgs, Settings};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Room for an undecodable record and, in a dead letter, what is said of it.
const LARGEST_RECORD: &str = "16777216";

enum Broker {
    Kafka(String),
    /// Lives in this process, and is gone with it.
    Embedded(MockCluster<'static, DefaultProducerContext>),
}

/// The five topics of one system.
pub struct Topics {
    broker: Broker,
    prefix: String,
    clock: Clock,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topics({} on {})", self.prefix, self.brokers())
    }
}

impl Topics {
    /// New topics on the Kafka that the tests run against. With [`Clock::Producers`] records of past months can be
    /// published, which are kept however old they are.
    pub async fn kafka(partitions: i32, clock: Clock) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let brokers = std::env::var("PIXTOLL_TEST_BROKERS")
            .context("PIXTOLL_TEST_BROKERS is not set: run it through `make test`, which starts the servers")?;
        let (now, turn) = (service::clock::now().as_millis(), NEXT.fetch_add(1, Ordering::Relaxed));
        let prefix = format!("t{now}-{}-{turn}-", std::process::id());
        let topics = Self { broker: Broker::Kafka(brokers), prefix, clock };
        for topic in Topic::ALL {
            topics.create(topic, partitions).await?;
        }
        Ok(topics)
    }

    /// A broker in this process. It has no append time and keeps 5 MB of each partition.
    pub async fn embedded(partitions: i32) -> Result<Self> {
        let cluster = MockCluster::new(1)?;
        let topics = Self { broker: Broker::Embedded(cluster), prefix: String::new(), clock: Clock::Producers };
        for topic in Topic::ALL {
            topics.create(topic, partitions).await?;
        }
        Ok(topics)
    }

    pub fn brokers(&self) -> String {
        match &self.broker {
            Broker::Kafka(brokers) => brokers.clone(),
            Broker::Embedded(cluster) => cluster.bootstrap_servers(),
        }
    }

    /// A topic's name on the broker.
    pub fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }

    /// Whose timestamps the records have.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What a client in this process needs.
    pub fn settings(&self) -> Result<Settings> {
        let args = KafkaArgs {
            brokers: self.brokers(),
            options: Vec::new(),
            producer_times: self.clock == Clock::Producers,
            topic_prefix: self.prefix.clone(),
        };
        Ok(args.settings()?)
    }

    /// The flags by which a binary finds these topics. A dead member of a group is missed after a few seconds.
    pub fn flags(&self) -> Vec<String> {
        let options = "session.timeout.ms=3000,heartbeat.interval.ms=500";
        let mut flags: Vec<String> =
            ["--brokers", &self.brokers(), "--kafka-option", options].map(str::to_owned).to_vec();
        if !self.prefix.is_empty() {
            flags.extend(["--topic-prefix".to_owned(), self.prefix.clone()]);
        }
        if self.clock == Clock::Producers {
            flags.push("--producer-times".to_owned());
        }
        flags
    }

    pub async fn create(&self, topic: Topic, partitions: i32) -> Result<()> {
        let name = self.name(topic);
        if let Broker::Embedded(cluster) = &self.broker {
            return Ok(cluster.create_topic(&name, partitions, 1)?);
        }
        let (times, retention_ms) = match self.clock {
            Clock::Broker => ("LogAppendTime", "604800000"),
            Clock::Producers => ("CreateTime", "-1"),
        };
        let cleanup = if matches!(topic, Topic::Accounts | Topic::Totals) { "compact" } else { "delete" };
        let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1))
            .set("message.timestamp.type", times)
            .set("retention.ms", retention_ms)
            .set("cleanup.policy", cleanup)
            .set("min.compaction.lag.ms", "604800000")
            .set("max.message.bytes", LARGEST_RECORD);
        let made =
            self.admin()?.create_topics([&new], &AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT))).await?;
        ensure!(made.iter().all(Result::is_ok), "cannot create {name}: {made:?}");
        Ok(())
    }

    /// Deletes a topic and waits until the broker has forgotten it.
    pub async fn delete(&self, topic: Topic) -> Result<()> {
        let name = self.name(topic);
        if matches!(self.broker, Broker::Embedded(_)) {
            bail!("the embedded broker can't delete topics");
        }
        let admin = self.admin()?;
        let deleted = admin.delete_topics(&[&name], &AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT))).await?;
        ensure!(deleted.iter().all(Result::is_ok), "cannot delete {name}: {deleted:?}");
        super::wait_for("a topic to be gone", ADMIN_TIMEOUT, async || {
            let metadata = admin.inner().fetch_metadata(None, ADMIN_TIMEOUT)?;
            Ok((!metadata.topics().iter().any(|topic| topic.name() == name)).then_some(()))
        })
        .await
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new().set("bootstrap.servers", self.brokers()).create()?)
    }
}
