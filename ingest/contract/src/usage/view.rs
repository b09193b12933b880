//! A usage event borrowed from its record, for who lands hundreds of thousands a second.
//!
//! [`UsageView::read`] takes only what every writer of ours writes: these fields in this order, no escape in a string. What it
//! does not take may be an event all the same: then [`UsageEvent::from_record`] has the say, which is slower. What it
//! takes, that would take too, and read the same.

use std::borrow::Cow;

use super::scan::Scan;
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

impl<'a> UsageView<'a> {
    /// Reads a record; `None` is no verdict, see the module.
    pub fn read(record: &RecordView<'a>) -> Option<Self> {
        let (key, ce_id) = record.attributes(TYPE).ok()?;
        let view = Self::scan(Scan::new(record.payload?)?)?;
        let id = view.request_id;
        (key == ce_id && key.parse() == Ok(id) && view.is_well_formed()).then_some(view)
    }

    /// Fields in the order of [`UsageEvent`]'s.
    fn scan(mut json: Scan<'a>) -> Option<Self> {
        json.word("{\"customer_id\":")?;
        let customer_id = json.text()?;
        json.word(",\"request_id\":")?;
        let request_id = json.text()?.parse().ok()?;
        json.word(",\"fingerprint\":")?;
        let fingerprint = json.text()?.parse().ok()?;
        json.word(",\"request\":{\"partition\":")?;
        let partition = i32::try_from(json.integer()?).ok()?;
        json.word(",\"offset\":")?;
        let offset = json.integer()?;
        json.word("},\"accepted_at_ms\":")?;
        let accepted_at = BrokerTime::from_millis(json.integer()?);
        json.word(",\"outcome\":{\"")?;
        let rejected = if json.word("done\":{\"location\":").is_some() {
            json.text()?;
            for side in [",\"width\":", ",\"height\":"] {
                json.word(side)?;
                u32::try_from(json.integer()?).ok()?;
            }
            None
        } else {
            json.word("rejected\":{\"reason\":")?;
            let reason = json.text()?;
            json.word(",\"detail\":")?;
            json.text()?;
            Some(Cow::Borrowed(reason))
        };
        json.word("}},\"usage\":{\"input_bytes\":")?;
        let input_bytes = json.integer()?;
        json.word(",\"output_bytes\":")?;
        let output_bytes = json.integer()?;
        json.word(",\"input_pixels\":")?;
        let input_pixels = json.integer()?;
        json.word(",\"output_pixels\":")?;
        let output_pixels = json.integer()?;
        json.word(",\"cpu_micros\":")?;
        let cpu_micros = json.integer()?;
        json.word(",\"operation\":")?;
        let operation = json.text()?;
        let input_format = json.optional(",\"input_format\":");
        let output_format = json.optional(",\"output_format\":");
        json.word(",\"worker_class\":")?;
        let worker_class = json.text()?;
        json.word(",\"engine_version\":")?;
        let engine_version = json.text()?;
        let key_id = json.optional(",\"key_id\":");
        json.word(",\"region\":")?;
        let region = json.text()?;
        json.word("}}")?;
        json.end()?;
        Some(Self {
            customer_id,
            request_id,
            fingerprint,
            request: RequestPosition { partition, offset },
            accepted_at,
            rejected,
            input_bytes,
            output_bytes,
            input_pixels,
            output_pixels,
            cpu_micros,
            operation,
            input_format,
            output_format,
            worker_class,
            engine_version,
            key_id,
            region,
        })
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
