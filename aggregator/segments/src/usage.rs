//! Usage events on their way into a segment, column by column, so that none is held in pieces of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, StringArray, StringBuilder, TimestampMillisecondArray,
};
use arrow::buffer::{Buffer, NullBuffer};
use contract::footer::QuantitySums;
use contract::ids::{Fingerprint, RequestId};
use contract::time::{Hour, IdHour};
use contract::usage::view::UsageView;

use crate::columns::Column;

#[derive(Debug, Default)]
pub(crate) struct UsageRows {
    /// Which record each is, among those that give a row.
    record: Vec<u32>,
    request_id: Vec<RequestId>,
    customer_id: Texts,
    fingerprint: Vec<Fingerprint>,
    /// Of those whose unit is not the hour of their id.
    out_of_range: BTreeMap<u32, Hour>,
    request_partition: Vec<i32>,
    request_offset: Vec<i64>,
    accepted_at: Vec<i64>,
    quantities: [Vec<i64>; 5],
    reason: Words,
    operation: Words,
    input_format: Words,
    output_format: Words,
    worker_class: Words,
    engine_version: Words,
    key_id: Words,
    region: Words,
    pub(crate) sums: QuantitySums,
}

/// Names of which most differ.
#[derive(Debug, Default)]
struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[at]]
    }
}

/// Words of which there are few. A missing one is the number `NONE`.
#[derive(Debug, Default)]
struct Words {
    texts: Vec<String>,
    numbers: BTreeMap<String, u32>,
    rows: Vec<u32>,
    last: u32,
}

const NONE: u32 = u32::MAX;

impl Words {
    fn push(&mut self, word: Option<&str>) {
        let number = word.map_or(NONE, |word| self.number(word));
        self.rows.push(number);
    }

    fn number(&mut self, word: &str) -> u32 {
        if self.texts.get(self.last as usize).is_none_or(|last| last != word) {
            self.last = self.numbers.get(word).copied().unwrap_or_else(|| {
                // As many as rows, which are counted by an u32.
                let number = u32::try_from(self.texts.len()).unwrap_or(NONE);
                self.texts.push(word.to_owned());
                self.numbers.insert(word.to_owned(), number);
                number
            });
        }
        self.last
    }

    fn get(&self, row: usize) -> Option<&str> {
        self.texts.get(self.rows[row] as usize).map(String::as_str)
    }
}

/// The rows in their order, and how many there are of each unit.
pub(crate) struct Sorted {
    rows: Vec<usize>,
    units: Vec<(IdHour, usize)>,
}

impl Sorted {
    pub(crate) fn rows_per_id_hour(&self) -> BTreeMap<IdHour, u64> {
        self.units.iter().map(|(unit, rows)| (*unit, *rows as u64)).collect()
    }
}

impl UsageRows {
    /// `record` counts those that give a row.
    pub(crate) fn push(&mut self, record: u32, event: &UsageView<'_>) {
        if let IdHour::OutOfRange(hour) = event.id_hour() {
            self.out_of_range.insert(u32::try_from(self.record.len()).unwrap_or(NONE), hour);
        }
        self.sums.add(event);
        self.record.push(record);
        self.request_id.push(event.request_id);
        self.customer_id.push(event.customer_id);
        self.fingerprint.push(event.fingerprint);
        self.request_partition.push(event.request.partition);
        self.request_offset.push(event.request.offset);
        self.accepted_at.push(event.accepted_at.as_millis());
        for (column, quantity) in self.quantities.iter_mut().zip(event.quantities()) {
            column.push(quantity);
        }
        self.reason.push(event.rejected.as_deref());
        self.operation.push(Some(event.operation));
        self.input_format.push(event.input_format);
        self.output_format.push(event.output_format);
        self.worker_class.push(Some(event.worker_class));
        self.engine_version.push(Some(event.engine_version));
        self.key_id.push(event.key_id);
        self.region.push(Some(event.region));
    }

    /// By (unit, request id, customer, fingerprint, offset).
    pub(crate) fn sort(&self) -> Sorted {
        let mut keys: Vec<(Option<Hour>, u128, u32)> = (0..)
            .zip(&self.request_id)
            .map(|(row, id)| (self.out_of_range.get(&row).copied(), u128::from_be_bytes(*id.as_bytes()), row))
            .collect();
        keys.sort_unstable_by(|a, b| {
            let of_one_id = || {
                let (a, b) = (a.2 as usize, b.2 as usize);
                (self.customer_id.get(a), self.fingerprint[a], a).cmp(&(
                    self.customer_id.get(b),
                    self.fingerprint[b],
                    b,
                ))
            };
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(of_one_id)
        });
        let rows: Vec<usize> = keys.iter().map(|(_, _, row)| *row as usize).collect();
        let mut units: Vec<(IdHour, usize)> = Vec::new();
        for ((hour, _, _), row) in keys.iter().zip(&rows) {
            let unit = hour.map_or_else(|| IdHour::of(&self.request_id[*row]), IdHour::OutOfRange);
            match units.last_mut() {
                Some((last, count)) if *last == unit => *count += 1,
                _ => units.push((unit, 1)),
            }
        }
        Sorted { rows, units }
    }

    /// Where the rows' offsets and times stand among all records', the `quarantined` last.
    pub(crate) fn records(&self, sorted: &Sorted, quarantined: impl Iterator<Item = u32>) -> Vec<u32> {
        sorted.rows.iter().map(|row| self.record[*row]).chain(quarantined).collect()
    }

    /// The columns, with `quarantined` rows of nulls at the end.
    pub(crate) fn columns(&self, sorted: &Sorted, quarantined: usize) -> Vec<Column> {
        let gather = Gather { rows: &sorted.rows, quarantined };
        let [input_bytes, output_bytes, input_pixels, output_pixels, cpu_micros] = &self.quantities;
        vec![
            ("request_id", gather.fixed(|row| self.request_id[row].as_bytes())),
            ("customer_id", gather.text(|row| Some(self.customer_id.get(row)))),
            ("fingerprint", gather.fixed(|row| self.fingerprint[row].as_bytes())),
            ("id_hour", gather.units(&sorted.units)),
            ("request_partition", gather.int32(&self.request_partition)),
            ("request_offset", gather.int64(&self.request_offset)),
            ("accepted_at", gather.time(&self.accepted_at)),
            ("outcome", gather.text(|row| Some(if self.reason.rows[row] == NONE { "done" } else { "rejected" }))),
            ("reason", gather.text(|row| self.reason.get(row))),
            ("input_bytes", gather.int64(input_bytes)),
            ("output_bytes", gather.int64(output_bytes)),
            ("input_pixels", gather.int64(input_pixels)),
            ("output_pixels", gather.int64(output_pixels)),
            ("cpu_micros", gather.int64(cpu_micros)),
            ("operation", gather.text(|row| self.operation.get(row))),
            ("input_format", gather.text(|row| self.input_format.get(row))),
            ("output_format", gather.text(|row| self.output_format.get(row))),
            ("worker_class", gather.text(|row| self.worker_class.get(row))),
            ("engine_version", gather.text(|row| self.engine_version.get(row))),
            ("key_id", gather.text(|row| self.key_id.get(row))),
            ("region", gather.text(|row| self.region.get(row))),
        ]
    }
}

/// Makes columns of rows in their order.
struct Gather<'a> {
    rows: &'a [usize],
    quarantined: usize,
}

impl Gather<'_> {
    fn nulls(&self) -> Option<NullBuffer> {
        let there = self.rows.len();
        (self.quarantined > 0).then(|| (0..there + self.quarantined).map(|row| row < there).collect())
    }

    fn values<T: Copy + Default>(&self, column: &[T]) -> Vec<T> {
        self.rows.iter().map(|row| column[*row]).chain((0..self.quarantined).map(|_| T::default())).collect()
    }

    fn int32(&self, column: &[i32]) -> ArrayRef {
        Arc::new(Int32Array::new(self.values(column).into(), self.nulls()))
    }

    fn int64(&self, column: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::new(self.values(column).into(), self.nulls()))
    }

    fn time(&self, column: &[i64]) -> ArrayRef {
        Arc::new(TimestampMillisecondArray::new(self.values(column).into(), self.nulls()).with_timezone("UTC"))
    }

    fn fixed<'b>(&self, value: impl Fn(usize) -> &'b [u8; 16]) -> ArrayRef {
        let mut bytes = Vec::with_capacity((self.rows.len() + self.quarantined) * 16);
        self.rows.iter().for_each(|row| bytes.extend_from_slice(value(*row)));
        bytes.resize(bytes.len() + self.quarantined * 16, 0);
        Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), self.nulls()))
    }

    fn text<'b>(&self, value: impl Fn(usize) -> Option<&'b str>) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.rows.len() + self.quarantined, self.rows.len() * 8);
        self.rows.iter().for_each(|row| builder.append_option(value(*row)));
        (0..self.quarantined).for_each(|_| builder.append_null());
        Arc::new(builder.finish())
    }

    fn units(&self, units: &[(IdHour, usize)]) -> ArrayRef {
        let texts: Vec<(String, usize)> = units.iter().map(|(unit, rows)| (unit.to_string(), *rows)).collect();
        let there = texts.iter().flat_map(|(text, rows)| std::iter::repeat_n(Some(text.as_str()), *rows));
        Arc::new(there.chain(std::iter::repeat_n(None, self.quarantined)).collect::<StringArray>())
    }
}
