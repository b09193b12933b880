//! A customer's bill of one month, and its one line of canonical JSON: what is stored, hashed and compared.

use std::collections::BTreeMap;

use contract::account::Currency;
use contract::canonical::to_canonical_json;
use contract::ids::{CustomerId, Digest, Label, PlanName};
use contract::time::Month;
use serde::{Deserialize, Serialize};

use crate::meter::{Meter, Unit};
use crate::money::{Amount, Decimal};
use crate::price_book::{ModelName, RatingVersion};
use crate::quantity::Quantity;

/// In JSON all numbers but versions and tier numbers are strings. An unknown field is an error: a bill is read whole or
/// not at all. A field that comes later is left out where it says nothing, so that old bills keep their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bill {
    pub customer_id: CustomerId,
    pub month: Month,
    pub plan: PlanName,
    pub currency: Currency,
    pub price_book_version: u32,
    pub rating_version: RatingVersion,
    /// [`crate::MonthUsage::digest`] of all that the customer used in the month, rejections too.
    pub quantities_sha256: Digest,
    /// In the order of the price book.
    pub lines: Vec<Line>,
    /// The meters that the plan charges.
    pub meters: BTreeMap<Meter, MeterFigures>,
    /// The sum of the lines' amounts.
    pub total: Amount,
    /// What rounding took away: the sum of the lines' exact amounts − `total`.
    pub residue: Decimal,
}

/// One per (charge, tier). `exact` = `quantity` × `unit_price`; `amount` is that, rounded.
///
/// Every charge has a line, so that a reader sees that nothing was forgotten: a charge of which nothing is left to pay
/// has one of quantity 0 (its first tier, if it has tiers). Further tiers have a line only when something is in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub charge: Label,
    pub model: ModelName,
    /// None for a flat charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<LineUsage>,
    /// Of a graduated charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<LineTier>,
    /// Of a package, in the meter's display unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_size: Option<Decimal>,
    pub quantity: Decimal,
    pub unit: Unit,
    pub unit_price: Decimal,
    pub exact: Decimal,
    pub amount: Amount,
}

/// The usage that a line charges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineUsage {
    pub meter: Meter,
    /// In base units, after the free allowance.
    pub base_quantity: Quantity,
    /// The digest of the month's groups that the charge looks at, before the free allowance.
    pub quantities_sha256: Digest,
}

/// `(above, up_to]` in the meter's display unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineTier {
    /// From 1.
    pub number: u32,
    pub above: Decimal,
    /// None for all the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Decimal>,
}

/// BILL-1 of one meter, in base units: `billable` = `charged` + `free` + `waived` + `unassigned`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterFigures {
    /// Used, deduplicated, done.
    pub billable: Quantity,
    /// In a line.
    pub charged: Quantity,
    /// Within the plan's allowance.
    pub free: Quantity,
    pub waived: Quantity,
    /// Looked at by no charge.
    pub unassigned: Quantity,
}

impl Bill {
    /// Canonical JSON (RFC 8785), in one line without its end.
    pub fn to_json_line(&self) -> Result<String, serde_json::Error> {
        String::from_utf8(to_canonical_json(self)?).map_err(serde::ser::Error::custom)
    }
}
