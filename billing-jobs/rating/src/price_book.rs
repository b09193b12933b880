//! A price book: the plans that customers are billed by, from one month on. `PRICES.md` explains the TOML by an example
//! that uses everything; `price-book.schema.json` is its JSON Schema.
//!
//! | `model` | `meter` | other fields | what is charged |
//! |---|---|---|---|
//! | `flat` | no | `amount` | the amount, once a month, used or not |
//! | `per_unit` | yes | `unit_price` | quantity × unit price |
//! | `graduated` | yes | `tiers` | each part of the quantity at its own tier's price |
//! | `volume` | yes | `tiers` | the whole quantity at the price of the tier that it falls in |
//! | `package` | yes | `size`, `price` | every package begun |
//!
//! A plan declares a meter by charging it: what it does not declare is not charged. All usage of a declared meter falls
//! to exactly one of its charges that are not `additive`, whatever labels are yet to come ([`crate::filter`]); an additive
//! charge takes what its filter takes once more, on top. Numbers are strings: a TOML float is not exact.

mod finding;
mod plan;
mod prune;
mod source;

use std::collections::BTreeMap;
use std::fmt;

use contract::account::Currency;
use contract::ids::{Label, PlanName};
use contract::time::Month;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

pub use finding::{Finding, PriceBookError};

use crate::filter::Filter;
use crate::meter::Meter;
use crate::money::{Amount, Percent, Price};
use crate::quantity::{Positive, Quantity};

/// Parsed and checked: nothing later looks for a mistake in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceBook {
    pub version: u32,
    /// The first month that it bills.
    pub effective_from: Month,
    pub rating_version: RatingVersion,
    plans: BTreeMap<PlanName, Plan>,
}

impl PriceBook {
    /// The error is the first mistake: [`check`] tells all.
    pub fn parse(toml: &str) -> Result<Self, PriceBookError> {
        source::read(toml).map_err(|errors| errors.first)
    }
    pub fn plan(&self, name: &PlanName) -> Option<&Plan> {
        self.plans.get(name)
    }
    #[cfg(test)]
    pub(crate) fn plan_mut(&mut self, name: &PlanName) -> &mut Plan {
        self.plans.get_mut(name).unwrap()
    }
    pub fn plans(&self) -> impl Iterator<Item = (&PlanName, &Plan)> {
        self.plans.iter()
    }
}

/// Every mistake of a price book that can be told, in the order of the file; none if it is good. What `file` is called
/// stands in front of each.
///
/// What a misspelt charge would have charged is unknown, so its plan's filters are looked at only once it is mended.
pub fn check(file: &str, toml: &str) -> Vec<Finding> {
    match source::read(toml) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.in_file(file)).collect(),
    }
}

/// The JSON Schema of the TOML.
pub fn json_schema() -> Schema {
    let mut schema = schemars::schema_for!(source::RawBook);
    // TOML has no null: what may be missing has no default.
    let no_null = |schema: &mut Schema| {
        if schema.get("default").is_some_and(serde_json::Value::is_null) {
            schema.remove("default");
        }
    };
    RecursiveTransform(no_null).transform(&mut schema);
    schema
}

/// The arithmetic that a bill was made by. Only ever added to: an old bill recomputes under its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum RatingVersion {
    V1,
}

impl TryFrom<u32> for RatingVersion {
    type Error = String;
    fn try_from(version: u32) -> Result<Self, String> {
        match version {
            1 => Ok(Self::V1),
            _ => Err(format!("rating version {version} is not known to this build, which knows 1")),
        }
    }
}
impl From<RatingVersion> for u32 {
    fn from(version: RatingVersion) -> u32 {
        match version {
            RatingVersion::V1 => 1,
        }
    }
}
impl fmt::Display for RatingVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u32::from(*self).fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub currency: Currency,
    /// Of the currency's minor unit.
    pub minor_decimals: u8,
    /// What a month costs at least, taxes aside.
    pub minimum: Option<Amount>,
    /// The first is that of the minimum, and of adjustments that don't say.
    pub taxes: Vec<Tax>,
    /// No group falls to two of them.
    pub cpu_caps: Vec<CpuCap>,
    /// In base units.
    pub allowances: BTreeMap<Meter, Quantity>,
    /// In the order of the price book, which is that of the bill.
    pub charges: Vec<Charge>,
}

/// A tax at one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    pub name: Label,
    pub percent: Percent,
}

/// The CPU time of the groups that the filter takes is billed up to so much per megapixel, in and out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuCap {
    pub filter: Filter,
    pub micros_per_megapixel: Quantity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub id: Label,
    pub pricing: Pricing,
    pub discount: Option<Percent>,
    /// One of the plan's, if it has any.
    pub tax: Option<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pricing {
    /// Once a month, used or not.
    Flat {
        amount: Price,
    },
    Metered(Metered),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    pub meter: Meter,
    pub filter: Filter,
    /// Charges usage that another charge takes, too.
    pub additive: bool,
    pub model: Model,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Model {
    PerUnit { unit_price: Price },
    Graduated(Tiers),
    Volume(Tiers),
    Package { size: Positive, price: Price },
}

/// Never empty; `up_to` grows from tier to tier, and only the last has none.
pub type Tiers = Vec<Tier>;

/// A tier of 100 that follows one of 10 holds the 11th to the 100th unit: `(above, up_to]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// In base units; none for all the rest.
    pub up_to: Option<Quantity>,
    pub unit_price: Price,
}

/// A model as a price book and a bill's line call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// `amount`, once a month, used or not.
    Flat,
    /// `meter` × `unit_price`.
    PerUnit,
    /// Each part of the quantity at the price of its own of the `tiers`.
    Graduated,
    /// The whole quantity at the price of the one of the `tiers` that it falls in.
    Volume,
    /// Every package of `size` begun, at `price`.
    Package,
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::PerUnit => "per_unit",
            Self::Graduated => "graduated",
            Self::Volume => "volume",
            Self::Package => "package",
        })
    }
}
