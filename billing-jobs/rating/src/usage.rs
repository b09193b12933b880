//! A customer's month: exact, deduplicated quantities by group. The input of rating.

use std::collections::BTreeMap;

use contract::canonical::to_canonical_json;
use contract::ids::{CustomerId, Digest, Label, Region};
use contract::time::Month;
use serde::{Deserialize, Serialize, Serializer};

use crate::quantity::{Overflow, Quantity};

/// What one group, or one conversion, used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantities {
    pub conversions: Quantity,
    pub cpu_micros: Quantity,
    pub input_bytes: Quantity,
    pub output_bytes: Quantity,
    pub input_pixels: Quantity,
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

/// What a price may depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageGroup {
    pub region: Region,
    pub operation: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_format: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<Label>,
    pub outcome: Outcome,
}

impl UsageGroup {
    /// Rejected conversions are recorded, not billed.
    pub fn is_billable(&self) -> bool {
        self.outcome == Outcome::Done
    }
}

/// In JSON its groups are a list, in the order of [`UsageGroup`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Stored")]
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
        self.digest_where(|_| true)
    }

    /// The digest of the same month with only those groups: what a line names as its input.
    pub(crate) fn digest_where(&self, keep: impl Fn(&UsageGroup) -> bool) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(&to_canonical_json(&self.view(keep))?))
    }

    fn view(&self, keep: impl Fn(&UsageGroup) -> bool) -> View<'_> {
        let rows = self.groups.iter().filter(|(group, _)| keep(group));
        View {
            customer_id: &self.customer_id,
            month: self.month,
            groups: rows.map(|(group, quantities)| ViewRow { group, quantities }).collect(),
        }
    }
}

impl Serialize for MonthUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view(|_| true).serialize(serializer)
    }
}

#[derive(Serialize)]
struct View<'a> {
    customer_id: &'a CustomerId,
    month: Month,
    groups: Vec<ViewRow<'a>>,
}

#[derive(Serialize)]
struct ViewRow<'a> {
    group: &'a UsageGroup,
    quantities: &'a Quantities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    customer_id: CustomerId,
    month: Month,
    groups: Vec<StoredRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRow {
    group: UsageGroup,
    quantities: Quantities,
}

impl TryFrom<Stored> for MonthUsage {
    type Error = String;
    fn try_from(stored: Stored) -> Result<Self, String> {
        let mut usage = Self::new(stored.customer_id, stored.month);
        for row in stored.groups {
            if let Some(twice) = usage.groups.insert(row.group.clone(), row.quantities) {
                return Err(format!("the group {:?} stands twice, once with {twice:?}", row.group));
            }
        }
        Ok(usage)
    }
}
