//! Checks a plan: its numbers, its charges' models, and that a declared meter is shared out without hole or overlap.

use std::collections::{BTreeMap, BTreeSet};

use contract::ids::{Label, PlanName};
use toml::Spanned;

use super::finding::{At, Findings};
use super::source::{RawAllowance, RawCharge, RawCondition, RawCpuCap, RawFilter, RawPlan, RawTax, RawTier, Text};
use super::{Charge, CpuCap, Metered, Model, ModelName, Plan, Pricing, Tax, Tier, Tiers};
use crate::currency::minor_decimals;
use crate::filter::{Condition, Dimension, Filter, cover};
use crate::meter::Meter;
use crate::money::{Amount, Percent, Price, parse_plain};
use crate::quantity::{Positive, Quantity};

type Span = std::ops::Range<usize>;

impl At<'_> {
    fn price(&self, text: &Spanned<Text>) -> Option<Price> {
        self.right(&text.span(), text.get_ref().0.parse())
    }

    fn percent(&self, text: &Spanned<Text>) -> Option<Percent> {
        self.right(&text.span(), text.get_ref().0.parse())
    }

    /// A quantity in display units must be whole in base units.
    fn quantity(&self, meter: Meter, text: &Spanned<Text>) -> Option<Quantity> {
        let written = &text.get_ref().0;
        let Some((digits, decimals)) = parse_plain(written) else {
            let expected = "a quantity such as \"100\" or \"0.5\": not negative, at most 18 digits before the point";
            return self.wrong(&text.span(), format!("{written:?} is not {expected}"));
        };
        let base = whole_units(digits, decimals, meter.decimals()).and_then(|base| Quantity::new(base).ok());
        base.or_else(|| {
            let step = meter.display(Quantity::ONE);
            let problem = format!("{written:?} is not a multiple of {step}, the step that {meter} counts in");
            self.wrong(&text.span(), problem)
        })
    }

    fn positive(&self, meter: Meter, text: &Spanned<Text>) -> Option<Positive> {
        let quantity = self.quantity(meter, text)?;
        Positive::new(quantity).or_else(|| self.wrong(&text.span(), "a package of 0 holds nothing: give it a size"))
    }
}

/// `digits` × 10^−`decimals` in units of 10^−`unit_decimals`, if that is whole.
fn whole_units(digits: i128, decimals: u32, unit_decimals: u32) -> Option<i128> {
    digits.checked_mul(10_i128.checked_pow(unit_decimals.checked_sub(decimals)?)?)
}

/// All of them, so that one's mistake doesn't hide the next's; then none, if one is missing.
fn all<T, U>(raw: impl IntoIterator<Item = T>, read: impl FnMut(T) -> Option<U>) -> Option<Vec<U>> {
    let read: Vec<Option<U>> = raw.into_iter().map(read).collect();
    read.into_iter().collect()
}

/// `whole`: nothing was taken out of the plan, so that what is missing is the plan's mistake.
pub(super) fn read_plan(findings: &Findings<'_>, name: &PlanName, raw: RawPlan, whole: bool) -> Option<Plan> {
    let at = findings.at(format!("plan {name}"));
    let currency = raw.currency.get_ref();
    let minor_decimals = minor_decimals(currency).or_else(|| {
        let problem = format!("{currency} is not an ISO 4217 currency with a minor unit");
        at.wrong(&raw.currency.span(), problem)
    });
    let minimum = raw.minimum.as_ref().map(|text| read_minimum(&at, text, minor_decimals));

    let mut names = BTreeSet::new();
    let taxes = all(raw.taxes, |tax| read_tax(findings, name, tax, &mut names));
    let mut cap_spans = Vec::new();
    let caps = all(raw.cpu_caps, |cap| {
        cap_spans.push(cap.micros_per_megapixel.span());
        read_cpu_cap(&findings.at(format!("plan {name}, CPU cap {}", cap_spans.len())), &cap)
    });

    let mut ids = BTreeSet::new();
    let mut spans = Vec::new();
    let charges = all(raw.charges, |charge| {
        let at = findings.at(format!("plan {name}, charge {}", charge.id.get_ref()));
        let span = charge.id.span();
        spans.push(span.clone());
        if !ids.insert(charge.id.get_ref().clone()) {
            at.wrong::<()>(&span, "the plan has two charges of this id: rename one");
        }
        read_charge(&at, charge, taxes.as_deref().filter(|_| whole))
    });
    let charged = charges.as_ref().map(|charges| charges.iter().filter_map(meter_of).collect::<BTreeSet<Meter>>());
    let charged = charged.filter(|_| whole);

    let mut allowances = BTreeMap::new();
    let read =
        all(raw.allowances, |allowance| read_allowance(findings, name, &allowance, charged.as_ref(), &mut allowances));
    if let (Some(caps), Some(charged)) = (&caps, &charged) {
        check_caps(&at, caps, &cap_spans, charged);
    }
    if let (Some(charges), true) = (&charges, whole) {
        check_cover(findings, name, charges, &spans);
    }
    read?;
    Some(Plan {
        minor_decimals: minor_decimals?,
        minimum: minimum.map_or(Some(None), |minimum| minimum.map(Some))?,
        taxes: taxes?,
        cpu_caps: caps?,
        allowances,
        charges: charges?,
        currency: raw.currency.into_inner(),
    })
}

fn meter_of(charge: &Charge) -> Option<Meter> {
    match &charge.pricing {
        Pricing::Flat { .. } => None,
        Pricing::Metered(metered) => Some(metered.meter),
    }
}

/// Money, not a price: whole minor units.
fn read_minimum(at: &At<'_>, text: &Spanned<Text>, minor_decimals: Option<u8>) -> Option<Amount> {
    let decimals = minor_decimals?;
    let written = &text.get_ref().0;
    let units = parse_plain(written).and_then(|(digits, given)| whole_units(digits, given, decimals.into()));
    units.map(|units| Amount::new(units, decimals)).or_else(|| {
        let example = Amount::new(5_000, decimals);
        at.wrong(
            &text.span(),
            format!("minimum {written:?} is not an amount of the plan's currency, such as \"{example}\""),
        )
    })
}

fn read_tax(findings: &Findings<'_>, plan: &PlanName, raw: RawTax, names: &mut BTreeSet<Label>) -> Option<Tax> {
    let at = findings.at(format!("plan {plan}, tax {}", raw.name.get_ref()));
    if !names.insert(raw.name.get_ref().clone()) {
        at.wrong::<()>(&raw.name.span(), "the plan has two taxes of this name: rename one");
    }
    Some(Tax { percent: at.percent(&raw.percent)?, name: raw.name.into_inner() })
}

fn read_cpu_cap(at: &At<'_>, raw: &RawCpuCap) -> Option<CpuCap> {
    let text = &raw.micros_per_megapixel;
    let written = &text.get_ref().0;
    let whole = parse_plain(written).filter(|(_, decimals)| *decimals == 0).map(|(digits, _)| digits);
    let micros_per_megapixel = whole.and_then(|digits| Quantity::new(digits).ok()).or_else(|| {
        at.wrong(&text.span(), format!("{written:?} is not a whole number of microseconds, such as \"30000\""))
    });
    let filter = read_filter(at, raw.filter.as_ref());
    Some(CpuCap { filter: filter?, micros_per_megapixel: micros_per_megapixel? })
}

fn read_allowance(
    findings: &Findings<'_>,
    plan: &PlanName,
    raw: &RawAllowance,
    charged: Option<&BTreeSet<Meter>>,
    allowances: &mut BTreeMap<Meter, Quantity>,
) -> Option<()> {
    let (meter, span) = (*raw.meter.get_ref(), raw.meter.span());
    let at = findings.at(format!("plan {plan}, allowance of {meter}"));
    if charged.is_some_and(|charged| !charged.contains(&meter)) {
        at.wrong::<()>(&span, "no charge of the plan has this meter, so nothing is there to be free: remove it");
    }
    if allowances.insert(meter, at.quantity(meter, &raw.quantity)?).is_some() {
        at.wrong::<()>(&span, "the plan has two allowances of this meter: add them up in one");
    }
    Some(())
}

fn check_caps(at: &At<'_>, caps: &[CpuCap], spans: &[Span], charged: &BTreeSet<Meter>) {
    let first = spans.first().cloned().unwrap_or_default();
    if !caps.is_empty() && !charged.contains(&Meter::CpuSeconds) {
        at.wrong::<()>(
            &first,
            "no charge of the plan has the meter cpu_seconds, so there is nothing to cap: remove it",
        );
    }
    let filters: Vec<&Filter> = caps.iter().map(|cap| &cap.filter).collect();
    let Ok(found) = cover(&filters) else {
        at.wrong::<()>(&first, "the filters of its CPU caps name more labels than can be checked: use fewer");
        return;
    };
    for ((_, second), cell) in found.overlaps {
        let span = spans.get(second).cloned().unwrap_or_default();
        at.wrong::<()>(&span, format!("an earlier CPU cap takes {cell} too: narrow a filter"));
    }
}

/// All usage of a meter falls to exactly one of its charges; additive ones aside.
fn check_cover(findings: &Findings<'_>, plan: &PlanName, charges: &[Charge], spans: &[Span]) {
    for meter in Meter::ALL {
        let of_meter = charges.iter().zip(spans).filter_map(|(charge, span)| match &charge.pricing {
            Pricing::Metered(metered) if metered.meter == meter => Some((charge, metered, span)),
            _ => None,
        });
        let of_meter: Vec<_> = of_meter.collect();
        let Some((_, _, first_span)) = of_meter.first() else { continue };
        let sharing: Vec<_> = of_meter.iter().filter(|(_, metered, _)| !metered.additive).collect();
        let filters: Vec<&Filter> = sharing.iter().map(|(_, metered, _)| &metered.filter).collect();
        let at = findings.at(format!("plan {plan}"));
        let Ok(found) = cover(&filters) else {
            at.wrong::<()>(
                first_span,
                format!("the filters of {meter} name more labels than can be checked: use fewer"),
            );
            continue;
        };
        if let Some(cell) = found.hole {
            let mend = "add a charge for it, or let one take all `except` what the others name";
            at.wrong::<()>(first_span, format!("no charge takes {meter} of {cell}, but additive ones at most: {mend}"));
        }
        for ((first, second), cell) in found.overlaps {
            let (Some((first, _, _)), Some((second, _, span))) = (sharing.get(first), sharing.get(second)) else {
                continue;
            };
            let at = findings.at(format!("plan {plan}, charge {}", second.id));
            let mend = "narrow a filter, or say `additive = true` to charge it on top";
            let problem =
                format!("{meter} of {cell} is charged by {} already, so it would be billed twice: {mend}", first.id);
            at.wrong::<()>(span, problem);
        }
    }
}

/// `taxes` are the plan's, if they are known.
fn read_charge(at: &At<'_>, mut raw: RawCharge, taxes: Option<&[Tax]>) -> Option<Charge> {
    let span = raw.id.span();
    let pricing = read_pricing(at, &mut raw, &span);
    let model = raw.model;
    let left_over = [
        ("meter", raw.meter.map(|field| field.span())),
        ("filter", raw.filter.map(|field| field.span())),
        ("additive", raw.additive.map(|field| field.span())),
        ("amount", raw.amount.map(|field| field.span())),
        ("unit_price", raw.unit_price.map(|field| field.span())),
        ("tiers", raw.tiers.map(|field| field.span())),
        ("size", raw.size.map(|field| field.span())),
        ("price", raw.price.map(|field| field.span())),
    ];
    for (field, span) in left_over {
        if let Some(span) = span {
            at.wrong::<()>(&span, format!("model {model} has no `{field}`: remove it, or choose another model"));
        }
    }
    let discount = raw.discount_percent.as_ref().map(|text| at.percent(text));
    let tax = raw.tax.map(|name| {
        let known = taxes.is_none_or(|taxes| taxes.iter().any(|tax| tax.name == *name.get_ref()));
        let unknown = || at.wrong(&name.span(), format!("the plan has no tax {}: add it to its taxes", name.get_ref()));
        if known { Some(name.get_ref().clone()) } else { unknown() }
    });
    let first_tax = || taxes.and_then(<[Tax]>::first).map(|tax| tax.name.clone());
    Some(Charge {
        id: raw.id.into_inner(),
        pricing: pricing?,
        discount: discount.map_or(Some(None), |discount| discount.map(Some))?,
        tax: tax.map_or_else(|| Some(first_tax()), |tax| tax.map(Some))?,
    })
}

/// Takes the model's fields out of the charge.
fn read_pricing(at: &At<'_>, raw: &mut RawCharge, span: &Span) -> Option<Pricing> {
    let model = raw.model;
    fn taken<T>(at: &At<'_>, model: ModelName, span: &Span, name: &str, field: &mut Option<T>) -> Option<T> {
        field.take().or_else(|| at.wrong(span, format!("model {model} needs `{name}`: add it")))
    }
    if model == ModelName::Flat {
        return Some(Pricing::Flat { amount: at.price(&taken(at, model, span, "amount", &mut raw.amount)?)? });
    }
    let meter = taken(at, model, span, "meter", &mut raw.meter).map(Spanned::into_inner);
    let filter = read_filter(at, raw.filter.take().as_ref());
    let additive = raw.additive.take().is_some_and(Spanned::into_inner);
    let model = match model {
        // Without a meter, a quantity can't be read; a price can.
        ModelName::Flat | ModelName::PerUnit => {
            let unit_price = taken(at, model, span, "unit_price", &mut raw.unit_price);
            unit_price.and_then(|text| at.price(&text)).map(|unit_price| Model::PerUnit { unit_price })
        }
        ModelName::Graduated | ModelName::Volume => {
            let tiers = taken(at, model, span, "tiers", &mut raw.tiers);
            let tiers = tiers.zip(meter).and_then(|(tiers, meter)| read_tiers(at, meter, &tiers));
            tiers.map(if model == ModelName::Volume { Model::Volume } else { Model::Graduated })
        }
        ModelName::Package => {
            let size = taken(at, model, span, "size", &mut raw.size).zip(meter);
            let size = size.and_then(|(text, meter)| at.positive(meter, &text));
            let price = taken(at, model, span, "price", &mut raw.price).and_then(|text| at.price(&text));
            size.zip(price).map(|(size, price)| Model::Package { size, price })
        }
    };
    Some(Pricing::Metered(Metered { meter: meter?, filter: filter?, additive, model: model? }))
}

fn read_filter(at: &At<'_>, raw: Option<&Spanned<RawFilter>>) -> Option<Filter> {
    let Some(raw) = raw else { return Some(Filter::default()) };
    let RawFilter { region, operation, input_format, output_format } = raw.get_ref();
    let mut conditions = BTreeMap::new();
    for (dimension, condition) in Dimension::ALL.into_iter().zip([region, operation, input_format, output_format]) {
        let condition = match condition {
            None => continue,
            Some(RawCondition::Only(labels)) => Condition::Only(labels.clone()),
            Some(RawCondition::Except(labels)) => Condition::Except(labels.clone()),
        };
        if condition == Condition::Only(Vec::new()) {
            return at.wrong(&raw.span(), format!("it takes no {dimension} at all: name one, or remove the condition"));
        }
        conditions.insert(dimension, condition);
    }
    Some(Filter { conditions })
}

fn read_tiers(at: &At<'_>, meter: Meter, raw: &Spanned<Vec<Spanned<RawTier>>>) -> Option<Tiers> {
    let mut tiers = Vec::new();
    let mut above = Some(Quantity::ZERO);
    for tier in raw.get_ref() {
        let Some(reached) = above else {
            return at.wrong(&tier.span(), "the tier before this one has no `up_to`, so none is left: give it one");
        };
        let RawTier { up_to, unit_price } = tier.get_ref();
        let up_to = match up_to {
            Some(text) => Some(at.quantity(meter, text)?),
            None => None,
        };
        if up_to.is_some_and(|up_to| up_to <= reached) {
            let problem = format!("`up_to` must be more than {}, where the tier begins", meter.display(reached));
            return at.wrong(&tier.span(), problem);
        }
        tiers.push(Tier { up_to, unit_price: at.price(unit_price)? });
        above = up_to;
    }
    if above.is_some() {
        return at
            .wrong(&raw.span(), "the last tier must have no `up_to`, so that every quantity has a price: add one");
    }
    Some(tiers)
}
