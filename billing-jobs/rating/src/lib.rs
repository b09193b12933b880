//! From a month's usage to a bill: prices and money. No IO, no clock, no floats.
//!
//! ```text
//! MonthUsage ─┐
//! PriceBook ──┼─ rate ─→ Bill ─→ one line of canonical JSON
//! plan ───────┤            └─→ check: BILL-1, BILL-2
//! Ledger ─────┘ ▲
//!               └── settle ←─ Correction ←─ correct ←─ a final Bill, its month's usage at a new cut   (BILL-4)
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`quantity`] | whole, non-negative quantities; sums that cannot overflow unseen |
//! | [`usage`] | a customer's month, deduplicated, by group; its digest |
//! | [`meter`], [`filter`] | what can be priced, in which unit, and which part of it |
//! | [`decimal`], [`money`] | exact decimals, prices, amounts, and the one rounding |
//! | [`currency`] | the minor unit of every ISO 4217 currency |
//! | [`price_book`] | the TOML file, checked once |
//! | [`mod@rate`] | which rating version applies; `v1` is the one list of steps |
//! | [`ledger`] | what the account brings: adjustments, corrections, credits |
//! | [`bill`], [`check`] | the result, and the equations that it must satisfy |
//! | [`correction`], [`note`] | what late usage changes in a final bill, and where that goes |
//! | [`mod@diff`] | who would pay more under another book |
//!
//! To add a price model: a variant of [`price_book::Model`], its fields in `price_book/source.rs`, its reading in
//! `price_book/plan.rs`, its arithmetic in `v1/models.rs`. Nothing that changes the bytes of an old bill may be added to
//! an old rating version: `golden/` holds bills that recompute byte for byte for ever.

#![deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic, clippy::integer_division)]
#![deny(clippy::cast_lossless, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
#![deny(clippy::cast_precision_loss, clippy::cast_sign_loss)]

pub mod bill;
pub mod check;
pub mod correction;
pub mod currency;
pub mod decimal;
pub mod diff;
pub mod filter;
pub mod ledger;
pub mod meter;
pub mod money;
pub mod note;
pub mod price_book;
pub mod quantity;
pub mod rate;
pub mod usage;
mod v1;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::integer_division,
    reason = "tests work the amounts out in plain integers"
)]
mod tests;

pub use bill::{Bill, Line};
pub use check::{Broken, Checked};
pub use correction::{CorrectError, Correction, check_corrected, correct};
pub use diff::{Difference, NotComparable, diff};
pub use ledger::{Adjustment, Credit, CreditUse, Ledger};
pub use meter::Meter;
pub use money::{Amount, Decimal};
pub use note::{Note, NoteKind, Settled, settle};
pub use price_book::{Finding, Plan, PriceBook, PriceBookError, RatingVersion};
pub use quantity::{BadQuantity, Overflow, Quantity};
pub use rate::{RateError, rate, rate_with};
pub use usage::{MonthUsage, Outcome, Quantities, UsageGroup};
