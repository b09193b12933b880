//! Rollups: one id-hour of one lake, deduplicated and added up, addressed by its inputs and so reused.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use arrow::array::RecordBatch;
use bytes::Bytes;
use contract::canonical::to_canonical_json;
use contract::layout::{self, Topic};
use contract::time::DEFAULT_MAX_REQUEST_AGE_MS;
use contract::{Digest, IdHour, Month};
use indicatif::ProgressBar;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use segments::Segment;
use serde::{Deserialize, Serialize};

use crate::lake::Lake;
use crate::query::{ask, count, session};

/// Part of a rollup's address: a change of what a rollup says takes a new number.
const ROLLUP_VERSION: u32 = 1;
const FIGURES_KEY: &str = "pixtoll.rollup";

/// What happened to the landed events of one id-hour. DEDUP-1: `landed` = `billable` + `unbillable` + `duplicates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) landed: u64,
    pub(crate) billable: u64,
    pub(crate) unbillable: u64,
    pub(crate) duplicates: u64,
    /// Request ids that were used for more than one body.
    pub(crate) conflicts: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Rollup {
    pub(crate) id_hour: IdHour,
    /// Of what it says: see [`quantities_digest`].
    pub(crate) quantities_sha256: Digest,
    pub(crate) figures: Figures,
    pub(crate) rows: Vec<RecordBatch>,
    pub(crate) reused: bool,
}

/// What to do with a rollup that is stored at the address of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Reuse,
    /// Computes it again from the segments: what is checked must not be what is checked against.
    Mistrust,
}

#[derive(Serialize)]
struct Inputs<'a> {
    rollup_version: u32,
    lake: &'a str,
    id_hour: IdHour,
    segments: Vec<(&'a str, Digest)>,
}

/// The rollups of every id-hour whose conversions may be billed in `month`.
pub(crate) async fn roll_up(
    lake: &Lake,
    month: Month,
    stored: Stored,
    progress: &ProgressBar,
) -> anyhow::Result<Vec<Rollup>> {
    let mut units: BTreeMap<IdHour, Vec<&Segment>> = BTreeMap::new();
    for segment in lake.segments(Topic::Usage) {
        for id_hour in segment.footer.rows_per_id_hour.keys() {
            if id_hour.may_bill_in(month, DEFAULT_MAX_REQUEST_AGE_MS) {
                units.entry(*id_hour).or_default().push(segment);
            }
        }
    }
    progress.set_length(units.len() as u64);
    let mut rollups = Vec::with_capacity(units.len());
    for (id_hour, segments) in units {
        progress.set_message(id_hour.to_string());
        let rollup = roll_up_unit(lake, id_hour, &segments, stored).await;
        rollups.push(rollup.with_context(|| format!("rolling up id-hour {id_hour}"))?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(rollups)
}

/// Reuses what stands at the address of these inputs, or computes and stores it. Two at once store the same.
async fn roll_up_unit(lake: &Lake, id_hour: IdHour, segments: &[&Segment], stored: Stored) -> anyhow::Result<Rollup> {
    let named = segments.iter().map(|segment| (segment.path.as_str(), segment.sha256)).collect();
    let inputs = Inputs { rollup_version: ROLLUP_VERSION, lake: lake.region.as_str(), id_hour, segments: named };
    let inputs_sha256 = Digest::of(&to_canonical_json(&inputs)?);
    let path = layout::rollup(&id_hour, &inputs_sha256);
    let before = match stored {
        Stored::Reuse => lake.store.get(&path).await?,
        Stored::Mistrust => None,
    };
    let reused = before.is_some();
    let bytes = if let Some(bytes) = before {
        bytes
    } else if stored == Stored::Mistrust {
        compute(lake, id_hour, segments).await?
    } else {
        let bytes = compute(lake, id_hour, segments).await?;
        lake.store.create(&path, bytes).await?;
        // Another writer's file stands for the same inputs as well as ours; what is stored is what counts.
        lake.store.get(&path).await?.with_context(|| format!("{path} was stored and is gone"))?
    };
    let (figures, rows) = read(&bytes).with_context(|| path.clone())?;
    let expected: u64 = segments.iter().filter_map(|s| s.footer.rows_per_id_hour.get(&id_hour)).sum();
    anyhow::ensure!(
        figures.landed == expected && expected == figures.billable + figures.unbillable + figures.duplicates,
        "DEDUP-1: {expected} events landed, {figures:?}"
    );
    let quantities_sha256 = quantities_digest(&figures, &rows)?;
    Ok(Rollup { id_hour, quantities_sha256, figures, rows, reused })
}

async fn compute(lake: &Lake, id_hour: IdHour, segments: &[&Segment]) -> anyhow::Result<Bytes> {
    let landed = lake.rows(Topic::Usage, segments.iter().copied()).await?;
    let context = session(vec![("landed", landed)])?;
    let of_unit = format!("SELECT * FROM landed WHERE quarantine_reason IS NULL AND id_hour = '{id_hour}'");
    let events = context.sql(&of_unit).await?.cache().await?;
    context.register_table("events", events.into_view())?;
    let winners = context.sql(include_str!("winners.sql")).await?.cache().await?;
    context.register_table("winners", winners.into_view())?;

    let landed = number(count(&context, "SELECT count(*) AS count FROM events").await?)?;
    let done = number(count(&context, "SELECT count(*) AS count FROM winners WHERE outcome = 'done'").await?)?;
    let all = number(count(&context, "SELECT count(*) AS count FROM winners").await?)?;
    let conflicts = "SELECT count(*) AS count FROM
        (SELECT customer_id, request_id FROM winners GROUP BY customer_id, request_id HAVING count(*) > 1)";
    let figures = Figures {
        landed,
        billable: done,
        unbillable: all - done,
        duplicates: landed.checked_sub(all).context("more winners than events")?,
        conflicts: number(count(&context, conflicts).await?)?,
    };
    let rows = ask(&context, include_str!("rollup.sql")).await?;
    write(&figures, &rows)
}

/// The digest of a rollup's figures and rows, whatever file they stand in.
fn quantities_digest(figures: &Figures, rows: &[RecordBatch]) -> anyhow::Result<Digest> {
    let mut parts = vec![serde_json::to_string(figures)?];
    for row in crate::query::rows(rows) {
        for name in ["customer_id", "region", "operation", "input_format", "output_format", "outcome"] {
            parts.push(row.optional_text(name)?.map_or("-".to_owned(), |text| format!("+{text}")));
        }
        parts.push(row.time("billing_hour")?.as_millis().to_string());
        parts.push(row.int64("conversions")?.to_string());
        for name in ["input_bytes", "output_bytes", "input_pixels", "output_pixels", "cpu_micros"] {
            parts.push(row.decimal(name)?.to_string());
        }
    }
    Ok(Digest::of_parts(parts.iter().map(String::as_bytes)))
}

fn number(count: i64) -> anyhow::Result<u64> {
    u64::try_from(count).with_context(|| format!("a count of {count}"))
}

fn write(figures: &Figures, rows: &[RecordBatch]) -> anyhow::Result<Bytes> {
    let first = rows.first().context("an id-hour without winners")?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("pixtoll".to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(FIGURES_KEY.to_owned(), serde_json::to_string(figures)?)]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties))?;
    for batch in rows {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?.into())
}

fn read(bytes: &Bytes) -> anyhow::Result<(Figures, Vec<RecordBatch>)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let figures = metadata
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == FIGURES_KEY))
        .and_then(|pair| pair.value.as_deref())
        .context("not a rollup")?;
    let figures = serde_json::from_str(figures)?;
    Ok((figures, reader.build()?.collect::<Result<_, _>>()?))
}

/// Adds up what happened.
pub(crate) fn total(rollups: &[Rollup]) -> Figures {
    rollups.iter().fold(Figures::default(), |sum, rollup| Figures {
        landed: sum.landed + rollup.figures.landed,
        billable: sum.billable + rollup.figures.billable,
        unbillable: sum.unbillable + rollup.figures.unbillable,
        duplicates: sum.duplicates + rollup.figures.duplicates,
        conflicts: sum.conflicts + rollup.figures.conflicts,
    })
}

/// The id-hours of a set of rollups.
pub(crate) fn units(rollups: &[Rollup]) -> BTreeSet<IdHour> {
    rollups.iter().map(|rollup| rollup.id_hour).collect()
}
