//! Who would pay more under another price book, and by how much.

use std::collections::{BTreeMap, BTreeSet};

use contract::account::Currency;
use contract::ids::{CustomerId, PlanName};
use serde::Serialize;

use crate::bill::Bill;
use crate::ledger::Ledger;
use crate::money::Amount;
use crate::price_book::PriceBook;
use crate::rate::{RateError, rate_as_if_effective};
use crate::usage::MonthUsage;

/// One customer's month by two books, neither of which needs to be effective in it. Without what the account brings:
/// adjustments, corrections, credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub customer_id: CustomerId,
    pub plan: PlanName,
    pub currency: Currency,
    /// With taxes.
    pub old: Amount,
    pub new: Amount,
    /// `new` − `old`: what the customer would pay more.
    pub more: Amount,
    /// Those that differ, by charge; `#minimum` and `#tax` too.
    pub charges: BTreeMap<String, ChargeDifference>,
}

/// 0 where a book has no such charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChargeDifference {
    pub old: Amount,
    pub new: Amount,
}

/// A customer whom one of the books can't bill, such as one whose plan it doesn't have.
#[derive(Debug)]
pub struct NotComparable {
    pub customer_id: CustomerId,
    pub why: Box<RateError>,
}

/// One answer per month of usage, in the order given; also for those who would pay the same.
pub fn diff<'a>(
    old: &PriceBook,
    new: &PriceBook,
    months: impl IntoIterator<Item = (&'a MonthUsage, &'a PlanName, &'a Currency)>,
) -> Vec<Result<Difference, NotComparable>> {
    let compare = |(usage, plan, currency): (&MonthUsage, &PlanName, &Currency)| {
        let bill = |book| rate_as_if_effective(usage, book, plan, currency, &Ledger::default());
        let both = bill(old).and_then(|old| Ok((old, bill(new)?)));
        let compared = both.and_then(|(old, new)| difference(&old, &new));
        compared.map_err(|why| NotComparable { customer_id: usage.customer_id.clone(), why: Box::new(why) })
    };
    months.into_iter().map(compare).collect()
}

fn difference(old: &Bill, new: &Bill) -> Result<Difference, RateError> {
    let too_much = || RateError::TooMuchMoney { customer_id: old.customer_id.clone(), what: "a difference".to_owned() };
    let (before, after) = (by_charge(old).ok_or_else(too_much)?, by_charge(new).ok_or_else(too_much)?);
    let zero = Amount::new(0, old.total.decimals());
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let amount = |of: &BTreeMap<String, Amount>, name: &String| of.get(name).copied().unwrap_or(zero);
    let both = |name: &String| ChargeDifference { old: amount(&before, name), new: amount(&after, name) };
    let charges = names.into_iter().map(|name| (name.clone(), both(name)));
    Ok(Difference {
        customer_id: old.customer_id.clone(),
        plan: old.plan.clone(),
        currency: old.currency.clone(),
        old: old.total,
        new: new.total,
        more: new.total.minus(&old.total).ok_or_else(too_much)?,
        charges: charges.filter(|(_, both)| both.old != both.new).collect(),
    })
}

fn by_charge(bill: &Bill) -> Option<BTreeMap<String, Amount>> {
    let lines = bill.lines.iter().map(|line| (line.charge.to_string(), line.amount));
    let minimum = bill.minimum.iter().map(|minimum| ("#minimum".to_owned(), minimum.true_up));
    let taxes = bill.taxes.iter().map(|tax| ("#tax".to_owned(), tax.amount));
    let mut sums = BTreeMap::new();
    for (name, amount) in lines.chain(minimum).chain(taxes) {
        let sum = sums.entry(name).or_insert(Amount::new(0, amount.decimals()));
        *sum = sum.plus(&amount)?;
    }
    Some(sums)
}
