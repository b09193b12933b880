//! Rating version 1: the one order of operations.
//!
//! ```text
//! month's quantity per charge (CPU time up to its cap) → free allowance (in price-book order)
//!   → price model, one line per (charge, tier) → line discount → round
//!   → minimum-commitment true-up → adjustments and corrections → prepaid credits → tax, once per rate → total
//! ```
//!
//! Frozen: what changes the bytes of a bill that this version has made belongs into a new version.

mod models;
mod money;
pub(crate) mod quantities;

use std::fmt::Display;

use contract::ids::Digest;
use contract::time::Month;

use crate::bill::Bill;
use crate::ledger::Ledger;
use crate::price_book::Plan;
use crate::quantity::Overflow;
use crate::rate::{Names, RateError};
use crate::usage::{MonthUsage, Written};

/// What a bill is made of.
pub(crate) struct Rating<'a> {
    pub(crate) usage: &'a MonthUsage,
    /// The same usage.
    pub(crate) written: &'a Written,
    pub(crate) quantities_sha256: Digest,
    pub(crate) plan: &'a Plan,
    pub(crate) ledger: &'a Ledger,
}

/// The order of operations is this list: a step that is added gets its place in it.
pub(crate) fn rate(rating: &Rating<'_>, names: Names) -> Result<Bill, RateError> {
    let groups = rating.capped_groups()?;
    let mut shares = rating.quantity_per_charge(&groups)?;
    quantities::allow_free(&mut shares, &rating.plan.allowances);
    let priced = models::price(&shares);
    let lines = rating.discount_and_round(priced)?;
    let minimum = rating.true_up(&lines)?;
    let adjustments = rating.adjustments()?;
    let corrections = rating.corrections()?;
    let mut bases = rating.tax_bases(&lines, minimum.as_ref(), &adjustments, &corrections)?;
    let credits = rating.use_credits(&mut bases)?;
    let taxes = rating.tax(&bases)?;
    let (total, residue) = rating.add_up(&lines, &bases, &taxes)?;
    let (meters, additive) = rating.account_for(&groups, &shares)?;
    Ok(Bill {
        additive,
        adjustments,
        corrections,
        credits,
        currency: rating.plan.currency.clone(),
        customer_id: rating.usage.customer_id.clone(),
        lines,
        meters,
        minimum,
        month: rating.usage.month,
        plan: names.plan,
        price_book_version: names.price_book_version,
        quantities_sha256: rating.quantities_sha256,
        rating_version: names.rating_version,
        residue,
        taxes,
        total,
    })
}

impl Rating<'_> {
    fn month(&self) -> Month {
        self.usage.month
    }
    fn too_much_usage(&self, overflow: Overflow) -> RateError {
        RateError::TooMuchUsage { customer_id: self.usage.customer_id.clone(), overflow }
    }
    fn too_much_money(&self, what: impl Display) -> RateError {
        RateError::TooMuchMoney { customer_id: self.usage.customer_id.clone(), what: what.to_string() }
    }
    fn bad_ledger(&self, problem: String) -> RateError {
        RateError::BadLedger { customer_id: self.usage.customer_id.clone(), problem }
    }
}
