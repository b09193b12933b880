//! From usage to bill: checks that book, plan and account fit, and hands over to the book's rating version.

use contract::account::Currency;
use contract::ids::{CustomerId, Label, PlanName};
use contract::time::Month;

use crate::bill::Bill;
use crate::check::Broken;
use crate::price_book::{PriceBook, RatingVersion};
use crate::quantity::Overflow;
use crate::usage::MonthUsage;
use crate::v1;

/// Why a customer's month can't be rated. The first three are for a person to mend, in the price book or the account.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    #[error("customer {customer_id} has plan {plan}, which price book {price_book_version} does not have")]
    UnknownPlan { customer_id: CustomerId, plan: PlanName, price_book_version: u32 },
    #[error("customer {customer_id} pays in {account}, but plan {plan} is priced in {priced_in}")]
    OtherCurrency { customer_id: CustomerId, account: Currency, plan: PlanName, priced_in: Currency },
    #[error("price book {price_book_version} is effective from {effective_from}, too late for {month}")]
    NotEffective { price_book_version: u32, effective_from: Month, month: Month },
    #[error("customer {customer_id}: {overflow}")]
    TooMuchUsage { customer_id: CustomerId, overflow: Overflow },
    #[error("customer {customer_id}: the amount of charge {charge} passes 2^127 - 1 minor units")]
    TooMuchMoney { customer_id: CustomerId, charge: Label },
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Bills a customer's month by a plan. `currency` is the account's.
///
/// The same arguments give the same bill, for ever; it has passed [`Bill::check_against`] the usage.
pub fn rate(usage: &MonthUsage, book: &PriceBook, plan: &PlanName, currency: &Currency) -> Result<Bill, RateError> {
    let customer_id = || usage.customer_id.clone();
    let name = plan.clone();
    let Some(plan) = book.plan(plan) else {
        return Err(RateError::UnknownPlan {
            customer_id: customer_id(),
            plan: name,
            price_book_version: book.version,
        });
    };
    if plan.currency != *currency {
        let (account, priced_in) = (currency.clone(), plan.currency.clone());
        return Err(RateError::OtherCurrency { customer_id: customer_id(), account, plan: name, priced_in });
    }
    if usage.month < book.effective_from {
        let (price_book_version, effective_from) = (book.version, book.effective_from);
        return Err(RateError::NotEffective { price_book_version, effective_from, month: usage.month });
    }
    let digest = usage.digest()?;
    let rated = match book.rating_version {
        RatingVersion::V1 => v1::rate(usage, plan, digest)?,
    };
    let bill = Bill {
        customer_id: customer_id(),
        month: usage.month,
        plan: name,
        currency: plan.currency.clone(),
        price_book_version: book.version,
        rating_version: book.rating_version,
        quantities_sha256: digest,
        lines: rated.lines,
        meters: rated.meters,
        total: rated.total,
        residue: rated.residue,
    };
    bill.check_rated(usage, &digest)?;
    Ok(bill)
}
