//! Rollups: one id-hour of one lake, deduplicated and added up, addressed by its inputs and so reused.
//!
//! ```text
//!   segments ─▶ UnitExec (verified, the id-hour's rows alone) ─▶ DedupExec ─┬▶ Sums ─────▶ rollups/{id-hour}/{inputs}.parquet
//!                                                                           └▶ Evidence ─▶ …/{inputs}.repeats.parquet
//! ```
//!
//! The evidence is put first: where a rollup stands, it stands, too.

mod dedup;
mod evidence;
mod filter;
mod source;
mod sums;
mod verified;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::{Array as _, ArrowPrimitiveType, AsArray as _, PrimitiveArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMillisecondType, UInt8Type};
use bytes::Bytes;
use contract::canonical::to_canonical_json;
use contract::ids::DigestOfParts;
use contract::layout::{self, Topic};
use contract::time::DEFAULT_MAX_REQUEST_AGE_MS;
use contract::{Digest, IdHour, Month, Region};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::ExecutionPlan as _;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use store::Store;

use self::dedup::{DUPLICATE, DedupExec, STANDING, column};
use self::evidence::Evidence;
use self::source::{Unit, UnitExec};
use self::sums::Sums;
use self::verified::Verified;
use crate::lake::Lake;

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

/// What a machine gives to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resources {
    /// Held by filters, events, sums and segments together.
    pub(crate) memory_bytes: usize,
    /// Id-hours at once.
    pub(crate) threads: usize,
}

/// A share of the id-hours: those whose number is `index` when counted in rounds of `of`. It depends on the id-hour alone,
/// so machines need not agree on anything but these two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    pub(crate) const WHOLE: Self = Self { index: 0, of: 1 };

    fn holds(self, id_hour: &IdHour) -> bool {
        let (IdHour::Minted(hour) | IdHour::OutOfRange(hour)) = id_hour;
        let number = hour.start().as_millis().div_euclid(3_600_000);
        number.rem_euclid(i64::from(self.of)) == i64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err("not I/N with I from 0 to N-1, such as 0/8".to_owned()),
        }
    }
}

/// How to go about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) month: Month,
    pub(crate) stored: Stored,
    pub(crate) shard: Shard,
    pub(crate) resources: Resources,
}

#[derive(Serialize)]
struct Inputs<'a> {
    rollup_version: u32,
    lake: &'a str,
    id_hour: IdHour,
    segments: Vec<(&'a str, Digest)>,
}

/// The rollups of every id-hour whose conversions may be billed in the month, in their order.
pub(crate) async fn roll_up(lake: &Lake, job: &Job, progress: &ProgressBar) -> anyhow::Result<Vec<Rollup>> {
    let pool = Arc::new(GreedyMemoryPool::new(job.resources.memory_bytes));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
    let context = SessionContext::new_with_config_rt(SessionConfig::new(), runtime).task_ctx();
    let kept = MemoryConsumer::new("segments").register(context.memory_pool());
    let bytes = Arc::new(Verified::new(lake.store.clone(), job.resources.memory_bytes / 4, kept));
    let mut units: BTreeMap<IdHour, Unit> = BTreeMap::new();
    for segment in lake.segments(Topic::Usage) {
        for id_hour in segment.footer.rows_per_id_hour.keys() {
            if id_hour.may_bill_in(job.month, DEFAULT_MAX_REQUEST_AGE_MS) && job.shard.holds(id_hour) {
                let new = || Unit { id_hour: *id_hour, segments: Vec::new(), bytes: Arc::clone(&bytes) };
                units.entry(*id_hour).or_insert_with(new).segments.push((segment.clone(), i64::MAX));
            }
        }
    }
    progress.set_length(units.len() as u64);
    let rollups = stream::iter(units.into_values().map(Arc::new)).map(|unit| {
        let (store, region, stored) = (lake.store.clone(), lake.region.clone(), job.stored);
        let (context, progress) = (Arc::clone(&context), progress.clone());
        let rollup = tokio::spawn(async move {
            let id_hour = unit.id_hour;
            progress.set_message(id_hour.to_string());
            let rollup = roll_up_unit(&store, &region, unit, stored, context).await;
            progress.inc(1);
            rollup.with_context(|| format!("rolling up id-hour {id_hour}"))
        });
        async move { rollup.await.context("a rollup's task")? }
    });
    let rollups = rollups.buffered(job.resources.threads).try_collect().await;
    progress.finish_and_clear();
    rollups
}

/// Reuses what stands at the address of these inputs, or computes and stores it. Two at once store the same.
async fn roll_up_unit(
    store: &Store,
    region: &Region,
    unit: Arc<Unit>,
    stored: Stored,
    context: Arc<TaskContext>,
) -> anyhow::Result<Rollup> {
    let id_hour = unit.id_hour;
    let named = unit.segments.iter().map(|(segment, _)| (segment.path.as_str(), segment.sha256)).collect();
    let inputs = Inputs { rollup_version: ROLLUP_VERSION, lake: region.as_str(), id_hour, segments: named };
    let inputs_sha256 = Digest::of(&to_canonical_json(&inputs)?);
    let path = layout::rollup(&id_hour, &inputs_sha256);
    let before = match stored {
        Stored::Reuse => store.get(&path).await?,
        Stored::Mistrust => None,
    };
    let reused = before.is_some();
    let bytes = if let Some(bytes) = before {
        bytes
    } else {
        let Computed { rollup, repeats } = compute(&unit, &context).await?;
        if stored == Stored::Mistrust {
            rollup
        } else {
            if let Some(repeats) = repeats {
                store.create(&layout::repeats(&id_hour, &inputs_sha256), repeats).await?;
            }
            service::kill_point("before-rollup-put");
            store.create(&path, rollup).await?;
            service::kill_point("after-rollup-put");
            // Another writer's file stands for the same inputs as well as ours; what is stored is what counts.
            store.get(&path).await?.with_context(|| format!("{path} was stored and is gone"))?
        }
    };
    let (figures, rows) = read(&bytes).with_context(|| path.clone())?;
    let expected = unit.rows();
    anyhow::ensure!(
        figures.landed == expected && expected == figures.billable + figures.unbillable + figures.duplicates,
        "DEDUP-1: {expected} events landed, {figures:?}"
    );
    let quantities_sha256 = quantities_digest(&figures, &rows)?;
    Ok(Rollup { id_hour, quantities_sha256, figures, rows, reused })
}

struct Computed {
    rollup: Bytes,
    repeats: Option<Bytes>,
}

/// Most turns over one id-hour, each over a part of its ids.
const MAX_PARTS: u64 = 64;

/// More input than memory is gone through in parts, which gives the same.
async fn compute(unit: &Arc<Unit>, context: &Arc<TaskContext>) -> anyhow::Result<Computed> {
    let mut parts = 1;
    loop {
        match compute_in_parts(unit, context, parts).await {
            Err(error) if parts < MAX_PARTS && is_out_of_memory(&error) => {
                parts *= 4;
                tracing::debug!(id_hour = %unit.id_hour, parts, "more than fits into --memory-mib; going through it in parts");
            }
            computed => return computed,
        }
    }
}

fn is_out_of_memory(error: &anyhow::Error) -> bool {
    let out = |error: &DataFusionError| matches!(error.find_root(), DataFusionError::ResourcesExhausted(_));
    error.chain().any(|cause| cause.downcast_ref().is_some_and(out))
}

async fn compute_in_parts(unit: &Arc<Unit>, context: &Arc<TaskContext>, parts: u64) -> anyhow::Result<Computed> {
    let memory = |name: &str| MemoryConsumer::new(name).register(context.memory_pool());
    let keys = UnitExec::new(Arc::clone(unit), &["request_id"])?;
    let columns: Vec<&str> = sums::COLUMNS.iter().chain(&evidence::COLUMNS).copied().collect();
    let events = UnitExec::new(Arc::clone(unit), &columns)?;
    let rows = usize::try_from(unit.rows()).context("more events than this machine can count")?;
    let dedup = DedupExec::new(Arc::new(keys), Arc::new(events), rows, parts);
    let mut counted = dedup.execute(0, Arc::clone(context))?;

    let (mut sums, mut repeats) = (Sums::new(memory("sums")), Evidence::new(memory("repeats")));
    let (mut landed, mut duplicates) = (0, 0);
    while let Some(batch) = counted.next().await {
        let batch = batch?;
        let standings = column(&batch, STANDING)?.as_primitive::<UInt8Type>();
        landed += batch.num_rows() as u64;
        duplicates += standings.iter().flatten().filter(|standing| *standing == DUPLICATE).count() as u64;
        sums.add(&batch, standings)?;
        repeats.add(&batch, standings)?;
    }
    let (rows, repeats) = (sums.rows()?, repeats.rows()?);
    let billable = sums.done()?;
    let unbillable = landed.checked_sub(duplicates + billable).context("more winners than events")?;
    let conflicts = repeats.as_ref().map_or(Ok(0), evidence::conflicts)?;
    let figures = Figures { landed, billable, unbillable, duplicates, conflicts };
    let rollup = write(&rows, Some(&figures))?;
    let repeats = repeats.map(|rows| write(&rows, None)).transpose()?;
    Ok(Computed { rollup, repeats })
}

/// The digest of a rollup's figures and rows, whatever file they stand in.
fn quantities_digest(figures: &Figures, rows: &[RecordBatch]) -> anyhow::Result<Digest> {
    let mut digest = DigestOfParts::default();
    digest.add(serde_json::to_string(figures)?.as_bytes());
    let mut part = String::new();
    for batch in rows {
        let mut labels = Vec::new();
        for name in ["customer_id", "region", "operation", "input_format", "output_format", "outcome"] {
            labels.push(column(batch, name)?.as_string_opt::<i32>().with_context(|| format!("{name} is no text"))?);
        }
        let hours = numbers::<TimestampMillisecondType>(batch, "billing_hour")?;
        let conversions = numbers::<Int64Type>(batch, "conversions")?;
        let mut sums = Vec::new();
        for name in ["input_bytes", "output_bytes", "input_pixels", "output_pixels", "cpu_micros"] {
            sums.push(numbers::<Decimal128Type>(batch, name)?);
        }
        let mut add = |text: fmt::Arguments<'_>| {
            part.clear();
            part.write_fmt(text)?;
            digest.add(part.as_bytes());
            anyhow::Ok(())
        };
        for row in 0..batch.num_rows() {
            for label in &labels {
                if label.is_null(row) { add(format_args!("-"))? } else { add(format_args!("+{}", label.value(row)))? }
            }
            add(format_args!("{}", hours.value(row)))?;
            add(format_args!("{}", conversions.value(row)))?;
            for sum in &sums {
                add(format_args!("{}", sum.value(row)))?;
            }
        }
    }
    Ok(digest.finish())
}

/// A column without a missing value.
fn numbers<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> anyhow::Result<&'a PrimitiveArray<T>> {
    let values = column(batch, name)?;
    anyhow::ensure!(values.null_count() == 0, "column {name} has nulls");
    values.as_primitive_opt::<T>().with_context(|| format!("column {name} is {}", values.data_type()))
}

fn write(rows: &RecordBatch, figures: Option<&Figures>) -> anyhow::Result<Bytes> {
    let figures = figures.map(serde_json::to_string).transpose()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("pixtoll".to_owned())
        .set_key_value_metadata(figures.map(|figures| vec![KeyValue::new(FIGURES_KEY.to_owned(), figures)]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    /// It stands in the inputs of every bill, so it is what it always was.
    #[test]
    fn the_digest_of_what_a_rollup_says() {
        let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from_iter(values)) as ArrayRef;
        let sum = |values: [i128; 2]| {
            let sums = Decimal128Array::from(values.to_vec()).with_precision_and_scale(38, 0).unwrap();
            Arc::new(sums) as ArrayRef
        };
        let hours = TimestampMillisecondArray::from(vec![3_600_000, 7_200_000]).with_timezone("UTC");
        let rows = RecordBatch::try_from_iter([
            ("customer_id", text([Some("acme"), Some("zeta")])),
            ("billing_hour", Arc::new(hours) as ArrayRef),
            ("region", text([Some("eu-1"), Some("eu-1")])),
            ("operation", text([Some("resize"), Some("crop")])),
            ("input_format", text([Some("jpeg"), None])),
            ("output_format", text([Some("webp"), None])),
            ("outcome", text([Some("done"), Some("corrupt_image")])),
            ("conversions", Arc::new(Int64Array::from(vec![2, 1])) as ArrayRef),
            ("input_bytes", sum([5, 6])),
            ("output_bytes", sum([7, 0])),
            ("input_pixels", sum([i128::from(u64::MAX), 0])),
            ("output_pixels", sum([9, 0])),
            ("cpu_micros", sum([10, 11])),
        ]);
        let figures = Figures { landed: 3, billable: 2, unbillable: 1, duplicates: 0, conflicts: 0 };
        let json = r#"{"landed":3,"billable":2,"unbillable":1,"duplicates":0,"conflicts":0}"#;
        let one = "+acme|+eu-1|+resize|+jpeg|+webp|+done|3600000|2|5|7|18446744073709551615|9|10";
        let other = "+zeta|+eu-1|+crop|-|-|+corrupt_image|7200000|1|6|0|0|0|11";
        let mut expected = Vec::new();
        for part in [json].into_iter().chain(one.split('|')).chain(other.split('|')) {
            expected.extend((part.len() as u64).to_be_bytes());
            expected.extend(part.as_bytes());
        }
        assert_eq!(quantities_digest(&figures, &[rows.unwrap()]).unwrap(), Digest::of(&expected));
    }
}
