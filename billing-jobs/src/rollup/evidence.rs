//! The events that were not alone with their request id, kept with what decided among them: who was billed, and what was
//! counted out.

use anyhow::Result;
use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch, StringArray, UInt8Array};
use arrow::compute::{SortColumn, cast, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, UInt8Type};
use datafusion::execution::memory_pool::MemoryReservation;
use std::sync::Arc;

use super::dedup::{ALONE, STANDING, WINNER, column};

/// The columns that tell one event from another, and which counts.
pub(super) const COLUMNS: [&str; 7] =
    ["offset", "request_id", "customer_id", "fingerprint", "accepted_at", "outcome", "cpu_micros"];
const SORTED_BY: [&str; 7] = ["customer_id", "request_id", "fingerprint", STANDING, "epoch", "partition", "offset"];
const KEPT: [&str; 11] = [
    "customer_id",
    "request_id",
    "fingerprint",
    STANDING,
    "outcome",
    "pinned_by",
    "accepted_at",
    "cpu_micros",
    "epoch",
    "partition",
    "offset",
];
const ROW_BYTES: usize = 2 * 160;

pub(super) struct Evidence {
    batches: Vec<RecordBatch>,
    memory: MemoryReservation,
}

impl Evidence {
    pub(super) fn new(memory: MemoryReservation) -> Self {
        Self { batches: Vec::new(), memory }
    }

    pub(super) fn add(&mut self, batch: &RecordBatch, standings: &UInt8Array) -> Result<()> {
        if standings.values().iter().all(|standing| *standing == ALONE) {
            return Ok(());
        }
        let not_alone: BooleanArray = standings.values().iter().map(|standing| Some(*standing != ALONE)).collect();
        self.memory.try_grow(not_alone.true_count() * ROW_BYTES)?;
        self.batches.push(filter_record_batch(&plain(batch)?, &not_alone)?);
        Ok(())
    }

    /// All of them, by conversion, the winner first.
    pub(super) fn rows(&self) -> Result<Option<RecordBatch>> {
        let Some(first) = self.batches.first() else { return Ok(None) };
        let all = concat_batches(&first.schema(), &self.batches)?;
        let mut keys = Vec::with_capacity(SORTED_BY.len());
        for name in SORTED_BY {
            keys.push(SortColumn { values: Arc::clone(column(&all, name)?), options: None });
        }
        Ok(Some(take_record_batch(&all, &lexsort_to_indices(&keys, None)?)?))
    }
}

/// The columns that are kept, words spelled out.
fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(KEPT.len());
    let mut columns = Vec::with_capacity(KEPT.len());
    for name in KEPT {
        let values = column(batch, name)?;
        let values = match values.data_type() {
            DataType::Dictionary(..) => cast(values, &DataType::Utf8)?,
            _ => Arc::clone(values),
        };
        fields.push(Field::new(name, values.data_type().clone(), true));
        columns.push(values);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Request ids that were used for more than one body: those of more than one winner.
pub(super) fn conflicts(rows: &RecordBatch) -> Result<u64> {
    let customers: &StringArray = column(rows, "customer_id")?.as_string();
    let (ids, standings) = (column(rows, "request_id")?.as_fixed_size_binary(), column(rows, STANDING)?);
    let standings: &UInt8Array = standings.as_primitive::<UInt8Type>();
    let winners: Vec<(&str, &[u8])> = (0..rows.num_rows())
        .filter(|row| standings.value(*row) == WINNER)
        .map(|row| (customers.value(row), ids.value(row)))
        .collect();
    Ok(winners.chunk_by(|a, b| a == b).filter(|request| request.len() > 1).count() as u64)
}
