//! Which chain of the landed log: a partition of a topic in one epoch.

use std::fmt;

use contract::layout::{self, Topic};
use serde::{Deserialize, Serialize};

/// Ordered as it is written: topic, epoch, partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId {
    #[serde(with = "topic_name")]
    pub topic: Topic,
    pub epoch: u32,
    pub partition: i32,
}

impl fmt::Display for PartitionId {
    /// The folder of its segments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&layout::landing_partition(self.topic, self.epoch, self.partition))
    }
}

mod topic_name {
    use contract::layout::Topic;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(topic: &Topic, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(topic.name())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Topic, D::Error> {
        let name = String::deserialize(deserializer)?;
        Topic::from_name(&name).ok_or_else(|| de::Error::custom(format_args!("unknown topic {name:?}")))
    }
}
