//! Who owns partitions, and what is asked of the owner when they come and go.

use contract::layout::Topic;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Topic,
    pub partition: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic.name(), self.partition)
    }
}

/// Where to start reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the group's committed offset.
    Committed,
    At(i64),
    /// Nowhere yet: the owner will say where, by [`crate::Consumer::read_from`]. Until then it may be handed records that are appended meanwhile.
    Later,
}

/// Who keeps the state of the partitions. Called inside [`crate::Consumer::poll`], on its thread; may block for seconds.
pub trait Owner: Send + Sync {
    /// These partitions are now ours. Answers where each starts; one that is left out is not read.
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)>;

    /// These partitions are no longer ours: all state of them goes. Answers what to commit.
    fn revoked(&self, partitions: &[Partition]) -> Vec<(Partition, i64)>;

    /// Now and then: how many records of each partition are not yet committed.
    fn lags(&self, _lags: &[(Partition, i64)]) {}
}

/// Of a consumer that only asks: it belongs to no group and owns nothing.
#[derive(Debug)]
pub struct Nobody;

impl Owner for Nobody {
    fn assigned(&self, _: &[Partition]) -> Vec<(Partition, Start)> {
        Vec::new()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}
