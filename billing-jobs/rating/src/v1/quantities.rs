//! How much each charge has to price: the month's groups that it takes, CPU time up to its cap, less what is free.

use std::collections::BTreeMap;

use contract::ids::{Digest, Label};

use super::Rating;
use crate::bill::{AdditiveFigures, MeterFigures};
use crate::meter::Meter;
use crate::money::Price;
use crate::price_book::{Charge, Metered, Model, Pricing};
use crate::quantity::{Overflow, Quantity};
use crate::rate::RateError;
use crate::usage::{Quantities, UsageGroup};

/// A billable group of the month.
pub(crate) struct Group<'a> {
    /// Among all groups, rejected ones too.
    number: usize,
    of: &'a UsageGroup,
    used: &'a Quantities,
    /// CPU time above the cap.
    waived: Quantity,
}

impl Group<'_> {
    fn waived(&self, meter: Meter) -> Quantity {
        if meter == Meter::CpuSeconds { self.waived } else { Quantity::ZERO }
    }
    /// What is left to bill.
    fn billed(&self, meter: Meter) -> Quantity {
        meter.read(self.used).split(self.waived(meter)).1
    }
}

/// What one charge has to price.
pub(crate) enum Share<'a> {
    Flat { charge: &'a Charge, amount: &'a Price },
    Metered(MeteredShare<'a>),
}

/// Quantities in base units.
pub(crate) struct MeteredShare<'a> {
    pub(crate) charge: &'a Charge,
    pub(crate) metered: &'a Metered,
    pub(crate) quantities_sha256: Digest,
    /// To be charged.
    pub(crate) quantity: Quantity,
    pub(crate) free: Quantity,
}

impl<'a> Rating<'a> {
    /// The billable groups, each with what the plan waives of its CPU time.
    pub(super) fn capped_groups(&self) -> Result<Vec<Group<'a>>, RateError> {
        let mut groups = Vec::new();
        for (number, (group, used)) in self.usage.groups.iter().enumerate() {
            if group.is_billable() {
                let waived = self.waived(group, used).map_err(|overflow| self.too_much_usage(overflow))?;
                groups.push(Group { number, of: group, used, waived });
            }
        }
        Ok(groups)
    }

    fn waived(&self, group: &UsageGroup, used: &Quantities) -> Result<Quantity, Overflow> {
        let Some(cap) = self.plan.cpu_caps.iter().find(|cap| cap.filter.takes(group)) else {
            return Ok(Quantity::ZERO);
        };
        let pixels = used.input_pixels.plus(used.output_pixels, "pixels")?;
        // A cap past 2^127 − 1 is above any CPU time.
        let billed = pixels.millionths(cap.micros_per_megapixel).unwrap_or(used.cpu_micros);
        Ok(used.cpu_micros.split(billed).1)
    }

    /// In price-book order.
    pub(super) fn quantity_per_charge(&self, groups: &[Group<'_>]) -> Result<Vec<Share<'a>>, RateError> {
        // Charges that look at the same groups name the same digest.
        let all: Vec<usize> = (0..self.usage.groups.len()).collect();
        let mut digests: Vec<(Vec<usize>, Digest)> = vec![(all, self.quantities_sha256)];
        let mut shares = Vec::new();
        for charge in &self.plan.charges {
            let metered = match &charge.pricing {
                Pricing::Metered(metered) => metered,
                Pricing::Flat { amount } => {
                    shares.push(Share::Flat { charge, amount });
                    continue;
                }
            };
            let taken = groups.iter().filter(|group| metered.filter.takes(group.of));
            let quantity = sum(metered.meter, taken.clone()).map_err(|overflow| self.too_much_usage(overflow))?;
            let taken: Vec<usize> = taken.map(|group| group.number).collect();
            let known = digests.iter().find(|(groups, _)| *groups == taken).map(|(_, digest)| *digest);
            let quantities_sha256 = known.unwrap_or_else(|| {
                let digest = self.written.digest(|number| taken.binary_search(&number).is_ok());
                digests.push((taken, digest));
                digest
            });
            let free = Quantity::ZERO;
            shares.push(Share::Metered(MeteredShare { charge, metered, quantities_sha256, quantity, free }));
        }
        Ok(shares)
    }

    /// The right sides of BILL-1, from the shares, and the left ones from the groups. Whether they are equal is for the
    /// check.
    pub(super) fn account_for(&self, groups: &[Group<'_>], shares: &[Share<'_>]) -> Result<Figures, RateError> {
        self.figures(groups, shares).map_err(|overflow| self.too_much_usage(overflow))
    }

    fn figures(&self, groups: &[Group<'_>], shares: &[Share<'_>]) -> Result<Figures, Overflow> {
        let metered = || {
            shares.iter().filter_map(|share| match share {
                Share::Flat { .. } => None,
                Share::Metered(share) => Some(share),
            })
        };
        let billable = self.usage.billable()?;
        let mut meters: BTreeMap<Meter, MeterFigures> = BTreeMap::new();
        let mut additive: BTreeMap<Label, AdditiveFigures> = BTreeMap::new();
        for MeteredShare { charge, metered: Metered { meter, filter, additive: on_top, .. }, quantity, free, .. } in
            metered()
        {
            let figures = meters.entry(*meter).or_default();
            if !on_top {
                figures.charged = figures.charged.plus(*quantity, meter.name())?;
                figures.free = figures.free.plus(*free, meter.name())?;
                continue;
            }
            let taken = || groups.iter().filter(|group| filter.takes(group.of));
            let add = |sum: Quantity, next: Quantity| sum.plus(next, meter.name());
            let matched = taken().map(|group| meter.read(group.used)).try_fold(Quantity::ZERO, add)?;
            let waived = taken().map(|group| group.waived(*meter)).try_fold(Quantity::ZERO, add)?;
            additive.insert(charge.id.clone(), AdditiveFigures { charged: *quantity, matched, meter: *meter, waived });
        }
        for (meter, figures) in &mut meters {
            figures.billable = meter.read(&billable);
            let taken = |group: &Group<'_>| {
                metered().any(|MeteredShare { metered, .. }| {
                    metered.meter == *meter && !metered.additive && metered.filter.takes(group.of)
                })
            };
            for group in groups {
                figures.waived = figures.waived.plus(group.waived(*meter), meter.name())?;
                if !taken(group) {
                    figures.unassigned = figures.unassigned.plus(group.billed(*meter), meter.name())?;
                }
            }
        }
        Ok((meters, additive))
    }
}

/// Per meter, and per additive charge.
type Figures = (BTreeMap<Meter, MeterFigures>, BTreeMap<Label, AdditiveFigures>);

fn sum<'g>(meter: Meter, mut groups: impl Iterator<Item = &'g Group<'g>>) -> Result<Quantity, Overflow> {
    groups.try_fold(Quantity::ZERO, |sum, group| sum.plus(group.billed(meter), meter.name()))
}

/// Each meter's allowance goes to its charges in price-book order, until it is used up. Additive charges get none of it:
/// a unit that is free is free in the charge that it falls to, once.
pub(crate) fn allow_free(shares: &mut [Share<'_>], allowances: &BTreeMap<Meter, Quantity>) {
    let mut left = allowances.clone();
    for share in shares {
        if let Share::Metered(share) = share
            && !share.metered.additive
            && let Some(left) = left.get_mut(&share.metered.meter)
        {
            (share.free, share.quantity) = share.quantity.split(*left);
            (_, *left) = left.split(share.free);
        }
    }
}

impl MeteredShare<'_> {
    pub(super) fn model(&self) -> &Model {
        &self.metered.model
    }
}
