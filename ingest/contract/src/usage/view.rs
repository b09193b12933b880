//! A usage event borrowed from its record, for who lands hundreds of thousands a second.
//!
//! [`UsageView::read`] takes only what every writer of ours writes: no unknown field, no escape in a string. What it
//! does not take may be an event all the same: then [`UsageEvent::from_record`] has the say, which is slower. What it
//! takes, that would take too, and read the same.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Outcome, Reason, RequestPosition, TYPE, UsageEvent};
use crate::canonical::MAX_SAFE_INTEGER;
use crate::ids::{CustomerId, Fingerprint, KeyId, Label, Region, RequestId};
use crate::record::RecordView;
use crate::time::{BrokerTime, IdHour};

const OUT_OF_RANGE: &str = "request_id_out_of_range";

/// What of a usage event is landed; each name and word is known to be well-formed, each quantity not to be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageView<'a> {
    pub customer_id: &'a str,
    pub request_id: RequestId,
    pub fingerprint: Fingerprint,
    pub request: RequestPosition,
    pub accepted_at: BrokerTime,
    /// Why it was rejected; none if it was done.
    pub rejected: Option<Cow<'a, str>>,
    pub input_bytes: i64,
    pub output_bytes: i64,
    pub input_pixels: i64,
    pub output_pixels: i64,
    pub cpu_micros: i64,
    pub operation: &'a str,
    pub input_format: Option<&'a str>,
    pub output_format: Option<&'a str>,
    pub worker_class: &'a str,
    pub engine_version: &'a str,
    pub key_id: Option<&'a str>,
    pub region: &'a str,
}

/// As it stands in JSON, fields in the order of [`UsageEvent`]'s.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    customer_id: &'a str,
    request_id: &'a str,
    fingerprint: &'a str,
    request: Position,
    accepted_at_ms: i64,
    #[serde(borrow)]
    outcome: Answer<'a>,
    #[serde(borrow)]
    usage: Used<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    partition: i32,
    offset: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answer<'a> {
    Done {
        #[serde(rename = "location")]
        _location: &'a str,
        #[serde(rename = "width")]
        _width: u32,
        #[serde(rename = "height")]
        _height: u32,
    },
    Rejected {
        reason: &'a str,
        #[serde(rename = "detail")]
        _detail: &'a str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Used<'a> {
    input_bytes: i64,
    output_bytes: i64,
    input_pixels: i64,
    output_pixels: i64,
    cpu_micros: i64,
    operation: &'a str,
    #[serde(default)]
    input_format: Option<&'a str>,
    #[serde(default)]
    output_format: Option<&'a str>,
    worker_class: &'a str,
    engine_version: &'a str,
    #[serde(default)]
    key_id: Option<&'a str>,
    region: &'a str,
}

impl<'a> UsageView<'a> {
    /// Reads a record; `None` is no verdict, see the module.
    pub fn read(record: &RecordView<'a>) -> Option<Self> {
        let (key, ce_id) = record.attributes(TYPE).ok()?;
        let body: Body<'a> = serde_json::from_slice(record.payload?).ok()?;
        if key != body.request_id || ce_id != key {
            return None;
        }
        let rejected = match body.outcome {
            Answer::Done { .. } => None,
            Answer::Rejected { reason, .. } => Some(Cow::Borrowed(reason)),
        };
        let used = body.usage;
        let view = Self {
            customer_id: body.customer_id,
            request_id: body.request_id.parse().ok()?,
            fingerprint: body.fingerprint.parse().ok()?,
            request: RequestPosition { partition: body.request.partition, offset: body.request.offset },
            accepted_at: BrokerTime::from_millis(body.accepted_at_ms),
            rejected,
            input_bytes: used.input_bytes,
            output_bytes: used.output_bytes,
            input_pixels: used.input_pixels,
            output_pixels: used.output_pixels,
            cpu_micros: used.cpu_micros,
            operation: used.operation,
            input_format: used.input_format,
            output_format: used.output_format,
            worker_class: used.worker_class,
            engine_version: used.engine_version,
            key_id: used.key_id,
            region: used.region,
        };
        view.is_well_formed().then_some(view)
    }

    fn is_well_formed(&self) -> bool {
        let labels = [Some(self.operation), self.input_format, self.output_format, self.rejected.as_deref()];
        let labels = labels.into_iter().flatten().chain([self.worker_class, self.engine_version]);
        CustomerId::is_valid(self.customer_id)
            && Region::is_valid(self.region)
            && self.key_id.is_none_or(KeyId::is_valid)
            && labels.into_iter().all(Label::is_valid)
            && self.quantities().iter().all(|quantity| u64::try_from(*quantity).is_ok_and(|q| q <= MAX_SAFE_INTEGER))
            && self.request.offset.unsigned_abs() <= MAX_SAFE_INTEGER
            && self.accepted_at.is_in_the_calendar()
            && self.id_hour().is_in_the_calendar()
    }

    /// Input bytes, output bytes, input pixels, output pixels, CPU microseconds.
    pub fn quantities(&self) -> [i64; 5] {
        [self.input_bytes, self.output_bytes, self.input_pixels, self.output_pixels, self.cpu_micros]
    }

    /// See [`UsageEvent::id_hour`].
    pub fn id_hour(&self) -> IdHour {
        if self.rejected.as_deref() == Some(OUT_OF_RANGE) {
            IdHour::OutOfRange(self.accepted_at.hour())
        } else {
            IdHour::of(&self.request_id)
        }
    }
}

impl<'a> From<&'a UsageEvent> for UsageView<'a> {
    fn from(event: &'a UsageEvent) -> Self {
        let usage = &event.usage;
        Self {
            customer_id: event.customer_id.as_str(),
            request_id: event.request_id,
            fingerprint: event.fingerprint,
            request: event.request,
            accepted_at: event.accepted_at,
            rejected: match &event.outcome {
                Outcome::Done { .. } => None,
                Outcome::Rejected { reason, .. } => Some(reason.word()),
            },
            input_bytes: usage.input_bytes.get(),
            output_bytes: usage.output_bytes.get(),
            input_pixels: usage.input_pixels.get(),
            output_pixels: usage.output_pixels.get(),
            cpu_micros: usage.cpu_micros.get(),
            operation: usage.operation.as_str(),
            input_format: usage.input_format.as_ref().map(Label::as_str),
            output_format: usage.output_format.as_ref().map(Label::as_str),
            worker_class: usage.worker_class.as_str(),
            engine_version: usage.engine_version.as_str(),
            key_id: usage.key_id.as_ref().map(KeyId::as_str),
            region: usage.region.as_str(),
        }
    }
}

impl Reason {
    /// As it stands in the record.
    fn word(&self) -> Cow<'_, str> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word.into(),
            _ => "unknown".into(),
        }
    }
}
