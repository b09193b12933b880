//! Reading one segment: its footer, its digest, its rows.

use arrow::array::RecordBatch;
use bytes::Bytes;
use contract::footer::{self, SegmentFooter};
use contract::{Digest, layout};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::FileMetaData;
use store::{Store, StoreError};

/// A segment as it stands in the store.
#[derive(Debug, Clone)]
pub struct Segment {
    pub path: String,
    /// Of the whole file.
    pub sha256: Digest,
    pub bytes: u64,
    pub footer: SegmentFooter,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path} is missing")]
    Missing { path: String },
    #[error("{path} is not a segment: {why}")]
    NotASegment { path: String, why: String },
    #[error("{path} has changed: it was {expected}, it is {found}")]
    Changed { path: String, expected: Digest, found: Digest },
}

impl ReadError {
    /// Whether trying again may help.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Store(error) if error.passes())
    }
}

impl Segment {
    /// Reads a file's footer and holds it against the file's own name and row count.
    pub(crate) fn parse(path: &str, bytes: &Bytes) -> Result<Self, ReadError> {
        let not = |why: String| ReadError::NotASegment { path: path.to_owned(), why };
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|e| not(e.to_string()))?;
        let footer = footer(path, reader.metadata().file_metadata())?;
        Ok(Self { path: path.to_owned(), sha256: Digest::of(bytes), bytes: bytes.len() as u64, footer })
    }

    pub(crate) fn not(&self, why: impl std::fmt::Display) -> ReadError {
        ReadError::NotASegment { path: self.path.clone(), why: why.to_string() }
    }

    pub(crate) async fn read(store: &Store, path: &str) -> Result<Self, ReadError> {
        let bytes = store.get(path).await?.ok_or_else(|| ReadError::Missing { path: path.to_owned() })?;
        Self::parse(path, &bytes)
    }
}

/// What a file says of itself, held against its name, its row count and itself.
pub(crate) fn footer(path: &str, file: &FileMetaData) -> Result<SegmentFooter, ReadError> {
    let not = |why: String| ReadError::NotASegment { path: path.to_owned(), why };
    let json = file
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == footer::KEY))
        .and_then(|pair| pair.value.as_deref())
        .ok_or_else(|| not(format!("no {} in its metadata", footer::KEY)))?;
    let footer: SegmentFooter = serde_json::from_str(json).map_err(|e| not(format!("its footer: {e}")))?;
    if !(1..=footer::SCHEMA_VERSION).contains(&footer.schema_version) {
        return Err(not(format!("schema version {} is not known here", footer.schema_version)));
    }
    let topic = layout::Topic::from_name(&footer.topic).ok_or_else(|| not(format!("topic {:?}", footer.topic)))?;
    let name = if footer.gap.is_some() { layout::gap } else { layout::segment };
    let expected = name(topic, footer.epoch, footer.partition, footer.start);
    if expected != path {
        return Err(not(format!("its footer says that it is {expected}")));
    }
    if u64::try_from(file.num_rows()).ok() != Some(footer.rows) {
        return Err(not(format!("{} rows, {} by its footer", file.num_rows(), footer.rows)));
    }
    let counts = footer.rows.checked_add(footer.ticks) == Some(footer.records);
    let offsets = footer.last.checked_add(1) == Some(footer.next_offset)
        && if footer.gap.is_some() {
            (footer.first, footer.next_offset, footer.records) == (footer.start, footer.start, 0)
        } else {
            footer.start <= footer.first && footer.first <= footer.last
        };
    if !counts || !offsets {
        return Err(not("its footer contradicts itself".to_owned()));
    }
    Ok(footer)
}

/// A segment's bytes, read anew and held against its digest.
pub async fn read_bytes(store: &Store, segment: &Segment) -> Result<Bytes, ReadError> {
    let path = &segment.path;
    let bytes = store.get(path).await?.ok_or_else(|| ReadError::Missing { path: path.clone() })?;
    let found = Digest::of(&bytes);
    if found != segment.sha256 {
        return Err(ReadError::Changed { path: path.clone(), expected: segment.sha256, found });
    }
    Ok(bytes)
}

/// All rows of a segment, in the order in which they stand there, from a fresh read whose digest is checked.
pub async fn read_rows(store: &Store, segment: &Segment) -> Result<Vec<RecordBatch>, ReadError> {
    let bytes = read_bytes(store, segment).await?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(ParquetRecordBatchReaderBuilder::build);
    let rows: Result<Vec<_>, _> = reader.map_err(|error| segment.not(error))?.collect();
    rows.map_err(|error| segment.not(error))
}
