//! The Parquet view of a month's bills: one row per line, amounts as exact decimal text.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rating::{Bill, Line};

type Column = (&'static str, fn(&Bill, &Line) -> Option<String>);

const COLUMNS: [Column; 15] = [
    ("customer_id", |bill, _| Some(bill.customer_id.to_string())),
    ("month", |bill, _| Some(bill.month.to_string())),
    ("plan", |bill, _| Some(bill.plan.to_string())),
    ("currency", |bill, _| Some(bill.currency.to_string())),
    ("charge", |_, line| Some(line.charge.to_string())),
    ("model", |_, line| Some(line.model.to_string())),
    ("meter", |_, line| line.usage.as_ref().map(|usage| usage.meter.to_string())),
    ("tier", |_, line| line.tier.as_ref().map(|tier| tier.number.to_string())),
    ("quantity", |_, line| Some(line.quantity.to_string())),
    ("unit", |_, line| serde_json::to_value(line.unit).ok()?.as_str().map(str::to_owned)),
    ("unit_price", |_, line| Some(line.unit_price.to_string())),
    ("discount_percent", |_, line| line.discount.as_ref().map(|discount| discount.percent.to_string())),
    ("tax", |_, line| line.tax.as_ref().map(ToString::to_string)),
    ("exact", |_, line| Some(line.exact.to_string())),
    ("amount", |_, line| Some(line.amount.to_string())),
];

pub(crate) fn bills(bills: &[Bill]) -> anyhow::Result<Bytes> {
    let lines: Vec<(&Bill, &Line)> =
        bills.iter().flat_map(|bill| bill.lines.iter().map(move |line| (bill, line))).collect();
    let columns = COLUMNS.map(|(name, value)| {
        let values: StringArray = lines.iter().map(|(bill, line)| value(bill, line)).collect();
        (name, Arc::new(values) as ArrayRef, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("pixtoll".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}
