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
/// segment after segment; those of one in any order.
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
    let mut walk = Walk { segments, offsets: Vec::new() };
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

/// Where the rows have come to: in the first of `segments`, of which those at `offsets` were seen.
struct Walk<'a> {
    segments: &'a [SealedSegment],
    offsets: Vec<i64>,
}

impl Walk<'_> {
    fn step(&mut self, offset: i64, append_time: i64) -> Result<(), String> {
        while let Some((segment, rest)) = self.segments.split_first() {
            let footer = &segment.footer;
            if self.offsets.len() as u64 == footer.rows {
                self.leave(segment)?;
                self.segments = rest;
                continue;
            }
            let times = footer.min_append_time.as_millis()..=footer.max_append_time.as_millis();
            if !(footer.start..footer.next_offset).contains(&offset) || !times.contains(&append_time) {
                return Err(format!("offset {offset} is outside the offsets or times of its landed segment"));
            }
            self.offsets.push(offset);
            return Ok(());
        }
        Err(format!("offset {offset} is past the last landed segment"))
    }

    fn leave(&mut self, segment: &SealedSegment) -> Result<(), String> {
        let (mut offsets, footer) = (std::mem::take(&mut self.offsets), &segment.footer);
        offsets.sort_unstable();
        if let Some((twice, _)) = offsets.iter().zip(offsets.iter().skip(1)).find(|(offset, next)| offset == next) {
            return Err(format!("offset {twice} stands twice"));
        }
        if offsets.len() as u64 == footer.rows {
            return Ok(());
        }
        Err(format!(
            "{} rows of the landed segment at offset {}, which had {}",
            offsets.len(),
            footer.start,
            footer.rows
        ))
    }

    fn finish(mut self) -> Result<(), String> {
        while let Some((segment, rest)) = self.segments.split_first() {
            self.leave(segment)?;
            self.segments = rest;
        }
        Ok(())
    }
}
