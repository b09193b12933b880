//! From a month's usage to a bill: prices and money. No IO, no clock, no floats.
//!
//! ```text
//! MonthUsage ─┐
//! PriceBook ──┼─ rate ─→ Bill ─→ one line of canonical JSON
//! plan ───────┘            └─→ check: BILL-1, BILL-2
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`quantity`] | whole, non-negative quantities; sums that cannot overflow unseen |
//! | [`usage`] | a customer's month, deduplicated, by group; its digest |
//! | [`meter`] | what can be priced, and in which unit |
//! | [`money`] | exact decimals, prices, amounts, and the one rounding |
//! | [`currency`] | the minor unit of every ISO 4217 currency |
//! | [`price_book`] | the TOML file, checked once |
//! | [`mod@rate`] | which rating version applies; `v1` is the one list of steps |
//! | [`bill`], [`check`] | the result, and the equations that it must satisfy |
//!
//! To add a price model: a variant of [`price_book::Model`], its fields in `price_book/source.rs`, its arithmetic in
//! `v1.rs`. Nothing that changes the bytes of an old bill may be added to an old rating version: `golden/` holds bills
//! that recompute byte for byte for ever.

#![deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic, clippy::integer_division)]
#![deny(clippy::cast_lossless, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
#![deny(clippy::cast_precision_loss, clippy::cast_sign_loss)]

pub mod bill;
pub mod check;
pub mod currency;
pub mod meter;
pub mod money;
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
pub use meter::Meter;
pub use money::{Amount, Decimal};
pub use price_book::{Plan, PriceBook, PriceBookError, RatingVersion};
pub use quantity::{BadQuantity, Overflow, Quantity};
pub use rate::{RateError, rate};
pub use usage::{MonthUsage, Outcome, Quantities, UsageGroup};
