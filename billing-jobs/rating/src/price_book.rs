//! A price book: the plans that customers are billed by, from one month on.
//!
//! ```toml
//! version = 1
//! effective_from = "2026-01"
//! rating_version = 1
//!
//! [plans.packages]
//! currency = "EUR"
//!
//! [[plans.packages.allowances]]  # free each month, ahead of the charges of that meter
//! meter = "conversions"
//! quantity = "50"
//!
//! [[plans.packages.charges]]
//! id = "packages"
//! meter = "conversions"
//! model = "package"
//! size = "100"
//! price = "1.90"
//! ```
//!
//! | `model` | `meter` | other fields | what is charged |
//! |---|---|---|---|
//! | `flat` | no | `amount` | the amount, once a month, used or not |
//! | `per_unit` | yes | `unit_price` | quantity × unit price |
//! | `graduated` | yes | `tiers` | each part of the quantity at its own tier's price |
//! | `package` | yes | `size`, `price` | every package begun |
//!
//! A plan declares the meters it charges: what it does not declare is not charged. A meter is declared once, so that no
//! usage is billed twice. Numbers are strings: a TOML float is not exact.

mod source;

use std::collections::BTreeMap;
use std::fmt;

use contract::account::Currency;
use contract::ids::{Label, PlanName};
use contract::time::Month;
use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::money::Price;
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
    pub fn parse(toml: &str) -> Result<Self, PriceBookError> {
        source::parse(toml)
    }
    pub fn plan(&self, name: &PlanName) -> Option<&Plan> {
        self.plans.get(name)
    }
    pub fn plans(&self) -> impl Iterator<Item = (&PlanName, &Plan)> {
        self.plans.iter()
    }
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub currency: Currency,
    /// Of the currency's minor unit.
    pub minor_decimals: u8,
    /// In base units.
    pub allowances: BTreeMap<Meter, Quantity>,
    /// In the order of the price book, which is that of the bill.
    pub charges: Vec<Charge>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub id: Label,
    pub pricing: Pricing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pricing {
    /// Once a month, used or not.
    Flat {
        amount: Price,
    },
    Metered {
        meter: Meter,
        model: Model,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Model {
    PerUnit {
        unit_price: Price,
    },
    /// Never empty; `up_to` grows from tier to tier, and only the last has none.
    Graduated {
        tiers: Vec<Tier>,
    },
    Package {
        size: Positive,
        price: Price,
    },
}

/// A tier of 100 that follows one of 10 prices the 11th to the 100th unit: `(above, up_to]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// In base units; none for all the rest.
    pub up_to: Option<Quantity>,
    pub unit_price: Price,
}

/// A model as a price book and a bill's line call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    Flat,
    PerUnit,
    Graduated,
    Package,
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::PerUnit => "per_unit",
            Self::Graduated => "graduated",
            Self::Package => "package",
        })
    }
}

/// A mistake in a price book: where it stands, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {place}: {problem}")]
pub struct PriceBookError {
    /// From 1.
    pub line: usize,
    /// The plan and charge, or the line itself.
    pub place: String,
    pub problem: String,
}
