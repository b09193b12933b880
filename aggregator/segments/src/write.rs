//! Building one segment. Pure: records in, the bytes of a file out; the put that commits it is the aggregator's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use contract::footer::{self, Clock, Gap, QuantitySums, SegmentFooter};
use contract::layout::{self, Topic};
use contract::record::{DecodeError, RecordView};
use contract::{BrokerTime, Digest};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::encoding;
use crate::read::Segment;
use crate::rows::{Places, Rows};

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("nothing was read, so there is no segment to write")]
    Empty,
    #[error("offset {offset} of {topic} comes after {last}: records must be pushed in order")]
    OutOfOrder { topic: &'static str, offset: i64, last: i64 },
    #[error("a segment holds no more records")]
    Full,
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
    /// Of `bytes`.
    pub sha256: Digest,
    pub bytes: Bytes,
    pub footer: SegmentFooter,
}

/// What a row takes while it waits, names and growing columns included.
const USAGE_ROW_BYTES: usize = 300;
/// What a decoded record takes beside its content.
const OTHER_ROW_BYTES: usize = 500;

/// Records of one partition on their way into a segment.
#[derive(Debug)]
pub struct Pending {
    topic: Topic,
    rows: Rows,
    places: Places,
    /// The last record's place, and its [`RecordView::identity`]: most are never the last of a segment, so it is hashed
    /// only then.
    last: Option<(i64, BrokerTime)>,
    identity: Vec<u8>,
    first: i64,
    min_append_time: BrokerTime,
    max_append_time: BrokerTime,
    ticks: u64,
    record_bytes: usize,
}

impl Pending {
    /// `None` for a topic that is not landed.
    pub fn new(topic: Topic) -> Option<Self> {
        Some(Self {
            topic,
            rows: Rows::new(topic)?,
            places: Places::default(),
            last: None,
            identity: Vec::new(),
            first: 0,
            min_append_time: BrokerTime::from_millis(i64::MAX),
            max_append_time: BrokerTime::from_millis(i64::MIN),
            ticks: 0,
            record_bytes: 0,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// One past the last record pushed.
    pub fn next_offset(&self) -> Option<i64> {
        self.last.map(|(offset, _)| offset + 1)
    }

    /// Records pushed, ticks among them.
    pub fn records(&self) -> usize {
        self.places.offsets.len() + usize::try_from(self.ticks).unwrap_or(usize::MAX)
    }

    /// Bytes of the records pushed, as they stand in the log.
    pub fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Roughly what is held in memory for the records pushed.
    pub fn memory_bytes(&self) -> usize {
        match self.topic {
            // Kept in columns, without what they don't have.
            Topic::Usage => self.places.offsets.len() * USAGE_ROW_BYTES,
            _ => self.record_bytes + self.places.offsets.len() * OTHER_ROW_BYTES,
        }
    }

    /// Takes the next record. A tick gives no row. A record that can't be read gives a quarantined row, and the inner
    /// answer says why: its dead letter is the caller's to send, before the segment is put.
    pub fn push(
        &mut self,
        offset: i64,
        appended_at: BrokerTime,
        record: &RecordView<'_>,
    ) -> Result<Result<(), DecodeError>, WriteError> {
        if let Some((last, _)) = self.last.filter(|(last, _)| *last >= offset) {
            return Err(WriteError::OutOfOrder { topic: self.topic.name(), offset, last });
        }
        let number = u32::try_from(self.places.offsets.len()).map_err(|_| WriteError::Full)?;
        if self.last.is_none() {
            self.first = offset;
        }
        self.last = Some((offset, appended_at));
        record.identity(appended_at, &mut self.identity);
        self.min_append_time = self.min_append_time.min(appended_at);
        self.max_append_time = self.max_append_time.max(appended_at);
        self.record_bytes += record.size();
        if record.is_tick() {
            self.ticks += 1;
            return Ok(Ok(()));
        }
        let read = self.rows.push(number, record);
        self.places.offsets.push(offset);
        self.places.times.push(appended_at);
        if let Err(error) = &read {
            self.places.quarantined.insert(number, (error.code(), Digest::of(&self.identity)));
        }
        Ok(read)
    }

    /// The segment that holds everything pushed.
    pub fn build(&self, link: &Link) -> Result<Built, WriteError> {
        let (last, last_append_time) = self.last.ok_or(WriteError::Empty)?;
        let table = self.rows.to_table(&self.places)?;
        let rows = self.places.offsets.len() as u64;
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
            records: rows + self.ticks,
            rows,
            ticks: self.ticks,
            quarantined: self.places.quarantined.len() as u64,
            rows_per_id_hour: table.rows_per_id_hour,
            sums: table.sums,
            last_record_sha256: Digest::of(&self.identity),
            previous_sha256: link.previous_sha256,
            gap: None,
        };
        let path = layout::segment(self.topic, link.epoch, link.partition, link.start);
        encode(path, footer, &table.batch)
    }
}

/// The segment that opens the epoch after `head`'s at `start`, where the log goes on after a hole. It holds no records and
/// takes its times from `head`.
pub fn build_gap(
    topic: Topic,
    partition: i32,
    partition_count: i32,
    head: Option<&Segment>,
    start: i64,
    gap: Gap,
    clock: Clock,
) -> Result<Built, WriteError> {
    let empty = Rows::new(topic).ok_or(WriteError::Empty)?.to_table(&Places::default())?;
    let time = |of: fn(&SegmentFooter) -> BrokerTime| head.map_or(BrokerTime::from_millis(0), |head| of(&head.footer));
    let epoch = head.map_or(0, |head| head.footer.epoch) + 1;
    let footer = SegmentFooter {
        schema_version: footer::SCHEMA_VERSION,
        topic: topic.name().to_owned(),
        epoch,
        partition,
        partition_count,
        start,
        first: start,
        last: start - 1,
        next_offset: start,
        clock,
        min_append_time: time(|footer| footer.last_append_time),
        max_append_time: time(|footer| footer.last_append_time),
        last_append_time: time(|footer| footer.last_append_time),
        records: 0,
        rows: 0,
        ticks: 0,
        quarantined: 0,
        rows_per_id_hour: BTreeMap::new(),
        sums: QuantitySums::default(),
        // There is no last record: who goes on from here has none to find again.
        last_record_sha256: Digest::of(b""),
        previous_sha256: head.map(|head| head.sha256),
        gap: Some(gap),
    };
    encode(layout::gap(topic, epoch, partition, start), footer, &empty.batch)
}

/// The file, read back: once put it stays, so what is not good must not get there.
pub(crate) fn encode(path: String, footer: SegmentFooter, rows: &RecordBatch) -> Result<Built, WriteError> {
    let schema = rows.schema();
    let properties = encoding::properties(&schema, footer::KEY, serde_json::to_string(&footer)?)?;
    let options = ArrowWriterOptions::new().with_properties(properties).with_parquet_schema(parquet_schema(&schema)?);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
    writer.write(rows)?;
    let bytes = Bytes::from(writer.into_inner()?);
    let read = Segment::parse(&path, &bytes).map_err(|error| WriteError::Unreadable(error.to_string()))?;
    if read.footer != footer {
        return Err(WriteError::Unreadable("its footer reads back as another".to_owned()));
    }
    Ok(Built { path, sha256: read.sha256, bytes, footer })
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
