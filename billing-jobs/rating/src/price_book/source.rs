//! The TOML of a price book, and its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use contract::account::Currency;
use contract::ids::{Label, PlanName};
use contract::time::{BadTime, Month};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use super::{Charge, Model, ModelName, Plan, PriceBook, PriceBookError, Pricing, RatingVersion, Tier};
use crate::currency::minor_decimals;
use crate::meter::Meter;
use crate::money::{Price, parse_plain};
use crate::quantity::{Positive, Quantity};

/// Some 10,000 charges; bounds the work on a file from outside.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBook {
    version: Spanned<u32>,
    effective_from: Spanned<Text>,
    rating_version: RatingVersion,
    #[serde(default)]
    plans: BTreeMap<PlanName, RawPlan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    currency: Spanned<Currency>,
    #[serde(default)]
    allowances: Vec<RawAllowance>,
    #[serde(default)]
    charges: Vec<RawCharge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllowance {
    meter: Spanned<Meter>,
    quantity: Spanned<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCharge {
    id: Spanned<Label>,
    model: ModelName,
    meter: Option<Spanned<Meter>>,
    amount: Option<Spanned<Text>>,
    unit_price: Option<Spanned<Text>>,
    tiers: Option<Spanned<Vec<Spanned<RawTier>>>>,
    size: Option<Spanned<Text>>,
    price: Option<Spanned<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    up_to: Option<Spanned<Text>>,
    unit_price: Spanned<Text>,
}

/// A number or month in quotes, not read yet: so that the error can say in which charge it stands.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes, such as \"0.0021\" (a TOML number is not exact) or \"2026-01\"")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }
}

type Checked<T> = Result<T, PriceBookError>;

pub(super) fn parse(toml: &str) -> Checked<PriceBook> {
    if toml.len() > MAX_BYTES {
        let problem = format!("{} bytes are more than the {MAX_BYTES} that a price book may have", toml.len());
        return Err(PriceBookError { line: 1, place: "the file".to_owned(), problem });
    }
    let raw: RawBook = toml::from_str(toml).map_err(|error| not_a_price_book(toml, &error))?;
    let book = At { toml, place: "the price book".to_owned() };
    if *raw.version.get_ref() == 0 {
        return Err(book.wrong(&raw.version.span(), "versions start at 1"));
    }
    let effective_from = raw.effective_from.get_ref().0.parse();
    let effective_from: Month =
        effective_from.map_err(|error: BadTime| book.wrong(&raw.effective_from.span(), error.to_string()))?;
    let plans = raw.plans.into_iter().map(|(name, plan)| Ok((name.clone(), read_plan(toml, &name, plan)?)));
    Ok(PriceBook {
        version: raw.version.into_inner(),
        effective_from,
        rating_version: raw.rating_version,
        plans: plans.collect::<Checked<_>>()?,
    })
}

/// What TOML or serde refused: the place is the line as it stands.
fn not_a_price_book(toml: &str, error: &toml::de::Error) -> PriceBookError {
    let line = line_of(toml, &error.span().unwrap_or_default());
    let text = toml.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    let place = format!("`{}`", text.chars().take(120).collect::<String>());
    PriceBookError { line, place, problem: error.message().replace('\n', " ") }
}

fn line_of(toml: &str, span: &Range<usize>) -> usize {
    toml.bytes().take(span.start).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

/// What is being read: gives every mistake its line and place.
struct At<'a> {
    toml: &'a str,
    place: String,
}

impl At<'_> {
    fn wrong(&self, span: &Range<usize>, problem: impl Into<String>) -> PriceBookError {
        PriceBookError { line: line_of(self.toml, span), place: self.place.clone(), problem: problem.into() }
    }

    fn price(&self, text: &Spanned<Text>) -> Checked<Price> {
        text.get_ref().0.parse().map_err(|error| self.wrong(&text.span(), format!("{error}")))
    }

    /// A quantity in display units must be whole in base units.
    fn quantity(&self, meter: Meter, text: &Spanned<Text>) -> Checked<Quantity> {
        let written = &text.get_ref().0;
        let (digits, decimals) = parse_plain(written).ok_or_else(|| {
            let expected = "a quantity such as \"100\" or \"0.5\": not negative, at most 18 digits before the point";
            self.wrong(&text.span(), format!("{written:?} is not {expected}"))
        })?;
        let whole = u32::try_from(decimals).ok().and_then(|decimals| meter.decimals().checked_sub(decimals));
        let base = whole.and_then(|zeros| digits.checked_mul(10_i128.checked_pow(zeros)?));
        base.and_then(|base| Quantity::new(base).ok()).ok_or_else(|| {
            let step = meter.display(Quantity::ONE);
            self.wrong(
                &text.span(),
                format!("{written:?} is not a multiple of {step}, the step that {meter} counts in"),
            )
        })
    }

    fn positive(&self, meter: Meter, text: &Spanned<Text>) -> Checked<Positive> {
        let nothing = || self.wrong(&text.span(), "a package of 0 holds nothing: give it a size");
        Positive::new(self.quantity(meter, text)?).ok_or_else(nothing)
    }
}

fn read_plan(toml: &str, name: &PlanName, raw: RawPlan) -> Checked<Plan> {
    let at = At { toml, place: format!("plan {name}") };
    let minor_decimals = minor_decimals(raw.currency.get_ref()).ok_or_else(|| {
        let problem = format!("{} is not an ISO 4217 currency with a minor unit", raw.currency.get_ref());
        at.wrong(&raw.currency.span(), problem)
    })?;

    let mut charges = Vec::new();
    let mut ids = BTreeSet::new();
    let mut charged_by = BTreeMap::new();
    for charge in raw.charges {
        let at = At { toml, place: format!("plan {name}, charge {}", charge.id.get_ref()) };
        let span = charge.id.span();
        let charge = read_charge(&at, charge)?;
        if !ids.insert(charge.id.clone()) {
            return Err(at.wrong(&span, "the plan has two charges of this id: rename one"));
        }
        if let Pricing::Metered { meter, .. } = charge.pricing
            && let Some(first) = charged_by.insert(meter, charge.id.clone())
        {
            let problem =
                format!("{meter} is charged by {first} already, so the same usage would be billed twice: remove one");
            return Err(at.wrong(&span, problem));
        }
        charges.push(charge);
    }

    let mut allowances = BTreeMap::new();
    for allowance in raw.allowances {
        let (meter, span) = (*allowance.meter.get_ref(), allowance.meter.span());
        let at = At { toml, place: format!("plan {name}, allowance of {meter}") };
        if !charged_by.contains_key(&meter) {
            return Err(
                at.wrong(&span, "no charge of the plan has this meter, so nothing is there to be free: remove it")
            );
        }
        if allowances.insert(meter, at.quantity(meter, &allowance.quantity)?).is_some() {
            return Err(at.wrong(&span, "the plan has two allowances of this meter: add them up in one"));
        }
    }
    Ok(Plan { currency: raw.currency.into_inner(), minor_decimals, allowances, charges })
}

fn read_charge(at: &At<'_>, mut raw: RawCharge) -> Checked<Charge> {
    let (model, span) = (raw.model, raw.id.span());
    let missing = |field: &str| at.wrong(&span, format!("model {model} needs `{field}`: add it"));
    let mut meter = || raw.meter.take().map(Spanned::into_inner).ok_or_else(|| missing("meter"));
    let pricing = match model {
        ModelName::Flat => Pricing::Flat { amount: at.price(&raw.amount.take().ok_or_else(|| missing("amount"))?)? },
        ModelName::PerUnit => {
            let unit_price = at.price(&raw.unit_price.take().ok_or_else(|| missing("unit_price"))?)?;
            Pricing::Metered { meter: meter()?, model: Model::PerUnit { unit_price } }
        }
        ModelName::Graduated => {
            let meter = meter()?;
            let tiers = raw.tiers.take().ok_or_else(|| missing("tiers"))?;
            Pricing::Metered { meter, model: Model::Graduated { tiers: read_tiers(at, meter, &tiers)? } }
        }
        ModelName::Package => {
            let meter = meter()?;
            let size = at.positive(meter, &raw.size.take().ok_or_else(|| missing("size"))?)?;
            let price = at.price(&raw.price.take().ok_or_else(|| missing("price"))?)?;
            Pricing::Metered { meter, model: Model::Package { size, price } }
        }
    };
    let left_over = [
        ("meter", raw.meter.map(|field| field.span())),
        ("amount", raw.amount.map(|field| field.span())),
        ("unit_price", raw.unit_price.map(|field| field.span())),
        ("tiers", raw.tiers.map(|field| field.span())),
        ("size", raw.size.map(|field| field.span())),
        ("price", raw.price.map(|field| field.span())),
    ];
    for (field, span) in left_over {
        if let Some(span) = span {
            return Err(at.wrong(&span, format!("model {model} has no `{field}`: remove it, or choose another model")));
        }
    }
    Ok(Charge { id: raw.id.into_inner(), pricing })
}

fn read_tiers(at: &At<'_>, meter: Meter, raw: &Spanned<Vec<Spanned<RawTier>>>) -> Checked<Vec<Tier>> {
    let mut tiers = Vec::new();
    let mut above = Some(Quantity::ZERO);
    for tier in raw.get_ref() {
        let Some(reached) = above else {
            return Err(at.wrong(&tier.span(), "the tier before this one has no `up_to`, so none is left: give it one"));
        };
        let RawTier { up_to, unit_price } = tier.get_ref();
        let up_to = up_to.as_ref().map(|text| at.quantity(meter, text)).transpose()?;
        if up_to.is_some_and(|up_to| up_to <= reached) {
            let problem = format!("`up_to` must be more than {}, where the tier begins", meter.display(reached));
            return Err(at.wrong(&tier.span(), problem));
        }
        tiers.push(Tier { up_to, unit_price: at.price(unit_price)? });
        above = up_to;
    }
    if above.is_some() {
        return Err(
            at.wrong(&raw.span(), "the last tier must have no `up_to`, so that every quantity has a price: add one")
        );
    }
    Ok(tiers)
}
