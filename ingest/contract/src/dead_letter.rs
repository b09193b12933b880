//! An undecodable record, byte for byte: topic `resize.dead-letters`, key as found.
//!
//! Its own headers stay first and in order; six of ours follow, so a record that already carries such names can't
//! pass for another: ours are the last of each name. One of them is the record's digest, which also tells a record that
//! is too large to be carried ([`without_content`]).

use crate::ids::Digest;
use crate::record::{DecodeError, Record, RecordView};
use crate::time::BrokerTime;

pub const TOPIC: &str = "pixtoll_topic";
pub const PARTITION: &str = "pixtoll_partition";
pub const OFFSET: &str = "pixtoll_offset";
pub const APPEND_TIME_MS: &str = "pixtoll_append_time_ms";
pub const REASON: &str = "pixtoll_reason";
pub const RECORD_SHA256: &str = "pixtoll_record_sha256";

/// The same dead letter without the record that it carries, for where that is larger than the topic takes: its own six
/// headers still say which record it was.
pub fn without_content(letter: &Record) -> Record {
    let own = letter.headers.len().saturating_sub(6);
    Record { key: None, headers: letter.headers[own..].to_vec(), payload: None }
}

/// What a dead letter says of the record it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub appended_at: BrokerTime,
    /// A [`DecodeError::code`].
    pub reason: String,
    /// [`RecordView::digest`] of the record.
    pub digest: Digest,
}

impl DeadLetter {
    /// Wraps a record that could not be read.
    pub fn wrap(
        record: &RecordView<'_>,
        topic: &str,
        partition: i32,
        offset: i64,
        appended_at: BrokerTime,
        reason: &DecodeError,
    ) -> Record {
        let mut headers: Vec<(String, Option<Vec<u8>>)> =
            record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect();
        for (name, value) in [
            (TOPIC, topic.to_owned()),
            (PARTITION, partition.to_string()),
            (OFFSET, offset.to_string()),
            (APPEND_TIME_MS, appended_at.as_millis().to_string()),
            (REASON, reason.code().to_owned()),
            (RECORD_SHA256, record.digest(appended_at).to_string()),
        ] {
            headers.push((name.to_owned(), Some(value.into_bytes())));
        }
        Record { key: record.key.map(<[u8]>::to_vec), headers, payload: record.payload.map(<[u8]>::to_vec) }
    }

    /// Reads a record of `resize.dead-letters`.
    pub fn from_record(record: &RecordView<'_>) -> Result<Self, DecodeError> {
        let last = |name: &'static str| -> Result<&str, DecodeError> {
            let (_, value) =
                record.headers.iter().rev().find(|(n, _)| *n == name).ok_or(DecodeError::MissingHeader(name))?;
            let bytes = value.unwrap_or_default();
            std::str::from_utf8(bytes)
                .map_err(|_| DecodeError::BadHeader { name, value: String::from_utf8_lossy(bytes).into_owned() })
        };
        let appended_at = BrokerTime::from_millis(number(APPEND_TIME_MS, last(APPEND_TIME_MS)?)?);
        Ok(Self {
            topic: last(TOPIC)?.to_owned(),
            partition: number(PARTITION, last(PARTITION)?)?,
            offset: number(OFFSET, last(OFFSET)?)?,
            appended_at,
            reason: last(REASON)?.to_owned(),
            digest: number(RECORD_SHA256, last(RECORD_SHA256)?)?,
        })
    }
}

fn number<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|_| DecodeError::BadHeader { name, value: text.to_owned() })
}
