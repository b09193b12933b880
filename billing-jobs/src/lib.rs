//! From landed usage to final bills.
//!
//! ```text
//!   landing/ ─▶ lake (chains checked) ─▶ rollup (dedup, per id-hour) ─▶ usage of the month ─▶ rating ─▶ draft
//!                                                                                    reconcile ◀──┤
//!                                                                       runs/ ◀── finalize ◀──────┘
//! ```
//!
//! Duplicates are legal before the rollup and illegal after it. Money is computed in `rating`, nowhere else.

mod accounts;
mod closing;
mod config;
mod draft;
mod finalize;
mod jobs;
mod lake;
mod price_books;
mod print;
mod query;
mod reconcile;
mod rollup;
mod table;
#[cfg(test)]
mod tests;
mod usage;

pub use config::{Cli, Command};
pub use jobs::run;
