//! Reading, by one thread that owns the consumer.
//!
//! ```text
//!   subscribe ─▶ poll ─▶ [rebalance: Owner::revoked → commit what it answers → unassign]
//!                    └─▶ [rebalance: Owner::assigned → assign at the starts it answers]
//!                    └─▶ Polled
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use contract::BrokerTime;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::record::{Header, RecordView};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Timestamp, TopicPartitionList};

use crate::args::Settings;
use crate::error::LogError;
use crate::owner::{Owner, Partition, Start};

/// How long an answer of the broker to a question about a partition may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The group of those who belong to none: nothing is ever committed for it.
const NO_GROUP: &str = "none";

/// What is fetched ahead of the reader.
const MUCH: (&str, &str) = ("queued.max.messages.kbytes", "16384");

/// What to do where the start is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Go to the earliest record there is.
    Earliest,
    /// Answer [`LogError::OffsetOutOfRange`].
    Error,
}

struct Context {
    settings: Settings,
    owner: Arc<dyn Owner>,
}

impl Context {
    fn list(&self, offsets: impl IntoIterator<Item = (Partition, Offset)>) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (at, offset) in offsets {
            list.add_partition_offset(&self.settings.topic(at.topic), at.partition, offset)?;
        }
        Ok(list)
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let ours = list
            .elements()
            .into_iter()
            .filter_map(|e| Some(Partition { topic: self.settings.parse_topic(e.topic())?, partition: e.partition() }));
        ours.collect()
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = self.partitions(list);
        tracing::info!(partitions = partitions.len(), "assigned");
        self.read_from(consumer, self.owner.assigned(&partitions))
    }

    /// Librdkafka remembers for ever that we paused a partition, even if it was another's meanwhile.
    fn read_from(&self, consumer: &BaseConsumer<Self>, starts: Vec<(Partition, Start)>) -> Result<(), KafkaError> {
        let list = self.starts(starts, Offset::Stored)?;
        consumer.resume(&list)?;
        consumer.assign(&list)
    }

    fn starts(&self, starts: Vec<(Partition, Start)>, committed: Offset) -> Result<TopicPartitionList, KafkaError> {
        self.list(starts.into_iter().map(|(at, start)| match start {
            Start::Committed => (at, committed),
            Start::At(offset) => (at, Offset::Offset(offset)),
            Start::Later => (at, Offset::End),
        }))
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = self.partitions(list);
        tracing::info!(partitions = partitions.len(), "revoked");
        let offsets = self.owner.revoked(&partitions);
        if !offsets.is_empty() && !consumer.assignment_lost() {
            let offsets = self.list(offsets.into_iter().map(|(at, offset)| (at, Offset::Offset(offset))))?;
            if let Err(error) = consumer.commit(&offsets, CommitMode::Sync) {
                tracing::warn!(%error, "the last offsets were not committed; their records will be read again");
            }
        }
        consumer.unassign()
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut lags = Vec::new();
        for (name, topic) in &statistics.topics {
            let Some(topic_of_ours) = self.settings.parse_topic(name) else { continue };
            // A lag that is not known, and the partition of what has none, are below zero.
            let known = topic.partitions.values().filter(|p| p.partition >= 0 && p.consumer_lag >= 0);
            lags.extend(known.map(|p| (Partition { topic: topic_of_ours, partition: p.partition }, p.consumer_lag)));
        }
        self.owner.lags(&lags);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let outcome = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            // An error, too, means that nothing is ours any more.
            _ => self.revoked(consumer, list),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "rebalance failed");
        }
    }
}

/// A consumer; see the module.
pub struct Consumer {
    inner: Arc<BaseConsumer<Context>>,
}

impl Drop for Consumer {
    /// Destroying a librdkafka consumer can block for ever, so it is left to a thread that nobody waits for. What has to
    /// happen before the end is [`Consumer::close`]'s.
    fn drop(&mut self) {
        let inner = Arc::clone(&self.inner);
        std::thread::spawn(move || {
            while Arc::strong_count(&inner) > 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(inner);
        });
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

/// A record as it was read.
#[derive(Debug)]
pub struct Polled<'m> {
    pub at: Partition,
    pub offset: i64,
    pub appended_at: BrokerTime,
    message: BorrowedMessage<'m>,
}

impl Polled<'_> {
    /// The record as the contract sees it.
    pub fn record(&self) -> RecordView<'_> {
        RecordView { key: self.message.key(), headers: headers(&self.message), payload: self.message.payload() }
    }
}

/// A record's headers. rdkafka panics on a header whose name is not UTF-8, which any producer can send; such headers
/// become one that no type knows, so that the record is undecodable like any other.
fn headers<'m>(message: &'m BorrowedMessage<'_>) -> Vec<Header<'m>> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let read = || headers.iter().map(|header| (header.key, header.value)).collect();
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| vec![("pixtoll_unreadable_headers", None)])
}

impl Consumer {
    /// A consumer that reads at once, and little more than what is asked of it.
    pub(crate) fn for_lookup(settings: &Settings, owner: Arc<dyn Owner>) -> Result<Self, LogError> {
        let little = [
            ("queued.max.messages.kbytes", "1024"),
            ("max.partition.fetch.bytes", "65536"),
            ("fetch.queue.backoff.ms", "10"),
        ];
        Self::with(settings, NO_GROUP, Reset::Error, owner, &little)
    }

    fn with(
        settings: &Settings,
        group: &str,
        reset: Reset,
        owner: Arc<dyn Owner>,
        fetch: &[(&str, &str)],
    ) -> Result<Self, LogError> {
        let reset = match reset {
            Reset::Earliest => "earliest",
            Reset::Error => "error",
        };
        let group = settings.group(group);
        let mut options = vec![
            ("group.id", group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", reset),
            ("partition.assignment.strategy", "range,roundrobin"), // eager
            ("fetch.wait.max.ms", "50"),
            ("allow.auto.create.topics", "false"),
            ("topic.metadata.refresh.interval.ms", "30000"),
        ];
        options.extend_from_slice(fetch);
        let inner: BaseConsumer<Context> = settings
            .client(&options)
            .create_with_context(Context { settings: settings.clone(), owner })
            .map_err(LogError::kafka("cannot create a consumer"))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Joins a group; partitions come and go through `owner`.
    pub fn subscribe(
        settings: &Settings,
        group: &str,
        topics: &[Topic],
        reset: Reset,
        owner: Arc<dyn Owner>,
    ) -> Result<Self, LogError> {
        let fetch = [MUCH, ("statistics.interval.ms", "2000")];
        let consumer = Self::with(settings, group, reset, owner, &fetch)?;
        let names: Vec<String> = topics.iter().map(|topic| settings.topic(*topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer.inner.subscribe(&names).map_err(LogError::kafka(format!("cannot subscribe to {names:?}")))?;
        Ok(consumer)
    }

    /// Reads all partitions of some topics, outside any group.
    pub fn read_all(
        settings: &Settings,
        topics: &[Topic],
        reset: Reset,
        owner: Arc<dyn Owner>,
    ) -> Result<Self, LogError> {
        let consumer = Self::with(settings, NO_GROUP, reset, owner, &[MUCH])?;
        let mut all = Vec::new();
        for topic in topics {
            let partitions = 0..consumer.partition_count(*topic)?;
            all.extend(partitions.map(|partition| Partition { topic: *topic, partition }));
        }
        let context = Arc::clone(consumer.inner.context());
        let starts = context.starts(context.owner.assigned(&all), Offset::Beginning);
        let assign = starts.and_then(|list| consumer.inner.assign(&list));
        assign.map_err(LogError::kafka("cannot read the topics"))?;
        Ok(consumer)
    }

    /// Reads on at these places, and no others.
    pub(crate) fn assign(&self, places: &[(Partition, i64)]) -> Result<(), LogError> {
        let context = self.inner.context();
        let list = context.list(places.iter().map(|(at, offset)| (*at, Offset::Offset(*offset))));
        list.and_then(|list| self.inner.assign(&list)).map_err(LogError::kafka("cannot read at given places"))
    }

    /// Waits for the next record. `None` when nothing came in time, or the broker is away for the moment.
    pub fn poll(&self, timeout: Duration) -> Option<Result<Polled<'_>, LogError>> {
        match self.inner.poll(timeout)? {
            Ok(message) => Some(self.polled(message)),
            Err(error) => poll_error(error).map(Err),
        }
    }

    fn polled<'m>(&self, message: BorrowedMessage<'m>) -> Result<Polled<'m>, LogError> {
        let settings = &self.inner.context().settings;
        let topic =
            settings.parse_topic(message.topic()).ok_or_else(|| LogError::ForeignTopic(message.topic().to_owned()))?;
        let ((Timestamp::LogAppendTime(appended_at), _) | (Timestamp::CreateTime(appended_at), Clock::Producers)) =
            (message.timestamp(), settings.clock)
        else {
            return Err(LogError::ProducerTimes { topic: message.topic().to_owned() });
        };
        Ok(Polled {
            at: Partition { topic, partition: message.partition() },
            offset: message.offset(),
            appended_at: BrokerTime::from_millis(appended_at),
            message,
        })
    }

    /// Goes on with these partitions, all that are ours, from here; also with one that librdkafka stopped to read.
    pub fn read_from(&self, starts: Vec<(Partition, Start)>) -> Result<(), LogError> {
        self.inner.context().read_from(&self.inner, starts).map_err(LogError::kafka("cannot read on"))
    }

    /// Moves to another offset of a partition that is read.
    pub fn seek(&self, at: Partition, offset: i64) -> Result<(), LogError> {
        let name = self.inner.context().settings.topic(at.topic);
        let moved = self.inner.seek(&name, at.partition, Offset::Offset(offset), ANSWER_TIMEOUT);
        moved.map_err(LogError::kafka(format!("cannot seek {at} to offset {offset}")))
    }

    pub fn pause(&self, partitions: &[Partition]) -> Result<(), LogError> {
        let list = self.with_any_offset(partitions).and_then(|list| self.inner.pause(&list));
        list.map_err(LogError::kafka("cannot pause"))
    }

    pub fn resume(&self, partitions: &[Partition]) -> Result<(), LogError> {
        let list = self.with_any_offset(partitions).and_then(|list| self.inner.resume(&list));
        list.map_err(LogError::kafka("cannot resume"))
    }

    fn with_any_offset(&self, partitions: &[Partition]) -> Result<TopicPartitionList, KafkaError> {
        self.inner.context().list(partitions.iter().map(|at| (*at, Offset::Invalid)))
    }

    /// Commits offsets, each one past the last record done, without waiting.
    pub fn commit(&self, offsets: &[(Partition, i64)]) -> Result<(), LogError> {
        self.commit_by(offsets, CommitMode::Async)
    }

    /// Commits offsets, each one past the last record done, and waits for the broker's word.
    pub fn commit_and_wait(&self, offsets: &[(Partition, i64)]) -> Result<(), LogError> {
        self.commit_by(offsets, CommitMode::Sync)
    }

    fn commit_by(&self, offsets: &[(Partition, i64)], mode: CommitMode) -> Result<(), LogError> {
        let list = self.inner.context().list(offsets.iter().map(|(at, offset)| (*at, Offset::Offset(*offset))));
        list.and_then(|list| self.inner.commit(&list, mode)).map_err(LogError::kafka("cannot commit"))
    }

    /// The offsets `[low, high)` that the log holds of a partition.
    pub fn watermarks(&self, at: Partition) -> Result<(i64, i64), LogError> {
        let name = self.inner.context().settings.topic(at.topic);
        let found = self.inner.fetch_watermarks(&name, at.partition, ANSWER_TIMEOUT);
        found.map_err(LogError::kafka(format!("cannot read the ends of {at}")))
    }

    /// How many partitions a topic has; an error if there is no such topic.
    pub fn partition_count(&self, topic: Topic) -> Result<i32, LogError> {
        let name = self.inner.context().settings.topic(topic);
        let what = format!("cannot read the partitions of {name}; was it made by `ingest topics create`?");
        let metadata = self.inner.fetch_metadata(Some(&name), ANSWER_TIMEOUT).map_err(LogError::kafka(&what))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        match i32::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => {
                let error = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
                Err(LogError::Kafka { what, error })
            }
        }
    }

    /// Leaves the group; what its partitions' owner answers is committed on the way.
    pub fn close(self) {
        self.inner.unsubscribe();
        // The revocation runs inside a poll.
        for _ in 0..20 {
            let _ = self.inner.poll(Duration::from_millis(50));
            if self.inner.assignment().is_ok_and(|list| list.count() == 0) {
                break;
            }
        }
    }
}

/// What the reader has to deal with; `None` for what librdkafka deals with itself.
fn poll_error(error: KafkaError) -> Option<LogError> {
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Some(LogError::OffsetOutOfRange),
        RDKafkaErrorCode::Fatal
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed => {
            Some(LogError::Kafka { what: "cannot read the log".to_owned(), error })
        }
        _ => {
            tracing::warn!(%error, "reading; librdkafka tries again");
            None
        }
    }
}
