//! SQL over landed rows, and typed columns of what it answers.

use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, Schema, TimestampMillisecondType};
use contract::{BrokerTime, RequestId};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

/// Rows and their schema, which also an empty table has.
pub(crate) type Table = (Arc<Schema>, Vec<RecordBatch>);

/// Tables by name, ready to be asked. Strings stay plain, so that what comes out has the types of what went in.
pub(crate) fn session(tables: Vec<(&str, Table)>) -> anyhow::Result<SessionContext> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(false));
    for (name, (schema, rows)) in tables {
        context.register_table(name, Arc::new(MemTable::try_new(schema, vec![rows])?))?;
    }
    Ok(context)
}

/// Runs one query.
pub(crate) async fn ask(context: &SessionContext, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
    Ok(context.sql(sql).await?.collect().await?)
}

/// The single number that a query answers.
pub(crate) async fn count(context: &SessionContext, sql: &str) -> anyhow::Result<i64> {
    let rows = ask(context, sql).await?;
    let batch = rows.iter().find(|batch| batch.num_rows() > 0).context("the query answered nothing")?;
    Row { batch, row: 0 }.int64("count")
}

/// One row, read by column names; a null where none may be is an error that names the column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) batch: &'a RecordBatch,
    pub(crate) row: usize,
}

pub(crate) fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = Row<'_>> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| Row { batch, row }))
}

impl<'a> Row<'a> {
    fn column(self, name: &str) -> anyhow::Result<&'a ArrayRef> {
        self.batch.column_by_name(name).with_context(|| format!("no column {name}"))
    }

    fn present(self, name: &str) -> anyhow::Result<&'a ArrayRef> {
        let column = self.column(name)?;
        anyhow::ensure!(!column.is_null(self.row), "column {name} is null in row {}", self.row);
        Ok(column)
    }

    pub(crate) fn text(self, name: &str) -> anyhow::Result<&'a str> {
        self.present(name)?;
        self.optional_text(name)?.with_context(|| format!("column {name} is null"))
    }

    pub(crate) fn optional_text(self, name: &str) -> anyhow::Result<Option<&'a str>> {
        let column = self.column(name)?;
        if column.is_null(self.row) {
            return Ok(None);
        }
        match column.data_type() {
            DataType::Utf8 => Ok(Some(column.as_string::<i32>().value(self.row))),
            DataType::Utf8View => Ok(Some(column.as_string_view().value(self.row))),
            other => anyhow::bail!("column {name} is {other}, not text"),
        }
    }

    /// None for a record that could not be read.
    pub(crate) fn request_id(self, name: &str) -> anyhow::Result<Option<RequestId>> {
        let column = self.column(name)?;
        if column.is_null(self.row) {
            return Ok(None);
        }
        let values = column.as_fixed_size_binary_opt().with_context(|| format!("column {name} is not binary"))?;
        let bytes = <[u8; 16]>::try_from(values.value(self.row))?;
        Ok(Some(RequestId::from_bytes(bytes)?))
    }

    pub(crate) fn int64(self, name: &str) -> anyhow::Result<i64> {
        let column = self.present(name)?;
        let values = column.as_primitive_opt::<Int64Type>().with_context(|| format!("column {name} is not Int64"))?;
        Ok(values.value(self.row))
    }

    pub(crate) fn decimal(self, name: &str) -> anyhow::Result<i128> {
        let column = self.present(name)?;
        let values = column.as_primitive_opt::<Decimal128Type>();
        Ok(values.with_context(|| format!("column {name} is not a decimal"))?.value(self.row))
    }

    pub(crate) fn time(self, name: &str) -> anyhow::Result<BrokerTime> {
        let column = self.present(name)?;
        let values = column.as_primitive_opt::<TimestampMillisecondType>();
        let millis = values.with_context(|| format!("column {name} is not a time"))?.value(self.row);
        Ok(BrokerTime::from_millis(millis))
    }
}
