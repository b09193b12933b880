//! A month's usage per customer, added up from rollups.

use std::collections::BTreeMap;

use contract::{CustomerId, Month};
use rating::{MonthUsage, Outcome, Quantities, Quantity, UsageGroup};

use crate::query::{Row, rows};
use crate::rollup::Rollup;

/// Only hours of the month count: an id-hour at its edge also has conversions of the month beside it.
pub(crate) fn month_usage(rollups: &[Rollup], month: Month) -> anyhow::Result<BTreeMap<CustomerId, MonthUsage>> {
    let mut customers: BTreeMap<CustomerId, MonthUsage> = BTreeMap::new();
    for row in rollups.iter().flat_map(|rollup| rows(&rollup.rows)) {
        if month.contains(row.time("billing_hour")?) {
            let customer_id: CustomerId = row.text("customer_id")?.parse()?;
            let usage = customers.entry(customer_id.clone()).or_insert_with(|| MonthUsage::new(customer_id, month));
            usage.add(group(row)?, &quantities(row)?)?;
        }
    }
    Ok(customers)
}

fn group(row: Row<'_>) -> anyhow::Result<UsageGroup> {
    Ok(UsageGroup {
        region: row.text("region")?.parse()?,
        operation: row.text("operation")?.parse()?,
        input_format: row.optional_text("input_format")?.map(str::parse).transpose()?,
        output_format: row.optional_text("output_format")?.map(str::parse).transpose()?,
        outcome: match row.text("outcome")? {
            "done" => Outcome::Done,
            "rejected" => Outcome::Rejected,
            other => anyhow::bail!("outcome {other:?} is neither done nor rejected"),
        },
    })
}

fn quantities(row: Row<'_>) -> anyhow::Result<Quantities> {
    let sum = |name| -> anyhow::Result<Quantity> { Ok(Quantity::new(row.decimal(name)?)?) };
    Ok(Quantities {
        conversions: Quantity::new(row.int64("conversions")?.into())?,
        cpu_micros: sum("cpu_micros")?,
        input_bytes: sum("input_bytes")?,
        output_bytes: sum("output_bytes")?,
        input_pixels: sum("input_pixels")?,
        output_pixels: sum("output_pixels")?,
    })
}
