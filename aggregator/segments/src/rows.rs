//! The rows of each landed topic: ids, digests, parameters and measures. No images, no free text, no key hashes.
//!
//! Every topic has these columns first; its own follow, null in a quarantined row.
//!
//! | column | |
//! |---|---|
//! | `offset`, `append_time` | the record's place and time; never null |
//! | `quarantine_reason`, `record_sha256` | set when the record could not be read: why, and the digest that tells it |
//!
//! Rows stand in the order of their offsets, but those of usage as the footer's module says.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use contract::footer::QuantitySums;
use contract::layout::Topic;
use contract::record::{DecodeError, RecordView};
use contract::request::Received;
use contract::usage::view::UsageView;
use contract::{AccountVersion, BrokerTime, DeadLetter, Digest, IdHour, ResizeRequest, UsageEvent};

use crate::columns::{Column, Values, fixed, times};
use crate::usage::UsageRows;

/// Decoded records of one topic: in the order read, `None` where one could not be; those of usage in columns.
#[derive(Debug)]
pub(crate) enum Rows {
    Requests(Vec<Option<Received>>),
    Usage(Box<UsageRows>),
    DeadLetters(Vec<Option<DeadLetter>>),
    Accounts(Vec<Option<AccountVersion>>),
}

/// What stands in the columns that every topic has: of each record that gives a row.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) offsets: Vec<i64>,
    pub(crate) times: Vec<BrokerTime>,
    /// Why one could not be read, and its digest.
    pub(crate) quarantined: BTreeMap<u32, (&'static str, Digest)>,
}

/// The rows as they are written, and what the footer says of them.
pub(crate) struct Table {
    pub(crate) batch: RecordBatch,
    pub(crate) rows_per_id_hour: BTreeMap<IdHour, u64>,
    pub(crate) sums: QuantitySums,
}

impl Rows {
    /// `None` for a topic that is not landed.
    pub(crate) fn new(topic: Topic) -> Option<Self> {
        match topic {
            Topic::Requests => Some(Self::Requests(Vec::new())),
            Topic::Usage => Some(Self::Usage(Box::default())),
            Topic::DeadLetters => Some(Self::DeadLetters(Vec::new())),
            Topic::Accounts => Some(Self::Accounts(Vec::new())),
            Topic::Totals => None,
        }
    }

    /// Appends a row for the `number`th record; an unreadable one answers why.
    pub(crate) fn push(&mut self, number: u32, record: &RecordView<'_>) -> Result<(), DecodeError> {
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
            Self::Usage(rows) => {
                if let Some(event) = UsageView::read(record) {
                    rows.push(number, &event);
                } else {
                    rows.push(number, &UsageView::from(&UsageEvent::from_record(record)?));
                }
                Ok(())
            }
            Self::DeadLetters(rows) => keep(rows, DeadLetter::from_record(record)),
            Self::Accounts(rows) => keep(rows, AccountVersion::from_record(record)),
        }
    }

    pub(crate) fn to_table(&self, places: &Places) -> Result<Table, ArrowError> {
        let mut table = Table {
            batch: RecordBatch::new_empty(Arc::new(Schema::empty())),
            rows_per_id_hour: BTreeMap::new(),
            sums: QuantitySums::default(),
        };
        let records = 0..u32::try_from(places.offsets.len()).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
        let (records, own) = match self {
            Self::Requests(rows) => (records.collect(), requests(&Values(rows))),
            Self::DeadLetters(rows) => (records.collect(), dead_letters(&Values(rows))),
            Self::Accounts(rows) => (records.collect(), accounts(&Values(rows))),
            Self::Usage(rows) => {
                let sorted = rows.sort();
                table.rows_per_id_hour = sorted.rows_per_id_hour();
                table.sums = rows.sums;
                let records = rows.records(&sorted, places.quarantined.keys().copied());
                (records, rows.columns(&sorted, places.quarantined.len()))
            }
        };
        let mut columns = places.columns(&records);
        columns.extend(own);
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, array)| {
                let always_there = matches!(*name, "offset" | "append_time");
                Field::new(*name, array.data_type().clone(), !always_there)
            })
            .collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        table.batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        Ok(table)
    }
}

impl Places {
    /// Of these records, in their order.
    fn columns(&self, records: &[u32]) -> Vec<Column> {
        let quarantine = || records.iter().map(|record| self.quarantined.get(record));
        let offsets: ArrayRef = Arc::new(records.iter().map(|r| self.offsets[*r as usize]).collect::<Int64Array>());
        vec![
            ("offset", offsets),
            ("append_time", times(records.iter().map(|r| Some(self.times[*r as usize])))),
            ("quarantine_reason", text(quarantine().map(|found| found.map(|(reason, _)| *reason)))),
            ("record_sha256", fixed(quarantine().map(|found| found.map(|(_, digest)| digest.as_bytes())))),
        ]
    }
}

/// The schema of a topic's segments; `None` for a topic that is not landed.
pub fn schema(topic: Topic) -> Option<SchemaRef> {
    Rows::new(topic)?.to_table(&Places::default()).ok().map(|table| table.batch.schema())
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
