//! A customer's month: exact, deduplicated quantities by group. The input of rating.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use contract::ids::{CustomerId, Digest, Label, Region};
use contract::time::Month;
use serde::{Deserialize, Serialize, Serializer};

use crate::quantity::{Overflow, Quantity};

/// What one group, or one conversion, used. Its fields stand in the order of canonical JSON, as in all that is hashed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantities {
    pub conversions: Quantity,
    pub cpu_micros: Quantity,
    pub input_bytes: Quantity,
    pub input_pixels: Quantity,
    pub output_bytes: Quantity,
    pub output_pixels: Quantity,
}

impl Quantities {
    /// One conversion.
    pub fn of(usage: &contract::usage::Usage) -> Self {
        Self {
            conversions: Quantity::ONE,
            cpu_micros: usage.cpu_micros.into(),
            input_bytes: usage.input_bytes.into(),
            output_bytes: usage.output_bytes.into(),
            input_pixels: usage.input_pixels.into(),
            output_pixels: usage.output_pixels.into(),
        }
    }

    pub fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self {
            conversions: self.conversions.plus(other.conversions, "conversions")?,
            cpu_micros: self.cpu_micros.plus(other.cpu_micros, "cpu_micros")?,
            input_bytes: self.input_bytes.plus(other.input_bytes, "input_bytes")?,
            output_bytes: self.output_bytes.plus(other.output_bytes, "output_bytes")?,
            input_pixels: self.input_pixels.plus(other.input_pixels, "input_pixels")?,
            output_pixels: self.output_pixels.plus(other.output_pixels, "output_pixels")?,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Rejected,
}

/// What a price may depend on. Ordered by region, operation, input format, output format, outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageGroup {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_format: Option<Label>,
    pub operation: Label,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<Label>,
    pub region: Region,
}

impl Ord for UsageGroup {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(group: &UsageGroup) -> impl Ord {
            (&group.region, &group.operation, &group.input_format, &group.output_format, group.outcome)
        }
        key(self).cmp(&key(other))
    }
}
impl PartialOrd for UsageGroup {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl UsageGroup {
    /// Rejected conversions are recorded, not billed.
    pub fn is_billable(&self) -> bool {
        self.outcome == Outcome::Done
    }
}

/// In JSON its groups are a list, in the order of [`UsageGroup`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Stored<CustomerId, UsageGroup, Quantities>")]
pub struct MonthUsage {
    pub customer_id: CustomerId,
    pub month: Month,
    pub groups: BTreeMap<UsageGroup, Quantities>,
}

impl MonthUsage {
    pub fn new(customer_id: CustomerId, month: Month) -> Self {
        Self { customer_id, month, groups: BTreeMap::new() }
    }

    /// Adds to what the group has.
    pub fn add(&mut self, group: UsageGroup, quantities: &Quantities) -> Result<(), Overflow> {
        let sum = self.groups.entry(group).or_default();
        *sum = sum.plus(quantities)?;
        Ok(())
    }

    /// The sum of all billable groups.
    pub fn billable(&self) -> Result<Quantities, Overflow> {
        self.groups
            .iter()
            .filter(|(group, _)| group.is_billable())
            .try_fold(Quantities::default(), |sum, (_, quantities)| sum.plus(quantities))
    }

    /// The sha256 of this month's canonical JSON (RFC 8785): what a bill names as its input.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Written::new(self)?.digest(|_| true))
    }
}

impl Serialize for MonthUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = |(group, quantities)| Row { group, quantities };
        let groups = self.groups.iter().map(row).collect();
        Stored { customer_id: &self.customer_id, groups, month: self.month }.serialize(serializer)
    }
}

/// A month's canonical JSON in pieces, so that the digest of any part of it is made without writing it again.
pub(crate) struct Written {
    head: Vec<u8>,
    /// In the order of the groups, one after the other.
    rows: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    tail: Vec<u8>,
}

impl Written {
    pub(crate) fn new(usage: &MonthUsage) -> Result<Self, serde_json::Error> {
        /// More than most rows take.
        const ROW_BYTES: usize = 384;
        let mut rows = Vec::with_capacity(usage.groups.len().saturating_mul(ROW_BYTES));
        let mut ends = Vec::with_capacity(usage.groups.len());
        for (group, quantities) in &usage.groups {
            serde_json::to_writer(&mut rows, &Row { group, quantities })?;
            ends.push(rows.len());
        }
        Ok(Self {
            head: format!("{{\"customer_id\":{},\"groups\":[", serde_json::to_string(&usage.customer_id)?).into_bytes(),
            rows,
            ends,
            tail: format!("],\"month\":{}}}", serde_json::to_string(&usage.month)?).into_bytes(),
        })
    }

    /// The digest of the month with only those groups, by number: what a line names as its input.
    pub(crate) fn digest(&self, keep: impl Fn(usize) -> bool) -> Digest {
        let parts = [self.head.len(), self.rows.len(), self.ends.len(), self.tail.len()];
        let mut text = Vec::with_capacity(parts.into_iter().fold(0, usize::saturating_add));
        text.extend_from_slice(&self.head);
        let mut start = 0;
        let mut comma = false;
        for (number, end) in self.ends.iter().enumerate() {
            if keep(number) {
                text.extend_from_slice(if std::mem::replace(&mut comma, true) { b"," } else { b"" });
                text.extend_from_slice(self.rows.get(start..*end).unwrap_or_default());
            }
            start = *end;
        }
        text.extend_from_slice(&self.tail);
        Digest::of(&text)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<Customer, Group, Used> {
    customer_id: Customer,
    groups: Vec<Row<Group, Used>>,
    month: Month,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<Group, Used> {
    group: Group,
    quantities: Used,
}

impl TryFrom<Stored<CustomerId, UsageGroup, Quantities>> for MonthUsage {
    type Error = String;
    fn try_from(stored: Stored<CustomerId, UsageGroup, Quantities>) -> Result<Self, String> {
        let mut usage = Self::new(stored.customer_id, stored.month);
        for row in stored.groups {
            if let Some(twice) = usage.groups.insert(row.group.clone(), row.quantities) {
                return Err(format!("the group {:?} stands twice, once with {twice:?}", row.group));
            }
        }
        Ok(usage)
    }
}
