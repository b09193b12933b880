//! The arithmetic of each price model.

use contract::ids::Label;

use super::quantities::{MeteredShare, Share};
use crate::bill::{LineTier, LineUsage};
use crate::meter::Unit;
use crate::money::{Decimal, Percent, Price};
use crate::price_book::{Charge, Model, ModelName, Tier};
use crate::quantity::{Positive, Quantity};

/// A line before discount and rounding.
pub(super) struct Priced<'a> {
    pub(super) charge: &'a Label,
    pub(super) discount: Option<&'a Percent>,
    pub(super) tax: Option<&'a Label>,
    pub(super) model: ModelName,
    pub(super) usage: Option<LineUsage>,
    pub(super) tier: Option<LineTier>,
    pub(super) package_size: Option<Decimal>,
    pub(super) quantity: Decimal,
    pub(super) unit: Unit,
    pub(super) unit_price: &'a Decimal,
}

/// One line per (charge, tier), in price-book order.
pub(super) fn price<'a>(shares: &'a [Share<'a>]) -> Vec<Priced<'a>> {
    // Lines are large, and most charges have one: room at once, so that few are moved.
    let mut lines = Vec::with_capacity(shares.len().saturating_mul(2));
    for share in shares {
        match share {
            Share::Flat { charge, amount } => lines.push(flat(charge, amount)),
            Share::Metered(share) => match share.model() {
                Model::PerUnit { unit_price } => lines.push(share.line(ModelName::PerUnit, share.quantity, unit_price)),
                Model::Graduated(tiers) => graduated(share, tiers, &mut lines),
                Model::Volume(tiers) => lines.extend(volume(share, tiers)),
                Model::Package { size, price } => lines.push(package(share, *size, price)),
            },
        }
    }
    lines
}

fn flat<'a>(charge: &'a Charge, amount: &'a Price) -> Priced<'a> {
    Priced {
        charge: &charge.id,
        discount: charge.discount.as_ref(),
        tax: charge.tax.as_ref(),
        model: ModelName::Flat,
        usage: None,
        tier: None,
        package_size: None,
        quantity: Decimal::one(),
        unit: Unit::Month,
        unit_price: amount.as_decimal(),
    }
}

/// Each part of the quantity at its own tier's price: the tier `(10, 100]` prices the 11th to the 100th unit.
fn graduated<'a>(share: &'a MeteredShare<'a>, tiers: &'a [Tier], lines: &mut Vec<Priced<'a>>) {
    let mut rest = share.quantity;
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
        lines.push(share.tier_line(ModelName::Graduated, inside, (number, above, tier)));
        above = tier.up_to.unwrap_or(above);
    }
}

/// The whole quantity at the price of its tier: 100 falls into `(10, 100]`, 0 into the first.
///
/// `None` past the last tier, which a price book leaves without end; BILL-1 would miss the line.
fn volume<'a>(share: &'a MeteredShare<'a>, tiers: &'a [Tier]) -> Option<Priced<'a>> {
    let mut above = Quantity::ZERO;
    for (number, tier) in (1..).zip(tiers) {
        if tier.up_to.is_none_or(|up_to| share.quantity <= up_to) {
            return Some(share.tier_line(ModelName::Volume, share.quantity, (number, above, tier)));
        }
        above = tier.up_to.unwrap_or(above);
    }
    None
}

/// Every package begun; what is charged for BILL-1 is what is in them.
fn package<'a>(share: &'a MeteredShare<'a>, size: Positive, price: &'a Price) -> Priced<'a> {
    Priced {
        package_size: Some(share.metered.meter.display(size.get())),
        quantity: Decimal::new(share.quantity.packages(size).get(), 0),
        unit: Unit::Package,
        ..share.line(ModelName::Package, share.quantity, price)
    }
}

impl<'a> MeteredShare<'a> {
    /// A line of a part of the quantity, in the meter's own unit.
    fn line(&'a self, model: ModelName, base_quantity: Quantity, unit_price: &'a Price) -> Priced<'a> {
        let (meter, additive) = (self.metered.meter, self.metered.additive);
        let quantities_sha256 = self.quantities_sha256;
        Priced {
            charge: &self.charge.id,
            discount: self.charge.discount.as_ref(),
            tax: self.charge.tax.as_ref(),
            model,
            usage: Some(LineUsage { additive, base_quantity, meter, quantities_sha256 }),
            tier: None,
            package_size: None,
            quantity: meter.display(base_quantity),
            unit: meter.unit(),
            unit_price: unit_price.as_decimal(),
        }
    }

    /// The same, of a tier: its number, where it begins, and what it says.
    fn tier_line(
        &'a self,
        model: ModelName,
        base_quantity: Quantity,
        (number, above, tier): (u32, Quantity, &'a Tier),
    ) -> Priced<'a> {
        let display = |base| self.metered.meter.display(base);
        let tier_of_line = LineTier { above: display(above), number, up_to: tier.up_to.map(display) };
        Priced { tier: Some(tier_of_line), ..self.line(model, base_quantity, &tier.unit_price) }
    }
}
