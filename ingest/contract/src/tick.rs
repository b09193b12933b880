//! A tiny record that the aggregator appends to an idle partition, so that the append time at its head is always a
//! recent broker time. Every consumer passes over it.

use crate::record::Record;

pub const TYPE: &str = "pixtoll.tick.v1";
pub const KEY: &str = "tick";

/// The tick that follows `next_offset` records of a partition.
pub fn record(topic: &str, partition: i32, next_offset: i64) -> Record {
    let id = format!("{partition}/{next_offset}");
    Record::event(KEY, &id, &format!("/{topic}"), TYPE, b"{}".to_vec())
}
