//! Building one segment. Pure: records in, the bytes of a file out; the put that commits it is the aggregator's.

use std::sync::Arc;

use arrow::datatypes::Schema;
use bytes::Bytes;
use contract::footer::{self, Clock, SegmentFooter};
use contract::layout::{self, Topic};
use contract::record::{DecodeError, RecordView};
use contract::{BrokerTime, Digest};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::read::Segment;
use crate::rows::{Place, Rows};

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("nothing was read, so there is no segment to write")]
    Empty,
    #[error("offset {offset} of {topic} comes after {last}: records must be pushed in order")]
    OutOfOrder { topic: &'static str, offset: i64, last: i64 },
    #[error("the segment would not read back: {0}")]
    Unreadable(String),
    #[error("the footer cannot be written: {0}")]
    Footer(#[from] serde_json::Error),
    #[error("the rows cannot be written: {0}")]
    Parquet(#[from] ParquetError),
    #[error("the rows cannot be written: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Where a segment hangs in its chain.
#[derive(Debug, Clone)]
pub struct Link {
    pub topic: Topic,
    pub epoch: u32,
    pub partition: i32,
    pub partition_count: i32,
    /// The predecessor's `next_offset`; 0 where a chain begins.
    pub start: i64,
    pub previous_sha256: Option<Digest>,
    pub clock: Clock,
}

/// A finished segment, ready to be put.
#[derive(Debug)]
pub struct Built {
    pub path: String,
    pub bytes: Bytes,
    pub footer: SegmentFooter,
}

/// Records of one partition on their way into a segment.
#[derive(Debug)]
pub struct Pending {
    topic: Topic,
    rows: Rows,
    places: Vec<Place>,
    last: Option<(i64, BrokerTime, Digest)>,
    first: i64,
    min_append_time: BrokerTime,
    max_append_time: BrokerTime,
    ticks: u64,
    quarantined: u64,
    rows_per_id_hour: std::collections::BTreeMap<contract::IdHour, u64>,
    sums: footer::QuantitySums,
    record_bytes: usize,
}

impl Pending {
    /// `None` for a topic that is not landed.
    pub fn new(topic: Topic) -> Option<Self> {
        Some(Self {
            topic,
            rows: Rows::new(topic)?,
            places: Vec::new(),
            last: None,
            first: 0,
            min_append_time: BrokerTime::from_millis(i64::MAX),
            max_append_time: BrokerTime::from_millis(i64::MIN),
            ticks: 0,
            quarantined: 0,
            rows_per_id_hour: std::collections::BTreeMap::new(),
            sums: footer::QuantitySums::default(),
            record_bytes: 0,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// One past the last record pushed.
    pub fn next_offset(&self) -> Option<i64> {
        self.last.as_ref().map(|(offset, _, _)| offset + 1)
    }

    /// Records pushed, ticks among them.
    pub fn records(&self) -> usize {
        self.places.len() + usize::try_from(self.ticks).unwrap_or(usize::MAX)
    }

    /// Bytes of the records pushed: a measure of the memory held.
    pub fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Takes the next record. A tick gives no row. A record that can't be read gives a quarantined row, and the inner
    /// answer says why: its dead letter is the caller's to send, before the segment is put.
    pub fn push(
        &mut self,
        offset: i64,
        appended_at: BrokerTime,
        record: &RecordView<'_>,
    ) -> Result<Result<(), DecodeError>, WriteError> {
        if let Some((last, _, _)) = self.last.as_ref().filter(|(last, _, _)| *last >= offset) {
            return Err(WriteError::OutOfOrder { topic: self.topic.name(), offset, last: *last });
        }
        let digest = record.digest(appended_at);
        if self.last.is_none() {
            self.first = offset;
        }
        self.last = Some((offset, appended_at, digest));
        self.min_append_time = self.min_append_time.min(appended_at);
        self.max_append_time = self.max_append_time.max(appended_at);
        self.record_bytes += record.size();
        if record.is_tick() {
            self.ticks += 1;
            return Ok(Ok(()));
        }
        let read = self.rows.push(record);
        let quarantine = read.as_ref().err().map(|error| (error.code(), digest));
        self.quarantined += u64::from(quarantine.is_some());
        self.places.push(Place { offset, appended_at, quarantine });
        if let Some(event) = self.rows.last_usage() {
            *self.rows_per_id_hour.entry(event.id_hour()).or_default() += 1;
            self.sums.add(&event.usage);
        }
        Ok(read)
    }

    /// The segment that holds everything pushed.
    pub fn build(&self, link: &Link) -> Result<Built, WriteError> {
        let (last, last_append_time, last_record_sha256) = self.last.ok_or(WriteError::Empty)?;
        let batch = self.rows.to_batch(&self.places)?;
        let footer = SegmentFooter {
            schema_version: footer::SCHEMA_VERSION,
            topic: self.topic.name().to_owned(),
            epoch: link.epoch,
            partition: link.partition,
            partition_count: link.partition_count,
            start: link.start,
            first: self.first,
            last,
            next_offset: last + 1,
            clock: link.clock,
            min_append_time: self.min_append_time,
            max_append_time: self.max_append_time,
            last_append_time,
            records: self.places.len() as u64 + self.ticks,
            rows: self.places.len() as u64,
            ticks: self.ticks,
            quarantined: self.quarantined,
            rows_per_id_hour: self.rows_per_id_hour.clone(),
            sums: self.sums,
            last_record_sha256,
            previous_sha256: link.previous_sha256,
        };
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by("pixtoll".to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(footer::KEY.to_owned(), serde_json::to_string(&footer)?)]))
            .build();
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_parquet_schema(parquet_schema(&batch.schema())?);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
        writer.write(&batch)?;
        let bytes = Bytes::from(writer.into_inner()?);
        let path = layout::segment(self.topic, link.epoch, link.partition, link.start);
        // Once put it stays: what does not read back must not get there.
        let read = Segment::parse(&path, &bytes).map_err(|error| WriteError::Unreadable(error.to_string()))?;
        if read.footer != footer {
            return Err(WriteError::Unreadable("its footer reads back as another".to_owned()));
        }
        Ok(Built { path, bytes, footer })
    }
}

/// The Parquet schema of an Arrow schema, with request ids marked as UUIDs so that every tool prints them as such.
fn parquet_schema(schema: &Schema) -> Result<SchemaDescriptor, ParquetError> {
    let converted = ArrowSchemaConverter::new().convert(schema)?;
    let root = converted.root_schema();
    let mut fields = Vec::new();
    for field in root.get_fields() {
        if field.name() == "request_id" {
            let uuid = Type::primitive_type_builder(field.name(), PhysicalType::FIXED_LEN_BYTE_ARRAY)
                .with_length(16)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(Some(LogicalType::Uuid))
                .build()?;
            fields.push(Arc::new(uuid));
        } else {
            fields.push(Arc::clone(field));
        }
    }
    let root = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}
