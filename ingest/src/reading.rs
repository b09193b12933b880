//! Reading all of one topic, outside any group.

use std::sync::Arc;

use contract::layout::Topic;
use log::{Consumer, LogError, Owner, Partition, Reset, Settings, Start};

/// Where to start, one offset per partition; a partition without one is read from its first record.
struct Starts(Vec<i64>);

impl Owner for Starts {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        let start = |at: &Partition| usize::try_from(at.partition).ok().and_then(|p| self.0.get(p).copied());
        partitions.iter().map(|at| (*at, start(at).map_or(Start::Committed, Start::At))).collect()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}

/// Reads nothing; for questions about a topic.
struct Nothing;

impl Owner for Nothing {
    fn assigned(&self, _: &[Partition]) -> Vec<(Partition, Start)> {
        Vec::new()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}

/// Reads from these offsets, one per partition; from the first record where one is missing or no longer in the log.
pub(crate) fn from(settings: &Settings, topic: Topic, starts: Vec<i64>) -> Result<Consumer, LogError> {
    Consumer::read_all(settings, &[topic], Reset::Earliest, Arc::new(Starts(starts)))
}

/// The offsets `[low, high)` that each partition holds now.
pub(crate) fn extents(consumer: &Consumer, topic: Topic) -> Result<Vec<(i64, i64)>, LogError> {
    (0..consumer.partition_count(topic)?).map(|partition| consumer.watermarks(Partition { topic, partition })).collect()
}

/// An error, and soon, if Kafka does not answer or has no such topic.
pub(crate) fn check(settings: &Settings, topic: Topic) -> Result<(), LogError> {
    Consumer::read_all(settings, &[topic], Reset::Earliest, Arc::new(Nothing)).map(drop)
}

/// Where each partition ends now.
pub(crate) fn ends(settings: &Settings, topic: Topic) -> Result<Vec<i64>, LogError> {
    let consumer = Consumer::read_all(settings, &[topic], Reset::Earliest, Arc::new(Nothing))?;
    Ok(extents(&consumer, topic)?.into_iter().map(|(_, high)| high).collect())
}
