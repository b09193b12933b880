//! What a sealed Parquet file says of itself: JSON under one key of the file's metadata, with the footers of the
//! landed segments that it was made of. So whatever the landing said (whose clock, ticks, the last record's digest,
//! the chain's links) can still be proved once the segments have expired.

use contract::footer::Clock;
use contract::{Digest, SegmentFooter};
use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::manifest::{LandedFile, StoredFile};
use crate::partition::PartitionId;

/// The key in the Parquet file's key-value metadata.
pub const KEY: &str = "pixtoll.sealed";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFooter {
    #[serde(rename = "type")]
    pub version: Version,
    /// In offset order; at least one.
    pub segments: Vec<SealedSegment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    #[serde(rename = "pixtoll.sealed.v1")]
    V1,
}

/// A landed segment: its file's digest and length, and its footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSegment {
    pub sha256: Digest,
    pub bytes: u64,
    pub footer: SegmentFooter,
}

impl SealedFooter {
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        document::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::decode(bytes)
    }

    /// The manifest's entry for the file that holds these segments; none if there are none.
    pub fn describe(&self, file: StoredFile) -> Option<LandedFile> {
        let footers = || self.segments.iter().map(|segment| &segment.footer);
        let by_producers = footers().any(|footer| footer.clock == Clock::Producers);
        Some(LandedFile {
            file,
            from: footers().next()?.start,
            to: footers().next_back()?.next_offset,
            rows: footers().try_fold(0_u64, |sum, footer| sum.checked_add(footer.rows))?,
            records: footers().try_fold(0_u64, |sum, footer| sum.checked_add(footer.records))?,
            clock: if by_producers { Clock::Producers } else { Clock::Broker },
            first_append_time: footers().map(|footer| footer.min_append_time).min()?,
            last_append_time: footers().map(|footer| footer.max_append_time).max()?,
        })
    }

    /// Whether the segments are a piece of this partition's chain. Answers the digests at its two ends.
    pub fn check_chain(&self, id: &PartitionId) -> Result<Ends, String> {
        let (Some(first), Some(last)) = (self.segments.first(), self.segments.last()) else {
            return Err("names no landed segment".to_owned());
        };
        for SealedSegment { footer, .. } in &self.segments {
            let here = (footer.topic.as_str(), footer.epoch, footer.partition);
            if here != (id.topic.name(), id.epoch, id.partition) {
                return Err(format!("holds a segment of {}/epoch={}/partition={}", here.0, here.1, here.2));
            }
            if footer.next_offset < footer.start {
                return Err(format!("the landed segment at offset {} ends before it starts", footer.start));
            }
        }
        for pair in self.segments.windows(2) {
            let [before, after] = pair else { continue };
            let linked = after.footer.previous_sha256 == Some(before.sha256);
            if !linked || after.footer.start != before.footer.next_offset {
                return Err(format!(
                    "the landed segment at offset {} does not follow on the one before",
                    after.footer.start
                ));
            }
        }
        Ok(Ends { previous_sha256: first.footer.previous_sha256, head_sha256: last.sha256 })
    }
}

/// What a piece of a chain hangs on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The landed segment before its first.
    pub previous_sha256: Option<Digest>,
    /// Its last segment.
    pub head_sha256: Digest,
}
