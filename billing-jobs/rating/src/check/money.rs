//! BILL-2: the rounded amounts add up to the total, and what rounding took away is stated.

use super::{BILL_2, Broken};
use crate::bill::{Bill, Line};
use crate::currency::minor_decimals;
use crate::money::{Amount, Decimal, round_line};

/// Sums of a bill, and how many decimals its currency has.
struct Sums {
    decimals: u8,
    sum: Amount,
    residue: Decimal,
}

impl Bill {
    /// The sum of all rounded amounts, and the residue.
    pub(super) fn check_money(&self) -> Result<(Amount, Decimal), Broken> {
        let decimals = minor_decimals(&self.currency)
            .ok_or_else(|| self.broken(BILL_2, "the currency", &self.currency, &"one with a minor unit"))?;
        let mut sums = Sums { decimals, sum: Amount::new(0, decimals), residue: Decimal::zero() };
        for line in &self.lines {
            self.check_line(line, &mut sums)?;
        }
        self.check_minimum(&mut sums)?;
        for adjustment in &self.adjustments {
            self.same(BILL_2, "the currency of an adjustment", &adjustment.currency, &self.currency)?;
            self.add(&mut sums, &adjustment.amount)?;
        }
        for correction in &self.corrections {
            correction.check()?;
            self.same(BILL_2, "the currency of a correction", &correction.currency, &self.currency)?;
            self.same(BILL_2, "the customer of a correction", &correction.customer_id, &self.customer_id)?;
            self.add(&mut sums, &correction.total)?;
        }
        self.check_credits(&mut sums)?;
        self.check_taxes(&mut sums)?;
        self.same(BILL_2, "the total", &self.total, &sums.sum)?;
        self.same(BILL_2, "the residue", &self.residue, &sums.residue)?;
        Ok((sums.sum, sums.residue))
    }

    fn check_line(&self, line: &Line, sums: &mut Sums) -> Result<(), Broken> {
        let (gross, id) = (line.quantity.times(&line.unit_price), &line.charge);
        let exact = match &line.discount {
            None => gross,
            Some(discount) => {
                let off = discount.percent.of(&gross);
                self.same(BILL_2, format_args!("the discount of a line of {id}"), &discount.exact, &off)?;
                gross.minus(&off)
            }
        };
        self.same(BILL_2, format_args!("the exact amount of a line of {id}"), &line.exact, &exact)?;
        let rounded = self.add_rounded(sums, &exact)?;
        self.same(BILL_2, format_args!("the amount of a line of {id}"), &line.amount, &rounded)
    }

    /// `sums` are those of the lines.
    fn check_minimum(&self, sums: &mut Sums) -> Result<(), Broken> {
        let Some(minimum) = &self.minimum else { return Ok(()) };
        self.same(BILL_2, "the sum of lines that the minimum looks at", &minimum.lines, &sums.sum)?;
        let lacking = minimum.commitment.minus(&sums.sum).ok_or_else(|| self.too_much())?;
        let true_up = if lacking.is_negative() { Amount::new(0, sums.decimals) } else { lacking };
        self.same(BILL_2, "the true-up to the minimum", &minimum.true_up, &true_up)?;
        self.add(sums, &true_up)
    }

    /// No more is used than is owed, and no credit is kept back while another or money pays.
    fn check_credits(&self, sums: &mut Sums) -> Result<(), Broken> {
        let nothing = Amount::new(0, sums.decimals);
        for (number, credit) in self.credits.iter().enumerate() {
            let part_of_what_is_owed =
                !credit.used.is_negative() && credit.used.minor_units() <= sums.sum.minor_units();
            if !part_of_what_is_owed {
                let what = format!("the use of credit {}", credit.key);
                return Err(self.broken(BILL_2, what, credit.used, &format!("between {nothing} and {}", sums.sum)));
            }
            sums.sum = sums.sum.minus(&credit.used).ok_or_else(|| self.too_much())?;
            let pays_the_rest = number.saturating_add(1) == self.credits.len() && sums.sum.is_zero();
            let used_up = credit.remaining.is_zero() || pays_the_rest;
            if credit.remaining.is_negative() || !used_up {
                let what = format!("what is left of credit {}", credit.key);
                return Err(self.broken(BILL_2, what, credit.remaining, &nothing));
            }
        }
        Ok(())
    }

    /// All that is owed is taxed once: the bases add up to it.
    fn check_taxes(&self, sums: &mut Sums) -> Result<(), Broken> {
        if self.taxes.is_empty() {
            return Ok(());
        }
        let owed = sums.sum;
        let mut bases = Amount::new(0, sums.decimals);
        for tax in &self.taxes {
            let exact = tax.percent.of(&tax.base.to_decimal());
            self.same(BILL_2, format_args!("the exact amount of tax {}", tax.name), &tax.exact, &exact)?;
            let rounded = self.add_rounded(sums, &exact)?;
            self.same(BILL_2, format_args!("the amount of tax {}", tax.name), &tax.amount, &rounded)?;
            bases = bases.plus(&tax.base).ok_or_else(|| self.too_much())?;
            if self.credits.is_empty() {
                let base = self.subject_to(&tax.name, sums.decimals).ok_or_else(|| self.too_much())?;
                self.same(BILL_2, format_args!("the base of tax {}", tax.name), &tax.base, &base)?;
            }
        }
        self.same(BILL_2, "the sum of the taxes' bases", &bases, &owed)
    }

    /// All that names the tax, ahead of credits.
    fn subject_to(&self, tax: &contract::ids::Label, decimals: u8) -> Option<Amount> {
        let lines = self.lines.iter().map(|line| (&line.tax, line.amount));
        let minimum = self.minimum.iter().map(|minimum| (&minimum.tax, minimum.true_up));
        let adjustments = self.adjustments.iter().map(|adjustment| (&adjustment.tax, adjustment.amount));
        let corrections = self.corrections.iter().flat_map(|correction| &correction.lines);
        let corrections = corrections.map(|line| (&line.tax, line.amount));
        let all = lines.chain(minimum).chain(adjustments).chain(corrections);
        let named = all.filter(|(name, _)| name.as_ref() == Some(tax));
        named.map(|(_, amount)| amount).try_fold(Amount::new(0, decimals), |sum, amount| sum.plus(&amount))
    }

    fn add(&self, sums: &mut Sums, amount: &Amount) -> Result<(), Broken> {
        sums.sum = sums.sum.plus(amount).ok_or_else(|| self.too_much())?;
        Ok(())
    }

    fn add_rounded(&self, sums: &mut Sums, exact: &Decimal) -> Result<Amount, Broken> {
        let rounded = round_line(exact, sums.decimals).ok_or_else(|| self.too_much())?;
        self.add(sums, &rounded)?;
        sums.residue = sums.residue.plus(exact).minus(&rounded.to_decimal());
        Ok(rounded)
    }

    fn too_much(&self) -> Broken {
        self.broken(BILL_2, "an amount", "past 2^127 minor units", &"a sum of money")
    }
}
