//! From usage to bill: checks that book, plan and account fit, and hands over to the book's rating version.

use contract::account::Currency;
use contract::ids::{CustomerId, PlanName};
use contract::time::Month;

use crate::bill::Bill;
use crate::check::Broken;
use crate::ledger::Ledger;
use crate::price_book::{PriceBook, RatingVersion};
use crate::quantity::Overflow;
use crate::usage::{MonthUsage, Written};
use crate::v1;

/// Why a customer's month can't be rated. The first three are for a person to mend, in the price book or the account;
/// `BadLedger` in what the account brings.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    #[error("customer {customer_id} has plan {plan}, which price book {price_book_version} does not have")]
    UnknownPlan { customer_id: CustomerId, plan: PlanName, price_book_version: u32 },
    #[error("customer {customer_id} pays in {account}, but plan {plan} is priced in {priced_in}")]
    OtherCurrency { customer_id: CustomerId, account: Currency, plan: PlanName, priced_in: Currency },
    #[error("price book {price_book_version} is effective from {effective_from}, too late for {month}")]
    NotEffective { price_book_version: u32, effective_from: Month, month: Month },
    #[error("customer {customer_id}: {problem}")]
    BadLedger { customer_id: CustomerId, problem: String },
    #[error("customer {customer_id}: {overflow}")]
    TooMuchUsage { customer_id: CustomerId, overflow: Overflow },
    #[error("customer {customer_id}: the amount of {what} passes 2^127 - 1 minor units")]
    TooMuchMoney { customer_id: CustomerId, what: String },
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What a bill calls the prices that it was made by.
pub(crate) struct Names {
    pub(crate) plan: PlanName,
    pub(crate) price_book_version: u32,
    pub(crate) rating_version: RatingVersion,
}

/// [`rate_with`] an empty ledger.
pub fn rate(usage: &MonthUsage, book: &PriceBook, plan: &PlanName, currency: &Currency) -> Result<Bill, RateError> {
    rate_with(usage, book, plan, currency, &Ledger::default())
}

/// Bills a customer's month by a plan. `currency` is the account's.
///
/// The same arguments give the same bill, for ever; it has passed [`Bill::check_against`] the usage.
pub fn rate_with(
    usage: &MonthUsage,
    book: &PriceBook,
    plan: &PlanName,
    currency: &Currency,
    ledger: &Ledger,
) -> Result<Bill, RateError> {
    if usage.month < book.effective_from {
        let (price_book_version, effective_from) = (book.version, book.effective_from);
        return Err(RateError::NotEffective { price_book_version, effective_from, month: usage.month });
    }
    rate_as_if_effective(usage, book, plan, currency, ledger)
}

/// The same by a book of any date: what a month would have cost.
pub(crate) fn rate_as_if_effective(
    usage: &MonthUsage,
    book: &PriceBook,
    plan_name: &PlanName,
    currency: &Currency,
    ledger: &Ledger,
) -> Result<Bill, RateError> {
    let (customer_id, name) = (|| usage.customer_id.clone(), || plan_name.clone());
    let Some(plan) = book.plan(plan_name) else {
        let price_book_version = book.version;
        return Err(RateError::UnknownPlan { customer_id: customer_id(), plan: name(), price_book_version });
    };
    if plan.currency != *currency {
        let (account, priced_in) = (currency.clone(), plan.currency.clone());
        return Err(RateError::OtherCurrency { customer_id: customer_id(), account, plan: name(), priced_in });
    }
    let written = &Written::new(usage)?;
    let quantities_sha256 = written.digest(|_| true);
    let rating = v1::Rating { usage, written, quantities_sha256, plan, ledger };
    let names = Names { plan: name(), price_book_version: book.version, rating_version: book.rating_version };
    let bill = match book.rating_version {
        RatingVersion::V1 => v1::rate(&rating, names)?,
    };
    bill.check_rated(usage, &quantities_sha256)?;
    Ok(bill)
}
