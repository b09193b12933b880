//! The rows of each landed topic: ids, digests, parameters and measures. No images, no free text, no key hashes.
//!
//! Every topic has these columns first; its own follow, null in a quarantined row.
//!
//! | column | |
//! |---|---|
//! | `offset`, `append_time` | the record's place and time; never null |
//! | `quarantine_reason`, `record_sha256` | set when the record could not be read: why, and the digest that tells it |

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use contract::layout::Topic;
use contract::record::{DecodeError, RecordView};
use contract::request::Received;
use contract::usage::Outcome;
use contract::{AccountVersion, BrokerTime, DeadLetter, Digest, ResizeRequest, UsageEvent};

use crate::columns::{Column, Values, fixed, times};

/// Decoded records of one topic, in the order read.
#[derive(Debug)]
pub(crate) enum Rows {
    Requests(Vec<Option<Received>>),
    Usage(Vec<Option<UsageEvent>>),
    DeadLetters(Vec<Option<DeadLetter>>),
    Accounts(Vec<Option<AccountVersion>>),
}

/// What stands in the columns that every topic has.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) offset: i64,
    pub(crate) appended_at: BrokerTime,
    pub(crate) quarantine: Option<(&'static str, Digest)>,
}

impl Rows {
    /// `None` for a topic that is not landed.
    pub(crate) fn new(topic: Topic) -> Option<Self> {
        match topic {
            Topic::Requests => Some(Self::Requests(Vec::new())),
            Topic::Usage => Some(Self::Usage(Vec::new())),
            Topic::DeadLetters => Some(Self::DeadLetters(Vec::new())),
            Topic::Accounts => Some(Self::Accounts(Vec::new())),
            Topic::Totals => None,
        }
    }

    /// Appends a row; an unreadable record appends an empty one and answers why.
    pub(crate) fn push(&mut self, record: &RecordView<'_>) -> Result<(), DecodeError> {
        fn keep<T>(rows: &mut Vec<Option<T>>, decoded: Result<T, DecodeError>) -> Result<(), DecodeError> {
            let (row, outcome) = match decoded {
                Ok(row) => (Some(row), Ok(())),
                Err(error) => (None, Err(error)),
            };
            rows.push(row);
            outcome
        }
        match self {
            // An inlined image must not wait here: it is already covered by its digest.
            Self::Requests(rows) => keep(
                rows,
                ResizeRequest::from_record(record).map(|mut received| {
                    received.request.source.inline = received.request.source.inline.map(|_| String::new());
                    received
                }),
            ),
            Self::Usage(rows) => keep(rows, UsageEvent::from_record(record)),
            Self::DeadLetters(rows) => keep(rows, DeadLetter::from_record(record)),
            Self::Accounts(rows) => keep(rows, AccountVersion::from_record(record)),
        }
    }

    /// The last row, where it is a usage event.
    pub(crate) fn last_usage(&self) -> Option<&UsageEvent> {
        match self {
            Self::Usage(rows) => rows.last().and_then(Option::as_ref),
            _ => None,
        }
    }

    pub(crate) fn to_batch(&self, places: &[Place]) -> Result<RecordBatch, ArrowError> {
        let offsets: ArrayRef = Arc::new(places.iter().map(|p| p.offset).collect::<Int64Array>());
        let mut columns = vec![
            ("offset", offsets),
            ("append_time", times(places.iter().map(|p| Some(p.appended_at)))),
            ("quarantine_reason", text(places.iter().map(|p| p.quarantine.as_ref().map(|(reason, _)| *reason)))),
            ("record_sha256", fixed(places.iter().map(|p| p.quarantine.as_ref().map(|(_, digest)| digest.as_bytes())))),
        ];
        columns.extend(match self {
            Self::Requests(rows) => requests(&Values(rows)),
            Self::Usage(rows) => usage(&Values(rows)),
            Self::DeadLetters(rows) => dead_letters(&Values(rows)),
            Self::Accounts(rows) => accounts(&Values(rows)),
        });
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, array)| {
                let always_there = matches!(*name, "offset" | "append_time");
                Field::new(*name, array.data_type().clone(), !always_there)
            })
            .collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }
}

/// The schema of a topic's segments; `None` for a topic that is not landed.
pub fn schema(topic: Topic) -> Option<SchemaRef> {
    Rows::new(topic)?.to_batch(&[]).ok().map(|batch| batch.schema())
}

fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn requests(rows: &Values<'_, Received>) -> Vec<Column> {
    vec![
        rows.bytes("request_id", |r| Some(r.request.request_id.as_bytes())),
        rows.text("customer_id", |r| Some(r.request.customer_id.as_str())),
        rows.bytes("fingerprint", |r| Some(r.fingerprint.as_bytes())),
        rows.bytes("source_sha256", |r| Some(r.request.source.sha256.as_bytes())),
        rows.text("source_kind", |r| Some(source_kind(r))),
        // Only what this version knows: an unknown field could hold anything.
        rows.text("parameters", |r| serde_json::to_string(&r.request.resize).ok()),
        rows.text("key_id", |r| r.attempt.key_id.as_ref().map(contract::KeyId::as_str)),
        rows.time("deadline", |r| r.attempt.deadline),
    ]
}

fn source_kind(received: &Received) -> &'static str {
    let source = &received.request.source;
    match (&source.inline, &source.location) {
        (Some(_), _) => "inline",
        (None, Some(_)) => "location",
        (None, None) => "stored",
    }
}

fn usage(rows: &Values<'_, UsageEvent>) -> Vec<Column> {
    vec![
        rows.bytes("request_id", |e| Some(e.request_id.as_bytes())),
        rows.text("customer_id", |e| Some(e.customer_id.as_str())),
        rows.bytes("fingerprint", |e| Some(e.fingerprint.as_bytes())),
        rows.text("id_hour", |e| Some(e.id_hour().to_string())),
        rows.int32("request_partition", |e| Some(e.request.partition)),
        rows.int64("request_offset", |e| Some(e.request.offset)),
        rows.time("accepted_at", |e| Some(e.accepted_at)),
        rows.text("outcome", |e| Some(if e.outcome.is_done() { "done" } else { "rejected" })),
        rows.text("reason", reason),
        rows.int64("input_bytes", |e| Some(e.usage.input_bytes.get())),
        rows.int64("output_bytes", |e| Some(e.usage.output_bytes.get())),
        rows.int64("input_pixels", |e| Some(e.usage.input_pixels.get())),
        rows.int64("output_pixels", |e| Some(e.usage.output_pixels.get())),
        rows.int64("cpu_micros", |e| Some(e.usage.cpu_micros.get())),
        rows.text("operation", |e| Some(e.usage.operation.as_str())),
        rows.text("input_format", |e| e.usage.input_format.as_ref().map(contract::ids::Label::as_str)),
        rows.text("output_format", |e| e.usage.output_format.as_ref().map(contract::ids::Label::as_str)),
        rows.text("worker_class", |e| Some(e.usage.worker_class.as_str())),
        rows.text("engine_version", |e| Some(e.usage.engine_version.as_str())),
        rows.text("key_id", |e| e.usage.key_id.as_ref().map(contract::KeyId::as_str)),
        rows.text("region", |e| Some(e.usage.region.as_str())),
    ]
}

fn reason(event: &UsageEvent) -> Option<String> {
    let Outcome::Rejected { reason, .. } = &event.outcome else { return None };
    serde_json::to_value(reason).ok()?.as_str().map(str::to_owned)
}

fn dead_letters(rows: &Values<'_, DeadLetter>) -> Vec<Column> {
    vec![
        rows.text("letter_topic", |l| Some(l.topic.as_str())),
        rows.int32("letter_partition", |l| Some(l.partition)),
        rows.int64("letter_offset", |l| Some(l.offset)),
        rows.time("letter_append_time", |l| Some(l.appended_at)),
        rows.text("letter_reason", |l| Some(l.reason.as_str())),
        rows.bytes("letter_sha256", |l| Some(l.digest.as_bytes())),
    ]
}

fn accounts(rows: &Values<'_, AccountVersion>) -> Vec<Column> {
    vec![
        rows.text("customer_id", |a| Some(a.customer_id.as_str())),
        rows.int64("version", |a| Some(i64::from(a.version))),
        rows.time("effective_from", |a| Some(a.effective_from)),
        rows.text("plan", |a| Some(a.plan.as_str())),
        rows.text("currency", |a| Some(a.currency.as_str())),
        rows.text("home_region", |a| Some(a.home_region.as_str())),
        rows.text("limits", |a| serde_json::to_string(&a.limits).ok()),
    ]
}
