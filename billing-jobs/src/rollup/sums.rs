//! Adding up what counts, per customer, billing hour and all that a price may depend on.
//!
//! Words are numbered as they come, so that a row's group is found by three small numbers. Sums are wider than what is
//! summed: an i128 holds 2^64 times the largest event, more than there can be.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{
    Array, ArrayRef, AsArray as _, Decimal128Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt8Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMillisecondType};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashMap;

use super::dedup::{DUPLICATE, column};

const LABELS: [&str; 5] = ["region", "operation", "input_format", "output_format", "outcome"];
const QUANTITIES: [&str; 5] = ["input_bytes", "output_bytes", "input_pixels", "output_pixels", "cpu_micros"];
/// The columns that are read of each event to be added up.
pub(super) const COLUMNS: [&str; 12] = [
    "customer_id",
    "accepted_at",
    "region",
    "operation",
    "input_format",
    "output_format",
    "outcome",
    "input_bytes",
    "output_bytes",
    "input_pixels",
    "output_pixels",
    "cpu_micros",
];
const HOUR_MS: i64 = 3_600_000;
/// A group's key and sums, and the table's room for it.
const GROUP_BYTES: usize = 2 * size_of::<(Key, Sum)>();

/// Customer and labels by their numbers, and the billing hour, counted from 1970.
type Key = (u32, u32, i64);

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    conversions: i64,
    quantities: [i128; 5],
}

pub(super) struct Sums {
    customers: Words,
    labels: [Words; 5],
    /// Each combination of labels that was met, by the numbers of its words.
    combinations: HashMap<[u32; 5], u32>,
    groups: HashMap<Key, Sum>,
    memory: MemoryReservation,
}

/// Words by number. A missing one has a number, too.
#[derive(Default)]
struct Words {
    texts: Vec<Option<String>>,
    numbers: HashMap<Option<String>, u32>,
    /// The dictionary that was met last, and the number of each of its words, found when first needed.
    last: Option<(ArrayRef, Vec<Option<u32>>)>,
}

impl Words {
    fn number(&mut self, word: Option<&str>) -> Result<u32> {
        let word = word.map(str::to_owned);
        if let Some(number) = self.numbers.get(&word) {
            return Ok(*number);
        }
        let number = u32::try_from(self.texts.len()).context("too many different words")?;
        self.texts.push(word.clone());
        self.numbers.insert(word, number);
        Ok(number)
    }

    /// The number of the word in each row.
    fn numbers(&mut self, column: &ArrayRef) -> Result<Vec<u32>> {
        let rows = column.as_dictionary_opt::<Int32Type>().context("a column of words is no dictionary")?;
        let words = rows.values();
        let mut known = match self.last.take() {
            Some((last, known)) if Arc::ptr_eq(&last, words) => known,
            _ => vec![None; words.len()],
        };
        let strings = words.as_string_opt::<i32>().context("a dictionary of something else than words")?;
        let mut numbers = Vec::with_capacity(rows.len());
        for key in rows.keys() {
            numbers.push(match key.and_then(|key| usize::try_from(key).ok()) {
                None => self.number(None)?,
                Some(key) => match known.get(key).copied().flatten() {
                    Some(number) => number,
                    None => *known[key].insert(self.number(Some(strings.value(key)))?),
                },
            });
        }
        self.last = Some((Arc::clone(words), known));
        Ok(numbers)
    }
}

impl Sums {
    pub(super) fn new(memory: MemoryReservation) -> Self {
        Self {
            customers: Words::default(),
            labels: Default::default(),
            combinations: HashMap::new(),
            groups: HashMap::new(),
            memory,
        }
    }

    /// Adds the events that are no duplicates.
    pub(super) fn add(&mut self, batch: &RecordBatch, standings: &UInt8Array) -> Result<()> {
        for name in ["customer_id", "region", "operation", "outcome"] {
            present(batch, name)?;
        }
        let customers = self.customers.numbers(column(batch, "customer_id")?)?;
        let mut labels: [Vec<u32>; 5] = Default::default();
        for ((numbers, words), name) in labels.iter_mut().zip(&mut self.labels).zip(LABELS) {
            *numbers = words.numbers(column(batch, name)?)?;
        }
        let accepted_at: &PrimitiveArray<TimestampMillisecondType> = present(batch, "accepted_at")?.as_primitive();
        let mut quantities: [&[i64]; 5] = Default::default();
        for (values, name) in quantities.iter_mut().zip(QUANTITIES) {
            *values = present(batch, name)?.as_primitive::<Int64Type>().values();
        }
        let mut last = ([u32::MAX; 5], 0);
        for row in 0..batch.num_rows() {
            if standings.value(row) == DUPLICATE {
                continue;
            }
            let combination = [0, 1, 2, 3, 4].map(|label: usize| labels[label][row]);
            if last.0 != combination {
                let next = u32::try_from(self.combinations.len()).context("too many combinations of labels")?;
                last = (combination, *self.combinations.entry(combination).or_insert(next));
            }
            let key = (customers[row], last.1, accepted_at.value(row).div_euclid(HOUR_MS));
            let sum = self.groups.entry(key).or_default();
            sum.conversions = sum.conversions.checked_add(1).context("too many conversions")?;
            for (sum, values) in sum.quantities.iter_mut().zip(&quantities) {
                *sum += i128::from(values[row]);
            }
        }
        let needed = self.groups.capacity() * GROUP_BYTES;
        self.memory.try_resize(needed).context("more groups of an id-hour than memory; pass a larger --memory-mib")
    }

    /// How many of those that were added are done.
    pub(super) fn done(&self) -> Result<u64> {
        let is_done = |number: u32| self.labels[4].texts[number as usize].as_deref() == Some("done");
        let done: BTreeSet<u32> =
            self.combinations.iter().filter(|(labels, _)| is_done(labels[4])).map(|(_, number)| *number).collect();
        let conversions = self.groups.iter().filter(|(key, _)| done.contains(&key.1)).map(|(_, sum)| sum.conversions);
        Ok(u64::try_from(conversions.sum::<i64>())?)
    }

    /// One row per group, by customer, hour and labels; a missing label last.
    pub(super) fn rows(&self) -> Result<RecordBatch> {
        let mut combinations = vec![[0; 5]; self.combinations.len()];
        for (combination, number) in &self.combinations {
            combinations[*number as usize] = *combination;
        }
        let mut groups: Vec<(&Key, &Sum)> = self.groups.iter().collect();
        let customer = |key: &Key| self.customers.texts[key.0 as usize].as_deref();
        let label = |key: &Key, n: usize| self.labels[n].texts[combinations[key.1 as usize][n] as usize].as_deref();
        groups.sort_unstable_by(|(a, _), (b, _)| {
            let hours = (customer(a), a.2).cmp(&(customer(b), b.2));
            (0..5).fold(hours, |order, n| order.then_with(|| missing_last(label(a, n), label(b, n))))
        });
        let texts = |get: &dyn Fn(&Key) -> Option<String>| -> ArrayRef {
            Arc::new(groups.iter().map(|(key, _)| get(key)).collect::<StringArray>())
        };
        let hours = groups.iter().map(|(key, _)| key.2.checked_mul(HOUR_MS));
        let hours = hours.collect::<TimestampMillisecondArray>().with_timezone("UTC");
        let mut columns = vec![
            ("customer_id", texts(&|key| customer(key).map(str::to_owned)), true),
            ("billing_hour", Arc::new(hours) as ArrayRef, true),
        ];
        for (n, name) in LABELS.into_iter().enumerate() {
            columns.push((name, texts(&|key| label(key, n).map(str::to_owned)), true));
        }
        let conversions: Int64Array = groups.iter().map(|(_, sum)| sum.conversions).collect::<Vec<_>>().into();
        columns.push(("conversions", Arc::new(conversions), false));
        for (n, name) in QUANTITIES.into_iter().enumerate() {
            let sums: Vec<i128> = groups.iter().map(|(_, sum)| sum.quantities[n]).collect();
            columns.push((name, Arc::new(Decimal128Array::from(sums).with_precision_and_scale(38, 0)?), true));
        }
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }
}

fn missing_last(a: Option<&str>, b: Option<&str>) -> Ordering {
    (a.is_none(), a).cmp(&(b.is_none(), b))
}

/// A column without a missing value, of the type that is expected of it; an error that names the row.
fn present<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let values = column(batch, name)?;
    if let Some(row) = (0..values.len()).find(|row| values.null_count() > 0 && values.is_null(*row)) {
        let offset = cast(column(batch, "offset")?, &DataType::Int64)?;
        bail!("column {name} is null in the event at offset {}", offset.as_primitive::<Int64Type>().value(row));
    }
    let fits = match name {
        "accepted_at" => matches!(values.data_type(), DataType::Timestamp(..)),
        name if QUANTITIES.contains(&name) => *values.data_type() == DataType::Int64,
        _ => true,
    };
    ensure!(fits, "column {name} is {}", values.data_type());
    Ok(values)
}
