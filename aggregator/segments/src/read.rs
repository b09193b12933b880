//! Reading one segment: its footer, its digest, its rows.

use arrow::array::RecordBatch;
use bytes::Bytes;
use contract::footer::{self, SegmentFooter};
use contract::{Digest, layout};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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

impl Segment {
    /// Reads a file's footer and holds it against the file's own name and row count.
    pub(crate) fn parse(path: &str, bytes: &Bytes) -> Result<Self, ReadError> {
        let not = |why: String| ReadError::NotASegment { path: path.to_owned(), why };
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|e| not(e.to_string()))?;
        let file = reader.metadata().file_metadata();
        let json = file
            .key_value_metadata()
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == footer::KEY))
            .and_then(|pair| pair.value.as_deref())
            .ok_or_else(|| not(format!("no {} in its metadata", footer::KEY)))?;
        let footer: SegmentFooter = serde_json::from_str(json).map_err(|e| not(format!("its footer: {e}")))?;
        if footer.schema_version != footer::SCHEMA_VERSION {
            return Err(not(format!("schema version {} is not known here", footer.schema_version)));
        }
        let topic = layout::Topic::from_name(&footer.topic).ok_or_else(|| not(format!("topic {:?}", footer.topic)))?;
        let expected = layout::segment(topic, footer.epoch, footer.partition, footer.start);
        if expected != path {
            return Err(not(format!("its footer says that it is {expected}")));
        }
        if u64::try_from(file.num_rows()).ok() != Some(footer.rows) {
            return Err(not(format!("{} rows, {} by its footer", file.num_rows(), footer.rows)));
        }
        let counts = footer.rows.checked_add(footer.ticks) == Some(footer.records);
        let offsets = footer.start <= footer.first
            && footer.first <= footer.last
            && footer.last.checked_add(1) == Some(footer.next_offset);
        if !counts || !offsets {
            return Err(not("its footer contradicts itself".to_owned()));
        }
        Ok(Self { path: path.to_owned(), sha256: Digest::of(bytes), bytes: bytes.len() as u64, footer })
    }

    pub(crate) async fn read(store: &Store, path: &str) -> Result<Self, ReadError> {
        let bytes = store.get(path).await?.ok_or_else(|| ReadError::Missing { path: path.to_owned() })?;
        Self::parse(path, &bytes)
    }
}

/// All rows of a segment, in offset order, from a fresh read whose digest is checked.
pub async fn read_rows(store: &Store, segment: &Segment) -> Result<Vec<RecordBatch>, ReadError> {
    let path = &segment.path;
    let not = |why: String| ReadError::NotASegment { path: path.clone(), why };
    let bytes = store.get(path).await?.ok_or_else(|| ReadError::Missing { path: path.clone() })?;
    let found = Digest::of(&bytes);
    if found != segment.sha256 {
        return Err(ReadError::Changed { path: path.clone(), expected: segment.sha256, found });
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(ParquetRecordBatchReaderBuilder::build);
    let rows: Result<Vec<_>, _> = reader.map_err(|e| not(e.to_string()))?.collect();
    rows.map_err(|e| not(e.to_string()))
}
