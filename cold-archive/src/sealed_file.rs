//! Checking one sealed Parquet file of landed rows against its own footer and the manifest's entry. Pure: bytes in.

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use seals::PartitionId;
use seals::manifest::LandedFile;
use seals::sealed::{self, Ends, SealedFooter, SealedSegment};

/// Whether the file holds what the manifest says: the chained segments of `[from, to)`, and of each exactly its rows,
/// in offset order.
pub fn check(bytes: Bytes, id: &PartitionId, landed: &LandedFile) -> Result<Content, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| format!("is no Parquet: {error}"))?;
    let footer = read_footer(&reader)?;
    let ends = footer.check_chain(id)?;
    let said = footer.describe(landed.file.clone()).ok_or("its footer's numbers pass a u64")?;
    if said != *landed {
        return Err(format!("its footer says {}, the manifest {}", in_short(&said), in_short(landed)));
    }
    check_rows(reader, &footer.segments)?;
    Ok(Content { ends, segments: footer.segments.len() as u64 })
}

/// What was found in a good file.
#[derive(Debug)]
pub struct Content {
    /// What its piece of the chain hangs on to.
    pub ends: Ends,
    pub segments: u64,
}

fn in_short(landed: &LandedFile) -> String {
    let LandedFile { from, to, rows, records, clock, first_append_time, last_append_time, .. } = landed;
    format!("[{from}, {to}), {rows} rows of {records} records, {first_append_time} to {last_append_time} by {clock:?}")
}

fn read_footer(reader: &ParquetRecordBatchReaderBuilder<Bytes>) -> Result<SealedFooter, String> {
    let pairs = reader.metadata().file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
    let json = pairs.iter().find(|pair| pair.key == sealed::KEY).and_then(|pair| pair.value.as_deref());
    let json = json.ok_or_else(|| format!("has no {} in its metadata", sealed::KEY))?;
    SealedFooter::decode(json.as_bytes()).map_err(|error| format!("its footer can't be read: {error}"))
}

/// Walks rows and segments side by side.
fn check_rows(reader: ParquetRecordBatchReaderBuilder<Bytes>, segments: &[SealedSegment]) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("its rows can't be read: {error}");
    let columns = ProjectionMask::columns(reader.parquet_schema(), ["offset", "append_time"]);
    let batches = reader.with_projection(columns).build().map_err(|error| unreadable(&error))?;
    let mut walk = Walk { segments, rows_here: 0, last: None };
    for batch in batches {
        let batch = batch.map_err(|error| unreadable(&error))?;
        let offsets = batch.column_by_name("offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let times = batch
            .column_by_name("append_time")
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let (Some(offsets), Some(times)) = (offsets, times) else {
            return Err("has no columns offset and append_time".to_owned());
        };
        if offsets.null_count() + times.null_count() > 0 {
            return Err("has a row without offset or append_time".to_owned());
        }
        for (offset, time) in offsets.values().iter().zip(times.values()) {
            walk.step(*offset, *time)?;
        }
    }
    walk.finish()
}

/// Where the rows have come to: in the first of `segments`, `rows_here` of its rows seen.
struct Walk<'a> {
    segments: &'a [SealedSegment],
    rows_here: u64,
    last: Option<i64>,
}

impl Walk<'_> {
    fn step(&mut self, offset: i64, append_time: i64) -> Result<(), String> {
        if let Some(last) = self.last.replace(offset).filter(|last| *last >= offset) {
            return Err(format!("offset {offset} comes after {last}: rows are out of order or twice"));
        }
        while let Some((segment, rest)) = self.segments.split_first() {
            let footer = &segment.footer;
            if offset < footer.next_offset {
                let times = footer.min_append_time.as_millis()..=footer.max_append_time.as_millis();
                return if offset < footer.start || !times.contains(&append_time) {
                    Err(format!("offset {offset} is outside the offsets or times of its landed segment"))
                } else {
                    self.rows_here += 1;
                    Ok(())
                };
            }
            self.leave(segment)?;
            self.segments = rest;
        }
        Err(format!("offset {offset} is past the last landed segment"))
    }

    fn leave(&mut self, segment: &SealedSegment) -> Result<(), String> {
        let (rows, footer) = (std::mem::take(&mut self.rows_here), &segment.footer);
        if rows == footer.rows {
            return Ok(());
        }
        Err(format!("{rows} rows of the landed segment at offset {}, which had {}", footer.start, footer.rows))
    }

    fn finish(mut self) -> Result<(), String> {
        while let Some((segment, rest)) = self.segments.split_first() {
            self.leave(segment)?;
            self.segments = rest;
        }
        Ok(())
    }
}
