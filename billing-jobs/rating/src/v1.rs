//! Rating version 1: the one order of operations, and the arithmetic of each price model.
//!
//! ```text
//! month's quantity per charge → free allowance → price model → round → total
//! ```
//!
//! Frozen: what changes the bytes of a bill that this version has made belongs into a new version.

use std::collections::BTreeMap;

use contract::ids::{Digest, Label};

use crate::bill::{Line, LineTier, LineUsage, MeterFigures};
use crate::meter::{Meter, Unit};
use crate::money::{Amount, Decimal, Price, round_line};
use crate::price_book::{Charge, Model, ModelName, Plan, Pricing, Tier};
use crate::quantity::{Overflow, Positive, Quantity};
use crate::rate::RateError;
use crate::usage::{MonthUsage, UsageGroup};

pub(crate) struct Rated {
    pub(crate) lines: Vec<Line>,
    pub(crate) meters: BTreeMap<Meter, MeterFigures>,
    pub(crate) total: Amount,
    pub(crate) residue: Decimal,
}

/// The order of operations is this list: a step that is added gets its place in it.
pub(crate) fn rate(usage: &MonthUsage, plan: &Plan, usage_digest: Digest) -> Result<Rated, RateError> {
    let month = Rating { usage, plan, usage_digest };
    let mut shares = month.quantity_per_charge()?;
    allow_free(&mut shares, &plan.allowances);
    let priced = shares.iter().flat_map(price).collect();
    let lines = month.round(priced)?;
    let (total, residue) = month.add_up(&lines)?;
    let meters = month.account_for(&shares)?;
    Ok(Rated { lines, meters, total, residue })
}

/// What one charge has to price.
pub(crate) enum Share<'a> {
    Flat { charge: &'a Label, amount: &'a Price },
    Metered(Metered<'a>),
}

/// Quantities in base units.
pub(crate) struct Metered<'a> {
    pub(crate) charge: &'a Label,
    pub(crate) meter: Meter,
    pub(crate) model: &'a Model,
    pub(crate) quantities_sha256: Digest,
    /// To be charged.
    pub(crate) quantity: Quantity,
    pub(crate) free: Quantity,
}

/// A line before rounding.
struct Priced {
    charge: Label,
    model: ModelName,
    usage: Option<LineUsage>,
    tier: Option<LineTier>,
    package_size: Option<Decimal>,
    quantity: Decimal,
    unit: Unit,
    unit_price: Decimal,
}

struct Rating<'a> {
    usage: &'a MonthUsage,
    plan: &'a Plan,
    usage_digest: Digest,
}

impl<'a> Rating<'a> {
    /// In price-book order. A charge takes all billable groups, since a plan charges a meter once.
    fn quantity_per_charge(&self) -> Result<Vec<Share<'a>>, RateError> {
        let billable = self.usage.billable().map_err(|overflow| self.too_much_usage(overflow))?;
        let all_billable = self.usage.groups.keys().all(UsageGroup::is_billable);
        let quantities_sha256 =
            if all_billable { self.usage_digest } else { self.usage.digest_where(UsageGroup::is_billable)? };
        let share = |charge: &'a Charge| match &charge.pricing {
            Pricing::Flat { amount } => Share::Flat { charge: &charge.id, amount },
            Pricing::Metered { meter, model } => Share::Metered(Metered {
                charge: &charge.id,
                meter: *meter,
                model,
                quantities_sha256,
                quantity: meter.read(&billable),
                free: Quantity::ZERO,
            }),
        };
        Ok(self.plan.charges.iter().map(share).collect())
    }

    fn round(&self, priced: Vec<Priced>) -> Result<Vec<Line>, RateError> {
        let round = |line: Priced| {
            let exact = line.quantity.times(&line.unit_price);
            let amount = round_line(&exact, self.plan.minor_decimals);
            let amount = amount.ok_or_else(|| self.too_much_money(&line.charge))?;
            let Priced { charge, model, usage, tier, package_size, quantity, unit, unit_price } = line;
            Ok(Line { charge, model, usage, tier, package_size, quantity, unit, unit_price, exact, amount })
        };
        priced.into_iter().map(round).collect()
    }

    /// The total, and the residue.
    fn add_up(&self, lines: &[Line]) -> Result<(Amount, Decimal), RateError> {
        let mut total = Amount::new(0, self.plan.minor_decimals);
        let mut exact = Decimal::zero();
        for line in lines {
            total = total.plus(&line.amount).ok_or_else(|| self.too_much_money(&line.charge))?;
            exact = exact.plus(&line.exact);
        }
        Ok((total, exact.minus(&total.to_decimal())))
    }

    /// The right side of BILL-1, from the shares; the left from the usage. Whether they are equal is for the check.
    fn account_for(&self, shares: &[Share<'_>]) -> Result<BTreeMap<Meter, MeterFigures>, RateError> {
        let too_much = |overflow| self.too_much_usage(overflow);
        let billable = self.usage.billable().map_err(too_much)?;
        let mut meters: BTreeMap<Meter, MeterFigures> = BTreeMap::new();
        for share in shares {
            let Share::Metered(Metered { meter, quantity, free, .. }) = share else { continue };
            let figures = meters.entry(*meter).or_default();
            figures.billable = meter.read(&billable);
            figures.charged = figures.charged.plus(*quantity, meter.name()).map_err(too_much)?;
            figures.free = figures.free.plus(*free, meter.name()).map_err(too_much)?;
        }
        Ok(meters)
    }

    fn too_much_usage(&self, overflow: Overflow) -> RateError {
        RateError::TooMuchUsage { customer_id: self.usage.customer_id.clone(), overflow }
    }
    fn too_much_money(&self, charge: &Label) -> RateError {
        RateError::TooMuchMoney { customer_id: self.usage.customer_id.clone(), charge: charge.clone() }
    }
}

/// Each meter's allowance goes to its charges in price-book order, until it is used up.
pub(crate) fn allow_free(shares: &mut [Share<'_>], allowances: &BTreeMap<Meter, Quantity>) {
    let mut left = allowances.clone();
    for share in shares {
        if let Share::Metered(metered) = share
            && let Some(left) = left.get_mut(&metered.meter)
        {
            (metered.free, metered.quantity) = metered.quantity.split(*left);
            (_, *left) = left.split(metered.free);
        }
    }
}

/// One line per (charge, tier).
fn price(share: &Share<'_>) -> Vec<Priced> {
    match share {
        Share::Flat { charge, amount } => vec![flat(charge, amount)],
        Share::Metered(metered) => match metered.model {
            Model::PerUnit { unit_price } => vec![metered.line(ModelName::PerUnit, metered.quantity, unit_price)],
            Model::Graduated { tiers } => graduated(metered, tiers),
            Model::Package { size, price } => vec![package(metered, *size, price)],
        },
    }
}

fn flat(charge: &Label, amount: &Price) -> Priced {
    Priced {
        charge: charge.clone(),
        model: ModelName::Flat,
        usage: None,
        tier: None,
        package_size: None,
        quantity: Decimal::one(),
        unit: Unit::Month,
        unit_price: amount.as_decimal().clone(),
    }
}

/// Each part of the quantity at its own tier's price: the tier `(10, 100]` prices the 11th to the 100th unit.
fn graduated(metered: &Metered<'_>, tiers: &[Tier]) -> Vec<Priced> {
    let mut lines = Vec::new();
    let mut rest = metered.quantity;
    let mut above = Quantity::ZERO;
    for (number, tier) in (1..).zip(tiers) {
        let inside;
        (inside, rest) = match tier.up_to {
            Some(up_to) => rest.split(up_to.split(above).1),
            None => (rest, Quantity::ZERO),
        };
        if number > 1 && inside == Quantity::ZERO {
            break;
        }
        let line = metered.line(ModelName::Graduated, inside, &tier.unit_price);
        let display = |base| metered.meter.display(base);
        let tier_of_line = LineTier { number, above: display(above), up_to: tier.up_to.map(display) };
        lines.push(Priced { tier: Some(tier_of_line), ..line });
        above = tier.up_to.unwrap_or(above);
    }
    lines
}

/// Every package begun; what is charged for BILL-1 is what is in them.
fn package(metered: &Metered<'_>, size: Positive, price: &Price) -> Priced {
    Priced {
        package_size: Some(metered.meter.display(size.get())),
        quantity: Decimal::new(metered.quantity.packages(size).get(), 0),
        unit: Unit::Package,
        ..metered.line(ModelName::Package, metered.quantity, price)
    }
}

impl Metered<'_> {
    /// A line of a part of the quantity, in the meter's own unit.
    fn line(&self, model: ModelName, base_quantity: Quantity, unit_price: &Price) -> Priced {
        Priced {
            charge: self.charge.clone(),
            model,
            usage: Some(LineUsage { meter: self.meter, base_quantity, quantities_sha256: self.quantities_sha256 }),
            tier: None,
            package_size: None,
            quantity: self.meter.display(base_quantity),
            unit: self.meter.unit(),
            unit_price: unit_price.as_decimal().clone(),
        }
    }
}
