//! Reading the events of some id-hours alone.
//!
//! The rows of an id-hour stand together in a segment of version 2, anywhere in one of version 1. So where they stand is
//! read from the column `id_hour`, which costs little as it holds few different words, and not taken from the order.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use contract::IdHour;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};

use crate::read::{ReadError, Segment};

const COLUMN: &str = "id_hour";
const BATCH_ROWS: usize = 8192;

type Builder = ParquetRecordBatchReaderBuilder<Bytes>;

/// The readable usage events of some id-hours, batch by batch.
///
/// Ends with an error if there were not as many as the footer says.
#[expect(missing_debug_implementations, reason = "a Parquet reader shows nothing of itself")]
pub struct IdHourRows {
    segment: Segment,
    reader: Option<ParquetRecordBatchReader>,
    missing: u64,
}

/// The readable usage events of `id_hours`, of these columns, which come in the order of the file's own; words and
/// customers as dictionaries. `bytes` are the segment's, as [`crate::read_bytes`] gives them.
pub fn rows_of_id_hours(
    segment: &Segment,
    bytes: &Bytes,
    id_hours: &BTreeSet<IdHour>,
    columns: &[&str],
) -> Result<IdHourRows, ReadError> {
    let segment = segment.clone();
    let counts = &segment.footer.rows_per_id_hour;
    let wanted: u64 = counts.iter().filter(|(unit, _)| id_hours.contains(unit)).map(|(_, rows)| rows).sum();
    if wanted == 0 {
        return Ok(IdHourRows { segment, reader: None, missing: 0 });
    }
    let open = || -> parquet::errors::Result<ParquetRecordBatchReader> {
        let metadata = with_dictionaries(bytes)?;
        let mut reader = Builder::new_with_metadata(bytes.clone(), metadata.clone());
        if wanted != segment.footer.rows {
            reader = reader.with_row_selection(select(bytes, metadata, id_hours)?);
        }
        let mask = ProjectionMask::columns(reader.parquet_schema(), columns.iter().copied());
        reader.with_projection(mask).with_batch_size(BATCH_ROWS).build()
    };
    let reader = open().map_err(|error| segment.not(error))?;
    Ok(IdHourRows { segment, reader: Some(reader), missing: wanted })
}

impl Iterator for IdHourRows {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.as_mut()?.next() {
            Some(Ok(batch)) if batch.num_rows() as u64 <= self.missing => {
                self.missing -= batch.num_rows() as u64;
                Some(Ok(batch))
            }
            Some(Err(error)) => {
                self.reader = None;
                Some(Err(self.segment.not(error)))
            }
            None if self.missing == 0 => None,
            _ => {
                self.reader = None;
                Some(Err(self.segment.not("its rows of an id-hour are not as many as its footer says")))
            }
        }
    }
}

fn with_dictionaries(bytes: &Bytes) -> parquet::errors::Result<ArrowReaderMetadata> {
    let file = ArrowReaderMetadata::load(bytes, ArrowReaderOptions::default())?;
    let schema = file.schema();
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Arc::new(Field::new(field.name(), words.clone(), field.is_nullable())),
        _ => Arc::clone(field),
    });
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
    ArrowReaderMetadata::try_new(Arc::clone(file.metadata()), options)
}

/// Where the rows of `id_hours` stand.
fn select(
    bytes: &Bytes,
    metadata: ArrowReaderMetadata,
    id_hours: &BTreeSet<IdHour>,
) -> parquet::errors::Result<RowSelection> {
    let id_hours: BTreeSet<String> = id_hours.iter().map(ToString::to_string).collect();
    let reader = Builder::new_with_metadata(bytes.clone(), metadata);
    let mask = ProjectionMask::columns(reader.parquet_schema(), [COLUMN]);
    let mut selectors: Vec<RowSelector> = Vec::new();
    for batch in reader.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let rows = batch.column(0).as_dictionary::<Int32Type>();
        let words = rows.values().as_string::<i32>();
        let wanted: Vec<bool> = words.iter().map(|word| word.is_some_and(|word| id_hours.contains(word))).collect();
        for key in rows.keys() {
            let skip = !key.and_then(|key| usize::try_from(key).ok()).is_some_and(|key| wanted[key]);
            match selectors.last_mut() {
                Some(last) if last.skip == skip => last.row_count += 1,
                _ => selectors.push(RowSelector { row_count: 1, skip }),
            }
        }
    }
    Ok(selectors.into())
}
