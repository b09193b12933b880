//! BILL-1 and BILL-2: asserted when a bill is made, and again by whoever reads one. Computed from the bill's own fields,
//! by nothing that made it.

mod money;

use std::collections::BTreeMap;
use std::fmt::Display;

use contract::ids::{CustomerId, Digest, Label};
use contract::time::Month;

use crate::bill::{AdditiveFigures, Bill, Line, LineUsage, MeterFigures};
use crate::meter::Meter;
use crate::money::{Amount, Decimal};
use crate::quantity::{Overflow, Quantity};
use crate::usage::MonthUsage;

/// What was compared and found equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// BILL-1; `charged` is summed from the lines.
    pub meters: BTreeMap<Meter, MeterFigures>,
    /// BILL-1 of the additive charges.
    pub additive: BTreeMap<Label, AdditiveFigures>,
    /// BILL-2: the same as the bill's total. Lines of charges, true-up, adjustments, corrections, credits and taxes.
    pub sum_of_lines: Amount,
    /// BILL-2: the same as the sum of the exact amounts − the rounded ones.
    pub residue: Decimal,
}

/// A bill that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} is broken in the bill of {customer_id} for {month}: {what} is {found}, not {expected}")]
pub struct Broken {
    pub invariant: &'static str,
    pub customer_id: CustomerId,
    pub month: Month,
    pub what: String,
    pub found: String,
    pub expected: String,
}

pub(crate) const BILL_1: &str = "BILL-1";
pub(crate) const BILL_2: &str = "BILL-2";
pub(crate) const BILL_4: &str = "BILL-4";

impl Bill {
    /// Checks the bill by itself: BILL-1 per meter, BILL-2, and each line's arithmetic.
    pub fn check(&self) -> Result<Checked, Broken> {
        let meters = self.check_meters()?;
        let additive = self.check_additive()?;
        let (sum_of_lines, residue) = self.check_money()?;
        Ok(Checked { meters, additive, sum_of_lines, residue })
    }

    /// Checks the bill, and that it is one of this usage: BILL-1 with the left side from the source.
    pub fn check_against(&self, usage: &MonthUsage) -> Result<Checked, Broken> {
        let digest = usage.digest().map_err(|error| self.broken(BILL_1, "the usage", "not JSON", &error))?;
        self.check_rated(usage, &digest)
    }

    /// The same, where the digest of the usage is known.
    pub(crate) fn check_rated(&self, usage: &MonthUsage, digest: &Digest) -> Result<Checked, Broken> {
        self.same(BILL_1, "the customer", &self.customer_id, &usage.customer_id)?;
        self.same(BILL_1, "the month", &self.month, &usage.month)?;
        self.same(BILL_1, "the digest of the quantities", &self.quantities_sha256, digest)?;
        let billable = usage.billable().map_err(|overflow| self.too_large(BILL_1, &overflow))?;
        for (meter, figures) in &self.meters {
            self.same(BILL_1, format_args!("{meter} billable"), &figures.billable, &meter.read(&billable))?;
        }
        for (id, AdditiveFigures { matched, meter, .. }) in &self.additive {
            let used = meter.read(&billable);
            if *matched > used {
                let what = format!("{meter} taken by {id}");
                return Err(self.broken(BILL_1, what, matched, &format!("{used} at most")));
            }
        }
        self.check()
    }

    fn check_meters(&self) -> Result<BTreeMap<Meter, MeterFigures>, Broken> {
        let mut charged: BTreeMap<Meter, Quantity> = BTreeMap::new();
        for line in &self.lines {
            let Some(usage) = &line.usage else { continue };
            self.check_quantity(line, usage)?;
            if !usage.additive {
                let so_far = charged.entry(usage.meter).or_default();
                *so_far = self.sum(*so_far, usage.base_quantity)?;
            }
        }
        for (meter, figures) in &self.meters {
            let MeterFigures { billable, free, unassigned, waived, .. } = *figures;
            let charged = charged.remove(meter).unwrap_or_default();
            let accounted = self.sum(self.sum(charged, free)?, self.sum(waived, unassigned)?)?;
            self.same(BILL_1, format_args!("{meter} charged"), &figures.charged, &charged)?;
            self.same(BILL_1, format_args!("{meter} charged + free + waived + unassigned"), &accounted, &billable)?;
        }
        match charged.first_key_value() {
            Some((meter, quantity)) => Err(self.broken(BILL_1, "a charged meter without figures", meter, quantity)),
            None => Ok(self.meters.clone()),
        }
    }

    /// Each additive charge by itself: what it takes is charged or waived, none is free.
    fn check_additive(&self) -> Result<BTreeMap<Label, AdditiveFigures>, Broken> {
        let mut charged: BTreeMap<(&Label, Meter), Quantity> = BTreeMap::new();
        for line in &self.lines {
            if let Some(usage) = line.usage.as_ref().filter(|usage| usage.additive) {
                let so_far = charged.entry((&line.charge, usage.meter)).or_default();
                *so_far = self.sum(*so_far, usage.base_quantity)?;
            }
        }
        for (id, figures) in &self.additive {
            let charged = charged.remove(&(id, figures.meter)).unwrap_or_default();
            let accounted = self.sum(charged, figures.waived)?;
            self.same(BILL_1, format_args!("{id} charged"), &figures.charged, &charged)?;
            self.same(BILL_1, format_args!("{id} charged + waived"), &accounted, &figures.matched)?;
        }
        match charged.first_key_value() {
            Some(((id, _), quantity)) => Err(self.broken(BILL_1, "an additive charge without figures", id, quantity)),
            None => Ok(self.additive.clone()),
        }
    }

    fn sum(&self, a: Quantity, b: Quantity) -> Result<Quantity, Broken> {
        a.plus(b, "a meter").map_err(|overflow| self.too_large(BILL_1, &overflow))
    }

    /// The quantity that is priced is the one that is charged: the same, or as many packages as hold it.
    fn check_quantity(&self, line: &Line, usage: &LineUsage) -> Result<(), Broken> {
        let charged = usage.meter.display(usage.base_quantity);
        let holds = match &line.package_size {
            None => line.quantity == charged,
            Some(size) => {
                let held = line.quantity.times(size);
                charged <= held && held.minus(size) < charged
            }
        };
        let what = || format!("the quantity of a line of {}", line.charge);
        if holds { Ok(()) } else { Err(self.broken(BILL_1, what(), &line.quantity, &charged)) }
    }

    fn same<T: PartialEq + Display>(
        &self,
        invariant: &'static str,
        what: impl Display,
        found: &T,
        expected: &T,
    ) -> Result<(), Broken> {
        if found == expected { Ok(()) } else { Err(self.broken(invariant, what, found, expected)) }
    }

    fn too_large(&self, invariant: &'static str, overflow: &Overflow) -> Broken {
        self.broken(invariant, format_args!("the sum of {}", overflow.of), "past 2^127 - 1", &"a quantity")
    }

    pub(crate) fn broken(
        &self,
        invariant: &'static str,
        what: impl Display,
        found: impl Display,
        expected: &impl Display,
    ) -> Broken {
        Broken {
            invariant,
            customer_id: self.customer_id.clone(),
            month: self.month,
            what: what.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}
