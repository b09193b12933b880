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
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};

use crate::read::{ReadError, Segment};

const COLUMN: &str = "id_hour";
const BATCH_ROWS: usize = 8192;

type Builder = ParquetRecordBatchReaderBuilder<Bytes>;

/// The readable usage events of `id_hours`, of these columns, which come in the order of the file's own. `bytes` are the
/// segment's, as [`crate::read_bytes`] gives them. An error if there are not as many as the footer says.
pub fn rows_of_id_hours(
    segment: &Segment,
    bytes: &Bytes,
    id_hours: &BTreeSet<IdHour>,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, ReadError> {
    let counts = &segment.footer.rows_per_id_hour;
    let wanted: u64 = counts.iter().filter(|(unit, _)| id_hours.contains(unit)).map(|(_, rows)| rows).sum();
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Builder::try_new(bytes.clone()).map_err(|error| segment.not(error))?;
    if wanted != segment.footer.rows {
        let selection = select(bytes, reader.schema(), id_hours).map_err(|error| segment.not(error))?;
        reader = reader.with_row_selection(selection);
    }
    let mask = ProjectionMask::columns(reader.parquet_schema(), columns.iter().copied());
    let rows = reader.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| segment.not(error))?;
    let rows: Vec<RecordBatch> = rows.collect::<Result<_, _>>().map_err(|error| segment.not(error))?;
    let found: usize = rows.iter().map(RecordBatch::num_rows).sum();
    if found as u64 != wanted {
        return Err(segment.not(format!("{found} rows of {id_hours:?}, {wanted} by its footer")));
    }
    Ok(rows)
}

/// Where the rows of `id_hours` stand.
fn select(bytes: &Bytes, schema: &Schema, id_hours: &BTreeSet<IdHour>) -> parquet::errors::Result<RowSelection> {
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = schema.fields().iter().map(|field| {
        if field.name() == COLUMN { Arc::new(Field::new(COLUMN, words.clone(), true)) } else { Arc::clone(field) }
    });
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
    let reader = Builder::try_new_with_options(bytes.clone(), options)?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), [COLUMN]);
    let mut selectors: Vec<RowSelector> = Vec::new();
    for batch in reader.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let rows = batch.column(0).as_dictionary::<Int32Type>();
        let words = rows.values().as_string::<i32>();
        let wanted: Vec<bool> = words
            .iter()
            .map(|word| word.and_then(|word| word.parse().ok()).is_some_and(|unit| id_hours.contains(&unit)))
            .collect();
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
