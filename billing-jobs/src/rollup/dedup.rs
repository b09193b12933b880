//! Exact deduplication as an operator: filter, then verify.
//!
//! ```text
//!   keys   ─ pass 1 ─▶ a filter of all ids; those that may have been in it before go into a second, small one
//!   events ─ pass 2 ─▶ not in the second filter: the only event of its id, handed on at once
//!                      in it: kept until the end, sorted, and each conversion's winner chosen
//! ```
//!
//! A filter can take a stranger for somebody it knows, never the other way round: so what is handed on at once is alone
//! for certain, and a false alarm costs a place among the few that are sorted. Nothing is forgotten after a while, and no
//! answer depends on the order of the input, the number of `parts` or the size of a filter.
//!
//! Of the events of one conversion the winner is: done before rejected, then the one that the earliest final run has
//! fixed, then the earliest `accepted_at`, then the lowest (epoch, partition, offset).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch, StringArray, UInt8Array, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMillisecondType};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt as _;
use tokio::sync::mpsc::Sender;

use super::filter::{Filter, hash};

/// What an event is among those of its request id; the last column of the output.
pub(super) const STANDING: &str = "standing";
/// The only event of its request id.
pub(super) const ALONE: u8 = 0;
/// It counts, and is not alone: it has duplicates, or its id was used for another body.
pub(super) const WINNER: u8 = 1;
pub(super) const DUPLICATE: u8 = 2;

/// Room in the first filter for each event, and in the second, which few get into.
const BITS_PER_EVENT: usize = 16;
const BITS_PER_EVENT_AGAIN: usize = 4;
/// What a kept event takes, twice while all are put together.
const KEPT_BYTES: usize = 2 * 224;
/// Batches under way to whom adds them up.
const AHEAD: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct DedupExec {
    /// Gives the request ids alone.
    keys: Arc<dyn ExecutionPlan>,
    events: Arc<dyn ExecutionPlan>,
    /// How many there are.
    rows: usize,
    /// The work is done in so many turns, each over a part of the ids, to hold less in memory.
    parts: u64,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DedupExec {
    pub(super) fn new(keys: Arc<dyn ExecutionPlan>, events: Arc<dyn ExecutionPlan>, rows: usize, parts: u64) -> Self {
        let mut fields: Vec<Arc<Field>> = events.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(STANDING, DataType::UInt8, false)));
        let schema = Arc::new(Schema::new(fields));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Both,
            Boundedness::Bounded,
        );
        Self { keys, events, rows, parts, schema, properties: Arc::new(properties) }
    }

    async fn run(self, context: Arc<TaskContext>, out: Sender<Result<RecordBatch>>) -> Result<()> {
        let memory = MemoryConsumer::new("DedupExec").register(context.memory_pool());
        let per_part = self.rows.div_ceil(usize::try_from(self.parts).unwrap_or(usize::MAX));
        let (once, twice) = (per_part * BITS_PER_EVENT, per_part * BITS_PER_EVENT_AGAIN);
        for part in 0..self.parts {
            let mine = |hash: u64| self.parts == 1 || hash.rotate_left(24) % self.parts == part;
            memory.try_resize(Filter::bytes(once) + Filter::bytes(twice))?;
            let mut again = Filter::new(twice);
            {
                let mut seen = Filter::new(once);
                let mut keys = self.keys.execute(0, Arc::clone(&context))?;
                while let Some(batch) = keys.next().await {
                    for hash in hashes(&batch?)?.into_iter().filter(|hash| mine(*hash)) {
                        if seen.add(hash) {
                            again.add(hash);
                        }
                    }
                }
            }
            memory.shrink(Filter::bytes(once));
            let mut kept = Vec::new();
            let mut events = self.events.execute(0, Arc::clone(&context))?;
            while let Some(batch) = events.next().await {
                let batch = batch?;
                let hashes = hashes(&batch)?;
                let held = |n: usize| again.may_hold(hashes[n]);
                let alone = mask(hashes.len(), |n| mine(hashes[n]) && !held(n));
                let several = mask(hashes.len(), |n| mine(hashes[n]) && held(n));
                if several.true_count() > 0 {
                    memory.try_grow(several.true_count() * KEPT_BYTES)?;
                    kept.push(filter_record_batch(&batch, &several)?);
                }
                if alone.true_count() > 0 {
                    let batch = filter_record_batch(&batch, &alone)?;
                    let standing = UInt8Array::from_value(ALONE, batch.num_rows());
                    if !self.send(&out, &batch, standing).await? {
                        return Ok(());
                    }
                }
            }
            let (batch, standing) = judge(&self.events.schema(), &kept)?;
            if batch.num_rows() > 0 && !self.send(&out, &batch, standing).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// `false` if nobody listens any more.
    async fn send(&self, out: &Sender<Result<RecordBatch>>, batch: &RecordBatch, standing: UInt8Array) -> Result<bool> {
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(standing));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(out.send(Ok(batch)).await.is_ok())
    }
}

fn mask(rows: usize, is_set: impl FnMut(usize) -> bool) -> BooleanArray {
    BooleanArray::new(BooleanBuffer::collect_bool(rows, is_set), None)
}

fn hashes(batch: &RecordBatch) -> Result<Vec<u64>> {
    let ids = column(batch, "request_id")?.as_fixed_size_binary();
    ids.iter().map(|id| Ok(hash(key(id.ok_or_else(|| null("request_id"))?)?))).collect()
}

fn key(bytes: &[u8]) -> Result<[u8; 16]> {
    bytes.try_into().map_err(|_| DataFusionError::Internal(format!("a key of {} bytes", bytes.len())))
}

fn null(column: &str) -> DataFusionError {
    DataFusionError::Execution(format!("column {column} is null in an event that could be read"))
}

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("no column {name}")))
}

/// What decides among the events that were kept.
struct Contest<'a> {
    customers: &'a StringArray,
    ids: Vec<[u8; 16]>,
    bodies: Vec<[u8; 16]>,
    done: Vec<bool>,
    accepted_at: &'a [i64],
    pinned_by: &'a [i64],
    place: [&'a [i64]; 3],
}

impl Contest<'_> {
    fn request(&self, n: usize) -> (&str, [u8; 16]) {
        (self.customers.value(n), self.ids[n])
    }

    /// By conversion, and within one the winner first.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        let rank = |n: usize| (!self.done[n], self.pinned_by[n], self.accepted_at[n], self.place.map(|part| part[n]));
        let conversion = |n: usize| (self.request(n), self.bodies[n]);
        conversion(a).cmp(&conversion(b)).then_with(|| rank(a).cmp(&rank(b)))
    }
}

/// The events that may not be alone, by conversion and rank, and what each is.
fn judge(schema: &SchemaRef, kept: &[RecordBatch]) -> Result<(RecordBatch, UInt8Array)> {
    let all = concat_batches(schema, kept)?;
    let text = |name| cast(column(&all, name)?, &DataType::Utf8).map_err(DataFusionError::from);
    let whole = |name: &str| -> Result<Vec<[u8; 16]>> {
        let values = column(&all, name)?.as_fixed_size_binary();
        values.iter().map(|value| key(value.ok_or_else(|| null(name))?)).collect()
    };
    let number = |name| -> Result<&[i64]> { Ok(column(&all, name)?.as_primitive::<Int64Type>().values()) };
    let (customers, outcomes) = (text("customer_id")?, text("outcome")?);
    for name in ["customer_id", "outcome", "accepted_at", "offset"] {
        if column(&all, name)?.null_count() > 0 {
            return Err(null(name));
        }
    }
    let contest = Contest {
        customers: customers.as_string(),
        ids: whole("request_id")?,
        bodies: whole("fingerprint")?,
        done: outcomes.as_string::<i32>().iter().map(|outcome| outcome == Some("done")).collect(),
        accepted_at: column(&all, "accepted_at")?.as_primitive::<TimestampMillisecondType>().values(),
        pinned_by: number("pinned_by")?,
        place: [number("epoch")?, number("partition")?, number("offset")?],
    };
    let mut order: Vec<usize> = (0..all.num_rows()).collect();
    order.sort_unstable_by(|a, b| contest.compare(*a, *b));
    let mut standings = Vec::with_capacity(order.len());
    for request in order.chunk_by(|a, b| contest.request(*a) == contest.request(*b)) {
        for (n, event) in request.iter().enumerate() {
            let first_of_body = n == 0 || contest.bodies[request[n - 1]] != contest.bodies[*event];
            standings.push(match (request.len(), first_of_body) {
                (1, _) => ALONE,
                (_, true) => WINNER,
                (_, false) => DUPLICATE,
            });
        }
    }
    let too_many = |_| DataFusionError::ResourcesExhausted("too many events for one turn".to_owned());
    let order: Vec<u32> = order.into_iter().map(u32::try_from).collect::<Result<_, _>>().map_err(too_many)?;
    Ok((take_record_batch(&all, &UInt32Array::from(order))?, standings.into()))
}

impl DisplayAs for DedupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupExec: {} events in {} parts", self.rows, self.parts)
    }
}

impl ExecutionPlan for DedupExec {
    fn name(&self) -> &'static str {
        "DedupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.keys, &self.events]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [keys, events] = children.as_slice() else {
            return Err(DataFusionError::Internal("DedupExec has two children".to_owned()));
        };
        Ok(Arc::new(Self::new(Arc::clone(keys), Arc::clone(events), self.rows, self.parts)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut out = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), AHEAD);
        let run = self.clone().run(context, out.tx());
        out.spawn(run);
        Ok(out.build())
    }
}
