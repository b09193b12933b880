//! The answer to a request and what it used, in one record: topic `usage.events`, key `request_id`.
//!
//! Being one record, "answered" and "metered" cannot come apart.

mod scan;
pub mod view;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Conversion, CustomerId, Fingerprint, KeyId, Label, Region, RequestId};
use crate::record::{DecodeError, Record, RecordView};
use crate::time::{BrokerTime, IdHour};
use crate::units::{Bytes, CpuMicros, Pixels};

pub const TYPE: &str = "pixtoll.conversion.answered.v1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEvent {
    pub customer_id: CustomerId,
    pub request_id: RequestId,
    pub fingerprint: Fingerprint,
    /// The request record that this answers.
    pub request: RequestPosition,
    /// The append time of that record, in milliseconds since 1970: the billing time, and what tells a re-created
    /// topic's offsets from the old ones.
    #[serde(rename = "accepted_at_ms")]
    pub accepted_at: BrokerTime,
    pub outcome: Outcome,
    pub usage: Usage,
}

/// A place in `resize.requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RequestPosition {
    pub partition: i32,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done {
        /// The object's path in the store.
        location: String,
        width: u32,
        height: u32,
    },
    Rejected {
        reason: Reason,
        /// One line for the person who asked.
        detail: String,
    },
}

impl Outcome {
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// Why a request was not done. Open, so that an older reader takes a newer worker's reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    RequestIdOutOfRange,
    SourceMissing,
    SourceDigestMismatch,
    SourceNotAllowed,
    /// Past the request's deadline; nothing was decoded.
    DeadlineExceeded,
    InvalidParameters,
    UnknownPreset,
    /// More bytes than are taken.
    InputTooLarge,
    /// More pixels, or a longer side, than are taken.
    TooManyPixels,
    TooManyFrames,
    TooManyScans,
    MetadataTooLarge,
    /// It would take more computing than an image may.
    TooMuchWork,
    /// It would take more memory than a job may.
    TooMuchMemory,
    OutputTooLarge,
    UnsupportedFormat,
    /// The format is known; what this image does with it is not.
    UnsupportedFeature,
    CorruptImage,
    /// Whole as far as it goes, but a part is missing.
    TruncatedImage,
    /// A decoder died of this image.
    DecoderCrashed,
    #[serde(untagged)]
    Other(Label),
}

/// What the conversion used. Recorded for rejections too; rating decides what is billable, never the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    pub input_bytes: Bytes,
    /// The size of the stored object.
    pub output_bytes: Bytes,
    pub input_pixels: Pixels,
    pub output_pixels: Pixels,
    /// Thread CPU time of decode, resize and encode.
    pub cpu_micros: CpuMicros,
    pub operation: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_format: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<Label>,
    pub worker_class: Label,
    pub engine_version: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    pub region: Region,
}

impl UsageEvent {
    pub fn conversion(&self) -> Conversion {
        Conversion { customer_id: self.customer_id.clone(), request_id: self.request_id, fingerprint: self.fingerprint }
    }

    /// The unit in which this event is deduplicated: by its own reason, never recomputed from the times.
    pub fn id_hour(&self) -> IdHour {
        match &self.outcome {
            Outcome::Rejected { reason: Reason::RequestIdOutOfRange, .. } => {
                IdHour::OutOfRange(self.accepted_at.hour())
            }
            _ => IdHour::of(&self.request_id),
        }
    }

    pub fn to_record(&self) -> Result<Record, serde_json::Error> {
        let id = self.request_id.to_string();
        let source = format!("/resize.requests/{}/{}", self.request.partition, self.request.offset);
        Ok(Record::event(&id, &id, &source, TYPE, serde_json::to_vec(self)?))
    }

    pub fn from_record(record: &RecordView<'_>) -> Result<Self, DecodeError> {
        let (key, ce_id) = record.attributes(TYPE)?;
        let (_, event): (_, Self) = record.body("usage event")?;
        let id = event.request_id.to_string();
        if key != id || ce_id != id {
            return Err(DecodeError::IdMismatch);
        }
        // The unit becomes a key of a segment's footer, which must read back for ever.
        if !event.id_hour().is_in_the_calendar() || !event.accepted_at.is_in_the_calendar() {
            return Err(DecodeError::Inconsistent("its times are outside the years 1970 to 9998".to_owned()));
        }
        Ok(event)
    }
}
