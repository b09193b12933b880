//! From priced lines to the total: discount, rounding, minimum, adjustments, corrections, credits, tax.

use std::collections::BTreeSet;
use std::fmt::Display;

use contract::account::Currency;
use contract::ids::Label;

use super::Rating;
use super::models::Priced;
use crate::bill::{Line, LineDiscount, Minimum, TaxLine};
use crate::correction::Correction;
use crate::ledger::{Adjustment, Credit, CreditUse};
use crate::money::{Amount, Decimal, round_line};
use crate::price_book::Tax;
use crate::rate::RateError;

/// What is owed ahead of tax.
pub(super) struct Bases<'a> {
    /// Of all.
    net: Amount,
    /// Per tax, in the order of the plan; they add up to `net`. None in a plan without taxes.
    per_tax: Vec<(&'a Tax, Amount)>,
}

impl<'a> Rating<'a> {
    fn zero(&self) -> Amount {
        Amount::new(0, self.plan.minor_decimals)
    }

    pub(super) fn discount_and_round(&self, priced: Vec<Priced<'_>>) -> Result<Vec<Line>, RateError> {
        let round = |line: Priced<'_>| -> Result<Line, RateError> {
            let gross = line.quantity.times(line.unit_price);
            let discount =
                line.discount.map(|percent| LineDiscount { exact: percent.of(&gross), percent: percent.clone() });
            let exact = discount.as_ref().map_or_else(|| gross.clone(), |discount| gross.minus(&discount.exact));
            let amount = round_line(&exact, self.plan.minor_decimals);
            Ok(Line {
                amount: amount.ok_or_else(|| self.too_much_money(format_args!("charge {}", line.charge)))?,
                charge: line.charge.clone(),
                discount,
                exact,
                model: line.model,
                package_size: line.package_size,
                quantity: line.quantity,
                tax: line.tax.cloned(),
                tier: line.tier,
                unit: line.unit,
                unit_price: line.unit_price.clone(),
                usage: line.usage,
            })
        };
        let mut lines = Vec::with_capacity(priced.len());
        for line in priced {
            lines.push(round(line)?);
        }
        Ok(lines)
    }

    /// What the rounded lines lack of the minimum.
    pub(super) fn true_up(&self, lines: &[Line]) -> Result<Option<Minimum>, RateError> {
        let Some(commitment) = self.plan.minimum else { return Ok(None) };
        let mut sum = self.zero();
        for line in lines {
            sum = sum.plus(&line.amount).ok_or_else(|| self.too_much_money(format_args!("charge {}", line.charge)))?;
        }
        let lacking = commitment.minus(&sum).filter(|lacking| !lacking.is_negative());
        let tax = self.plan.taxes.first().map(|tax| tax.name.clone());
        Ok(Some(Minimum { commitment, lines: sum, tax, true_up: lacking.unwrap_or(self.zero()) }))
    }

    fn in_currency(&self, what: &str, currency: &Currency, amount: &Amount) -> Result<(), RateError> {
        if *currency == self.plan.currency && amount.decimals() == self.plan.minor_decimals {
            return Ok(());
        }
        Err(self.bad_ledger(format!("{what} is {amount} {currency}, not an amount of {}", self.plan.currency)))
    }

    fn once<'k>(&self, what: &str, keys: impl Iterator<Item = &'k Label>) -> Result<(), RateError> {
        let mut seen = BTreeSet::new();
        let twice = keys.into_iter().find(|key| !seen.insert(*key));
        twice.map_or(Ok(()), |key| Err(self.bad_ledger(format!("{what} {key} stands twice"))))
    }

    /// By key.
    pub(super) fn adjustments(&self) -> Result<Vec<Adjustment>, RateError> {
        let mut adjustments = self.ledger.adjustments.clone();
        adjustments.sort_by(|a, b| a.key.cmp(&b.key));
        self.once("adjustment", adjustments.iter().map(|adjustment| &adjustment.key))?;
        for adjustment in &mut adjustments {
            self.in_currency(&format!("adjustment {}", adjustment.key), &adjustment.currency, &adjustment.amount)?;
            if adjustment.tax.is_none() {
                adjustment.tax = self.plan.taxes.first().map(|tax| tax.name.clone());
            }
        }
        Ok(adjustments)
    }

    /// By month, then as they were made.
    pub(super) fn corrections(&self) -> Result<Vec<Correction>, RateError> {
        let mut corrections = self.ledger.corrections.clone();
        corrections.sort_by_key(|correction| correction.month);
        for correction in &corrections {
            let what = format!("the correction of {}", correction.month);
            self.in_currency(&what, &correction.currency, &correction.total)?;
            if correction.customer_id != self.usage.customer_id || correction.month >= self.month() {
                return Err(self.bad_ledger(format!("{what} of {} is not of an earlier bill", correction.customer_id)));
            }
            if !correction.taxed_as(&self.plan.taxes) {
                return Err(self.bad_ledger(format!("{what} was taxed at other rates, so it needs a note of its own")));
            }
        }
        Ok(corrections)
    }

    pub(super) fn tax_bases(
        &self,
        lines: &[Line],
        minimum: Option<&Minimum>,
        adjustments: &[Adjustment],
        corrections: &[Correction],
    ) -> Result<Bases<'a>, RateError> {
        let per_tax = self.plan.taxes.iter().map(|tax| (tax, self.zero())).collect();
        let mut bases = Bases { net: self.zero(), per_tax };
        for line in lines {
            self.owe(&mut bases, format_args!("charge {}", line.charge), line.amount, line.tax.as_ref())?;
        }
        if let Some(minimum) = minimum {
            self.owe(&mut bases, "the minimum", minimum.true_up, minimum.tax.as_ref())?;
        }
        for adjustment in adjustments {
            let what = format_args!("adjustment {}", adjustment.key);
            self.owe(&mut bases, what, adjustment.amount, adjustment.tax.as_ref())?;
        }
        for line in corrections.iter().flat_map(|correction| &correction.lines) {
            self.owe(&mut bases, format_args!("the correction of {}", line.key), line.amount, line.tax.as_ref())?;
        }
        Ok(bases)
    }

    fn owe(
        &self,
        bases: &mut Bases<'_>,
        what: impl Display,
        amount: Amount,
        tax: Option<&Label>,
    ) -> Result<(), RateError> {
        let plus = |sum: Amount| sum.plus(&amount).ok_or_else(|| self.too_much_money(&what));
        bases.net = plus(bases.net)?;
        if tax.is_none() && bases.per_tax.is_empty() {
            return Ok(());
        }
        let base = bases.per_tax.iter_mut().find(|(known, _)| Some(&known.name) == tax).map(|(_, base)| base);
        let base = base.ok_or_else(|| {
            let tax = tax.map_or("no tax", Label::as_str);
            self.bad_ledger(format!("{what} is subject to {tax}, which the plan does not have"))
        })?;
        *base = plus(*base)?;
        Ok(())
    }

    /// Credits pay down the bases in the order of the plan's taxes.
    pub(super) fn use_credits(&self, bases: &mut Bases<'_>) -> Result<Vec<CreditUse>, RateError> {
        self.once("credit", self.ledger.credits.iter().map(|credit| &credit.key))?;
        let live = |credit: &&Credit| credit.expires.is_none_or(|expires| self.month() < expires);
        let mut credits: Vec<&Credit> = self.ledger.credits.iter().filter(live).collect();
        // A stable sort: credits that expire together stay in the order of their grants.
        credits.sort_by_key(|credit| (credit.expires.is_none(), credit.expires));
        let mut uses = Vec::new();
        for credit in credits {
            self.in_currency(&format!("credit {}", credit.key), &credit.currency, &credit.remaining)?;
            if credit.remaining.is_negative() {
                return Err(self.bad_ledger(format!("credit {} has {} left", credit.key, credit.remaining)));
            }
            let used = smaller(credit.remaining, bases.net);
            if used.is_negative() || used.is_zero() {
                continue;
            }
            let too_much = || self.too_much_money(format_args!("credit {}", credit.key));
            let mut to_pay = used;
            for (_, base) in bases.per_tax.iter_mut().filter(|(_, base)| !base.is_negative()) {
                let part = smaller(*base, to_pay);
                *base = base.minus(&part).ok_or_else(too_much)?;
                to_pay = to_pay.minus(&part).ok_or_else(too_much)?;
            }
            bases.net = bases.net.minus(&used).ok_or_else(too_much)?;
            let remaining = credit.remaining.minus(&used).ok_or_else(too_much)?;
            uses.push(CreditUse { key: credit.key.clone(), remaining, used });
        }
        Ok(uses)
    }

    pub(super) fn tax(&self, bases: &Bases<'_>) -> Result<Vec<TaxLine>, RateError> {
        let line = |(Tax { name, percent }, base): &(&Tax, Amount)| {
            let exact = percent.of(&base.to_decimal());
            let amount = round_line(&exact, self.plan.minor_decimals)
                .ok_or_else(|| self.too_much_money(format_args!("tax {name}")))?;
            Ok(TaxLine { amount, base: *base, exact, name: name.clone(), percent: percent.clone() })
        };
        bases.per_tax.iter().map(line).collect()
    }

    /// The total, and the residue of all that was rounded.
    pub(super) fn add_up(
        &self,
        lines: &[Line],
        bases: &Bases<'_>,
        taxes: &[TaxLine],
    ) -> Result<(Amount, Decimal), RateError> {
        let mut total = bases.net;
        for tax in taxes {
            total = total.plus(&tax.amount).ok_or_else(|| self.too_much_money(format_args!("tax {}", tax.name)))?;
        }
        let rounded = lines.iter().map(|line| (&line.exact, &line.amount));
        let rounded = rounded.chain(taxes.iter().map(|tax| (&tax.exact, &tax.amount)));
        let residue = rounded.fold(Decimal::zero(), |sum, (exact, amount)| sum.plus(exact).minus(&amount.to_decimal()));
        Ok((total, residue))
    }
}

/// Of two amounts of one currency.
fn smaller(a: Amount, b: Amount) -> Amount {
    if a.minor_units() <= b.minor_units() { a } else { b }
}
