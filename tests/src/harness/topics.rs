//! A log of one's own: topics under a prefix on a real Kafka, or a broker embedded in this process.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use contract::footer::Clock;
use contract::layout::Topic;
use log::{KafkaArgs, Settings};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Launch, bin, wait_for};

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
    partitions: i32,
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
        let topics = Self { broker: Broker::Kafka(brokers), prefix, partitions, clock };
        topics.create_missing().await?;
        Ok(topics)
    }

    /// The same topics on the same Kafka, for another system.
    pub fn again(&self) -> Result<Self> {
        let Broker::Kafka(brokers) = &self.broker else { bail!("the embedded broker is of one system") };
        let (prefix, partitions, clock) = (self.prefix.clone(), self.partitions, self.clock);
        Ok(Self { broker: Broker::Kafka(brokers.clone()), prefix, partitions, clock })
    }

    /// A broker in this process. It has no append time and keeps 5 MB of each partition.
    pub fn embedded(partitions: i32) -> Result<Self> {
        let cluster = MockCluster::new(1)?;
        for topic in Topic::ALL {
            cluster.create_topic(topic.name(), partitions, 1)?;
        }
        let broker = Broker::Embedded(cluster);
        Ok(Self { broker, prefix: String::new(), partitions, clock: Clock::Producers })
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

    /// Creates those that are missing, by `ingest topics create`.
    pub async fn create_missing(&self) -> Result<()> {
        // Of what it logs, all that matters is in its error.
        let mut create = Launch::new("ingest topics create", bin("ingest")?, "/dev/null".into());
        create = create.args(["topics", "create", "--replication", "1", "--min-isr", "1"]);
        create = create.args(["--partitions", &self.partitions.to_string(), "--max-record-bytes", LARGEST_RECORD]);
        if self.clock == Clock::Producers {
            let kept = ["--request-retention", "--usage-retention", "--dead-letter-retention"];
            create = create.args(kept.iter().flat_map(|retention| [*retention, "forever"]));
        }
        create.args(self.flags()).finish().await?.ok().map(drop)
    }

    /// Deletes a topic and waits until the broker has forgotten it.
    pub async fn delete(&self, topic: Topic) -> Result<()> {
        let (name, admin) = (self.name(topic), self.admin()?);
        let deleted = admin.delete_topics(&[&name], &admin_options()).await?;
        ensure!(deleted.iter().all(Result::is_ok), "cannot delete {name}: {deleted:?}");
        wait_for("a topic to be gone", ADMIN_TIMEOUT, async || {
            let metadata = admin.inner().fetch_metadata(None, ADMIN_TIMEOUT)?;
            Ok((!metadata.topics().iter().any(|topic| topic.name() == name)).then_some(()))
        })
        .await
    }

    /// Deletes the records of a partition below an offset, as retention would.
    pub async fn expire(&self, topic: Topic, partition: i32, below: i64) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.name(topic), partition, Offset::Offset(below))?;
        let left = self.admin()?.delete_records(&offsets, &admin_options()).await?;
        left.elements().iter().try_for_each(|partition| Ok(partition.error()?))
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        ensure!(matches!(self.broker, Broker::Kafka(_)), "the embedded broker has no such thing");
        Ok(ClientConfig::new().set("bootstrap.servers", self.brokers()).create()?)
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT))
}
