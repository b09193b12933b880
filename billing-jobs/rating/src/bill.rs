//! A customer's bill of one month, and its one line of canonical JSON: what is stored, hashed and compared.
//!
//! The fields of every struct that ends up in a bill stand in the order of their names, and all their numbers but
//! versions and tiers are strings. So what serde writes is canonical JSON (RFC 8785) already; a test holds it against a
//! canonicalizer.

use std::collections::BTreeMap;

use contract::account::Currency;
use contract::ids::{CustomerId, Digest, Label, PlanName};
use contract::time::Month;
use serde::{Deserialize, Serialize};

use crate::correction::Correction;
use crate::ledger::{Adjustment, CreditUse};
use crate::meter::{Meter, Unit};
use crate::money::{Amount, Decimal, Percent};
use crate::price_book::{ModelName, RatingVersion};
use crate::quantity::Quantity;

/// An unknown field is an error: a bill is read whole or not at all. A field that comes later is left out where it says
/// nothing, so that old bills keep their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bill {
    /// BILL-1 of each additive charge, by its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub additive: BTreeMap<Label, AdditiveFigures>,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
    /// Of earlier months' bills.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// The prepaid credits that pay for this bill, in the order of their use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credits: Vec<CreditUse>,
    pub currency: Currency,
    pub customer_id: CustomerId,
    /// In the order of the price book.
    pub lines: Vec<Line>,
    /// BILL-1 of the meters that the plan charges.
    pub meters: BTreeMap<Meter, MeterFigures>,
    /// Of a plan with a minimum commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Minimum>,
    pub month: Month,
    pub plan: PlanName,
    pub price_book_version: u32,
    /// [`crate::MonthUsage::digest`] of all that the customer used in the month, rejections too.
    pub quantities_sha256: Digest,
    pub rating_version: RatingVersion,
    /// What rounding took away: the exact amounts of lines and taxes − their rounded ones.
    pub residue: Decimal,
    /// Of a plan with taxes: one per rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<TaxLine>,
    /// To pay: lines + true-up + adjustments + corrections − credits + taxes.
    pub total: Amount,
}

/// One per (charge, tier). `exact` = `quantity` × `unit_price` − the discount; `amount` is that, rounded.
///
/// Every charge has a line, so that a reader sees that nothing was forgotten: a charge of which nothing is left to pay
/// has one of quantity 0 (its first tier, if it has tiers). Further tiers have a line only when something is in them; a
/// volume charge has one line, of the tier that the whole quantity falls in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub amount: Amount,
    pub charge: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<LineDiscount>,
    pub exact: Decimal,
    pub model: ModelName,
    /// Of a package, in the meter's display unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_size: Option<Decimal>,
    pub quantity: Decimal,
    /// The tax that the line is subject to, by name, if the plan has taxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Label>,
    /// Of a graduated or volume charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<LineTier>,
    pub unit: Unit,
    pub unit_price: Decimal,
    /// None for a flat charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<LineUsage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineDiscount {
    /// What it takes off: `percent` of `quantity` × `unit_price`.
    pub exact: Decimal,
    pub percent: Percent,
}

/// `(above, up_to]` in the meter's display unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineTier {
    pub above: Decimal,
    /// From 1.
    pub number: u32,
    /// None for all the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Decimal>,
}

/// The usage that a line charges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineUsage {
    /// Of an additive charge: in [`Bill::additive`], not in [`Bill::meters`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub additive: bool,
    /// In base units, after what is waived and free.
    pub base_quantity: Quantity,
    pub meter: Meter,
    /// The digest of the month's groups that the charge looks at, before anything is waived or free.
    pub quantities_sha256: Digest,
}

/// BILL-1 of one meter, in base units: `billable` = `charged` + `free` + `unassigned` + `waived`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterFigures {
    /// Used, deduplicated, done.
    pub billable: Quantity,
    /// In a line.
    pub charged: Quantity,
    /// Within the plan's allowance.
    pub free: Quantity,
    /// Taken by no charge: 0 under every price book that passed its check.
    pub unassigned: Quantity,
    /// Above the plan's cap on CPU time.
    pub waived: Quantity,
}

/// BILL-1 of one additive charge, in base units: `matched` = `charged` + `waived`. The allowance of a meter is for the
/// charges that share it out, so that no unit is free twice; an additive charge has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdditiveFigures {
    pub charged: Quantity,
    /// Used, deduplicated, done, and taken by the charge's filter.
    pub matched: Quantity,
    pub meter: Meter,
    pub waived: Quantity,
}

/// The customer pays `commitment` at least: `true_up` = max(0, `commitment` − `lines`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    pub commitment: Amount,
    /// The sum of the rounded lines.
    pub lines: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Label>,
    pub true_up: Amount,
}

/// One tax at one rate: `amount` is `percent` of `base`, rounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxLine {
    pub amount: Amount,
    /// What is taxed, after credits.
    pub base: Amount,
    pub exact: Decimal,
    pub name: Label,
    pub percent: Percent,
}

impl Bill {
    /// Canonical JSON (RFC 8785), in one line without its end.
    pub fn to_json_line(&self) -> Result<String, serde_json::Error> {
        /// More than most lines take, and the bill beside them.
        const LINE_BYTES: usize = 512;
        let mut line = Vec::with_capacity(self.lines.len().saturating_add(4).saturating_mul(LINE_BYTES));
        serde_json::to_writer(&mut line, self)?;
        String::from_utf8(line).map_err(serde::ser::Error::custom)
    }

    /// The digest of the line: what a correction names as its original.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(self.to_json_line()?.as_bytes()))
    }

    /// Usage of a declared meter that no charge takes: there is no price for it, so such a bill is not to become final.
    pub fn unassigned(&self) -> impl Iterator<Item = (Meter, Quantity)> {
        let figures = self.meters.iter().map(|(meter, figures)| (*meter, figures.unassigned));
        figures.filter(|(_, unassigned)| *unassigned > Quantity::ZERO)
    }

    /// Ahead of credits and taxes; `None` past what an i128 of minor units holds.
    pub fn net(&self) -> Option<Amount> {
        let lines = self.lines.iter().map(|line| &line.amount);
        let rest = self.minimum.iter().map(|minimum| &minimum.true_up);
        let rest = rest.chain(self.adjustments.iter().map(|adjustment| &adjustment.amount));
        let rest = rest.chain(self.corrections.iter().map(|correction| &correction.total));
        lines.chain(rest).try_fold(Amount::new(0, self.total.decimals()), |sum, amount| sum.plus(amount))
    }
}
