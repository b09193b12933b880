//! The landed events of one id-hour, as the leaf of a plan. What it gives out was read from bytes whose digest is that of
//! the segment in the chain: what is rolled up is exactly what was hashed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use contract::IdHour;
use contract::layout::Topic;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use segments::{Segment, rows_of_id_hours};

use super::verified::Verified;

/// What the rows of an id-hour are read from.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) id_hour: IdHour,
    /// In the order of epoch, partition and offset, each with the final run that fixed what it holds (see [`super::pins`]).
    pub(super) segments: Vec<(Segment, i64)>,
    pub(super) bytes: Arc<Verified>,
}

impl Unit {
    pub(super) fn rows(&self) -> u64 {
        self.segments.iter().filter_map(|(segment, _)| segment.footer.rows_per_id_hour.get(&self.id_hour)).sum()
    }
}

/// Reads some columns of a unit.
#[derive(Debug, Clone)]
pub(super) struct UnitExec {
    unit: Arc<Unit>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

/// Where each row stands in the log, beside its offset; and who fixed it.
const PLACE: [&str; 3] = ["epoch", "partition", "pinned_by"];

impl UnitExec {
    /// `columns` of the landed ones, and with them, if more than the key is asked for, the row's place.
    pub(super) fn new(unit: Arc<Unit>, columns: &[&str]) -> Result<Self> {
        let unknown = || DataFusionError::Internal("usage events are not landed".to_owned());
        let landed = segments::schema(Topic::Usage).ok_or_else(unknown)?;
        let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let wanted = landed.fields().iter().filter(|field| columns.contains(&field.name().as_str()));
        let mut fields: Vec<Arc<Field>> = wanted
            .map(|field| match field.data_type() {
                DataType::Utf8 => Arc::new(Field::new(field.name(), words.clone(), true)),
                _ => Arc::clone(field),
            })
            .collect();
        if fields.len() > 1 {
            fields.extend(PLACE.map(|name| Arc::new(Field::new(name, DataType::Int64, false))));
        }
        let schema = Arc::new(Schema::new(fields));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self { unit, schema, properties: Arc::new(properties) })
    }

    fn decode(
        &self,
        (segment, pinned_by): &(Segment, i64),
        bytes: &Bytes,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let rows = rows_of_id_hours(segment, bytes, &BTreeSet::from([self.unit.id_hour]), &names).map_err(external)?;
        let place = [i64::from(segment.footer.epoch), i64::from(segment.footer.partition), *pinned_by];
        let schema = Arc::clone(&self.schema);
        Ok(rows.map(move |batch| {
            let batch = batch.map_err(external)?;
            let mut columns = batch.columns().to_vec();
            if columns.len() < schema.fields().len() {
                columns
                    .extend(place.map(|value| Arc::new(Int64Array::from_value(value, batch.num_rows())) as ArrayRef));
            }
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        }))
    }
}

pub(super) fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl DisplayAs for UnitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitExec: {} from {} segments", self.unit.id_hour, self.unit.segments.len())
    }
}

impl ExecutionPlan for UnitExec {
    fn name(&self) -> &'static str {
        "UnitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    /// The segments one after the other.
    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let plan = Arc::new(self.clone());
        let batches = stream::iter(0..self.unit.segments.len()).then(move |n| {
            let plan = Arc::clone(&plan);
            async move {
                let landed = &plan.unit.segments[n];
                let bytes = plan.unit.bytes.read(&landed.0).await.map_err(external)?;
                Ok::<_, DataFusionError>(stream::iter(plan.decode(landed, &bytes)?))
            }
        });
        let schema = Arc::clone(&self.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.try_flatten())))
    }
}
