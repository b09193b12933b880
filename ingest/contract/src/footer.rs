//! What a landed segment says of itself: JSON under one key of the Parquet file's metadata.
//!
//! Offsets of one segment, half-open, with gaps allowed inside (aborted or compacted records take offsets too):
//!
//! | | `start` | `first` … `last` | `next_offset` |
//! |---|---|---|---|
//! | is | the predecessor's `next_offset`, or 0 | the records read | one past `last` |
//!
//! A segment holds at least one record; a tick is a record but not a row. But for a [`Gap`], which holds none: its
//! `start`, `first` and `next_offset` are where the log goes on, its times those of the head before it.
//!
//! | schema version | |
//! |---|---|
//! | 1 | rows in the order of their offsets |
//! | 2 | usage rows in the order of (id-hour, request id, customer, fingerprint, offset), quarantined ones last; gaps |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::time::{BrokerTime, IdHour};
use crate::usage::view::UsageView;

/// The key in the Parquet file's key-value metadata.
pub const KEY: &str = "pixtoll.segment";
pub const SCHEMA_VERSION: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFooter {
    pub schema_version: u32,
    pub topic: String,
    pub epoch: u32,
    pub partition: i32,
    /// How many partitions the topic had when this was written.
    pub partition_count: i32,
    pub start: i64,
    pub first: i64,
    pub last: i64,
    pub next_offset: i64,
    /// Whose clock the times are by.
    pub clock: Clock,
    #[serde(rename = "min_append_time_ms")]
    pub min_append_time: BrokerTime,
    #[serde(rename = "max_append_time_ms")]
    pub max_append_time: BrokerTime,
    #[serde(rename = "last_append_time_ms")]
    pub last_append_time: BrokerTime,
    /// Records read: `rows` + `ticks`.
    pub records: u64,
    /// Rows in the file, quarantined ones included.
    pub rows: u64,
    pub ticks: u64,
    pub quarantined: u64,
    /// Usage events only: rows of each dedup unit.
    #[serde(default)]
    pub rows_per_id_hour: BTreeMap<IdHour, u64>,
    /// Usage events only: what the rows add up to.
    #[serde(default)]
    pub sums: QuantitySums,
    /// [`crate::record::RecordView::digest`] of the record at `last`.
    pub last_record_sha256: Digest,
    /// The sha256 of the whole previous file; none for the first of a chain.
    pub previous_sha256: Option<Digest>,
    /// Only of a segment that opens an epoch after a hole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// An operator's decision to go on although offsets are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The segment after which they are missing, whose digest is `previous_sha256`; none if nothing was landed.
    pub head: Option<String>,
    /// What is missing begins at its `next_offset`, or 0.
    pub from: i64,
    /// It ends here; none where the log was made anew or cut off, as then nobody knows how far it went.
    pub to: Option<i64>,
    /// What the log looked like.
    pub found: String,
    pub operator: String,
    pub reason: String,
    #[serde(rename = "decided_at_ms")]
    pub decided_at: BrokerTime,
}

/// Who set the records' timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The broker, at append (LogAppendTime).
    Broker,
    /// The producers: development only, proves nothing.
    Producers,
}

/// Sums over a segment's usage events. Decimal strings in JSON, since they may pass 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuantitySums {
    #[serde(with = "decimal")]
    pub input_bytes: i128,
    #[serde(with = "decimal")]
    pub output_bytes: i128,
    #[serde(with = "decimal")]
    pub input_pixels: i128,
    #[serde(with = "decimal")]
    pub output_pixels: i128,
    #[serde(with = "decimal")]
    pub cpu_micros: i128,
}

impl QuantitySums {
    /// Adds one event. An i128 holds 2^64 times the largest i64, so this cannot overflow before the rows' count does.
    pub fn add(&mut self, usage: &UsageView<'_>) {
        self.input_bytes += i128::from(usage.input_bytes);
        self.output_bytes += i128::from(usage.output_bytes);
        self.input_pixels += i128::from(usage.input_pixels);
        self.output_pixels += i128::from(usage.output_pixels);
        self.cpu_micros += i128::from(usage.cpu_micros);
    }
}

/// An integer as a JSON string.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
