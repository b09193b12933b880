//! The TOML of a price book as it is written. Its JSON Schema is made of these types and their docs.

use std::collections::BTreeMap;
use std::fmt;

use contract::account::Currency;
use contract::ids::{Label, PlanName};
use contract::time::{BadTime, Month};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::finding::{Findings, Mistakes};
use super::plan::read_plan;
use super::prune::prune;
use super::{ModelName, PriceBook, RatingVersion};
use crate::meter::Meter;

/// Some 10,000 charges; bounds the work on a file from outside.
const MAX_BYTES: usize = 1 << 20;

const MONTH: &str = "^[0-9]{4}-(0[1-9]|1[0-2])$";
const PRICE: &str = "^(0|[1-9][0-9]{0,17})(\\.[0-9]{1,12}0*)?$";
const WHOLE: &str = "^(0|[1-9][0-9]{0,17})$";
const PERCENT: &str = "^(100(\\.0+)?|[1-9]?[0-9](\\.[0-9]{1,4}0*)?)$";

/// A price book. It bills from `effective_from` on, until one of a higher version does.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Pixtoll price book")]
pub(super) struct RawBook {
    /// From 1. A published version never changes.
    #[schemars(with = "u32", range(min = 1))]
    pub(super) version: Spanned<u32>,
    /// The first month that it bills, such as "2026-10".
    #[schemars(with = "String", extend("pattern" = MONTH))]
    effective_from: Spanned<Text>,
    /// The arithmetic to bill by: 1.
    #[schemars(with = "u32", extend("enum" = [1]))]
    rating_version: RatingVersion,
    /// By name, as accounts call them.
    #[serde(default)]
    plans: BTreeMap<PlanName, RawPlan>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan")]
pub(super) struct RawPlan {
    /// ISO 4217; that of the accounts on this plan.
    #[schemars(with = "Currency")]
    pub(super) currency: Spanned<Currency>,
    /// What a month costs at least, taxes aside. What the lines lack is added.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) minimum: Option<Spanned<Text>>,
    #[serde(default)]
    pub(super) taxes: Vec<RawTax>,
    #[serde(default)]
    pub(super) cpu_caps: Vec<RawCpuCap>,
    #[serde(default)]
    pub(super) allowances: Vec<RawAllowance>,
    #[serde(default)]
    pub(super) charges: Vec<RawCharge>,
}

/// A tax at one rate. A charge that names none is subject to the plan's first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tax")]
pub(super) struct RawTax {
    #[schemars(with = "Label")]
    pub(super) name: Spanned<Label>,
    /// From 0 to 100, at most 4 decimals.
    #[schemars(with = "String", extend("pattern" = PERCENT))]
    pub(super) percent: Spanned<Text>,
}

/// CPU time above it is waived: per region, operation, input and output format, over the whole month.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CpuCap")]
pub(super) struct RawCpuCap {
    /// Microseconds per million pixels, those read and those written together.
    #[schemars(with = "String", extend("pattern" = WHOLE))]
    pub(super) micros_per_megapixel: Spanned<Text>,
    #[serde(default)]
    #[schemars(with = "RawFilter")]
    pub(super) filter: Option<Spanned<RawFilter>>,
}

/// So much of a meter is free each month. It goes to the meter's charges in their order, not to additive ones.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Allowance")]
pub(super) struct RawAllowance {
    #[schemars(with = "Meter")]
    pub(super) meter: Spanned<Meter>,
    /// In conversions, seconds, megabytes or megapixels.
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) quantity: Spanned<Text>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Charge")]
pub(super) struct RawCharge {
    /// Its name on the bill, once in a plan.
    #[schemars(with = "Label")]
    pub(super) id: Spanned<Label>,
    pub(super) model: ModelName,
    /// All models but `flat`.
    #[serde(default)]
    #[schemars(with = "Meter")]
    pub(super) meter: Option<Spanned<Meter>>,
    /// Which usage it takes; all, if there is none.
    #[serde(default)]
    #[schemars(with = "RawFilter")]
    pub(super) filter: Option<Spanned<RawFilter>>,
    /// It charges usage that another charge takes, too.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(super) additive: Option<Spanned<bool>>,
    /// Model `flat`.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) amount: Option<Spanned<Text>>,
    /// Model `per_unit`: per conversion, second, megabyte or megapixel.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) unit_price: Option<Spanned<Text>>,
    /// Models `graduated` and `volume`.
    #[serde(default)]
    #[schemars(with = "Vec<RawTier>", length(min = 1))]
    pub(super) tiers: Option<Spanned<Vec<Spanned<RawTier>>>>,
    /// Model `package`: how much is in one.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) size: Option<Spanned<Text>>,
    /// Model `package`: of one.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) price: Option<Spanned<Text>>,
    /// Taken off each of its lines before they are rounded: from 0 to 100, at most 4 decimals.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PERCENT))]
    pub(super) discount_percent: Option<Spanned<Text>>,
    /// One of the plan's; the first, if it doesn't say.
    #[serde(default)]
    #[schemars(with = "Label")]
    pub(super) tax: Option<Spanned<Label>>,
}

/// The last tier has no `up_to`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tier")]
pub(super) struct RawTier {
    /// The last unit that is in it.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) up_to: Option<Spanned<Text>>,
    #[schemars(with = "String", extend("pattern" = PRICE))]
    pub(super) unit_price: Spanned<Text>,
}

/// All conditions hold at once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Filter")]
pub(super) struct RawFilter {
    #[serde(default)]
    #[schemars(with = "RawCondition")]
    pub(super) region: Option<RawCondition>,
    #[serde(default)]
    #[schemars(with = "RawCondition")]
    pub(super) operation: Option<RawCondition>,
    #[serde(default)]
    #[schemars(with = "RawCondition")]
    pub(super) input_format: Option<RawCondition>,
    #[serde(default)]
    #[schemars(with = "RawCondition")]
    pub(super) output_format: Option<RawCondition>,
}

/// `{ only = […] }` takes what it names; `{ except = […] }` all else, labels yet to come and unknown formats too.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Condition")]
pub(super) enum RawCondition {
    Only(Vec<Label>),
    Except(Vec<Label>),
}

/// A number or month in quotes, not read yet: so that the error can say in which charge it stands.
pub(super) struct Text(pub(super) String);

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

pub(super) fn read(toml: &str) -> Result<PriceBook, Mistakes> {
    let findings = Findings::new(toml);
    if toml.len() > MAX_BYTES {
        let problem = format!("{} bytes are more than the {MAX_BYTES} that a price book may have", toml.len());
        findings.at("the file").wrong::<()>(&(0..0), problem);
        return findings.unless_any(None);
    }
    let book = read_book(toml, &findings);
    findings.unless_any(book)
}

fn read_book(toml: &str, findings: &Findings<'_>) -> Option<PriceBook> {
    let (table, errors) = DeTable::parse_recoverable(toml);
    if !errors.is_empty() {
        for error in &errors {
            findings.refused(error);
        }
        return None;
    }
    let span = table.span();
    let mut table = table.into_inner();
    let pruned = prune(&mut table, findings);
    let whole = ValueDeserializer::from(Spanned::new(span, DeValue::Table(table)));
    let raw = RawBook::deserialize(whole).map_err(|error| findings.refused(&error)).ok()?;

    let at = findings.at("the price book");
    if *raw.version.get_ref() == 0 {
        at.wrong::<()>(&raw.version.span(), "versions start at 1");
    }
    let month: Result<Month, BadTime> = raw.effective_from.get_ref().0.parse();
    let effective_from = at.right(&raw.effective_from.span(), month);
    let plans = raw.plans.into_iter().map(|(name, plan)| {
        let whole = !pruned.contains(name.as_str());
        Some((name.clone(), read_plan(findings, &name, plan, whole)?))
    });
    // Collected first: one plan's mistake doesn't hide the next plan's.
    let plans: Vec<_> = plans.collect();
    Some(PriceBook {
        version: raw.version.into_inner(),
        effective_from: effective_from?,
        rating_version: raw.rating_version,
        plans: plans.into_iter().collect::<Option<_>>()?,
    })
}
