//! What can be priced, and in which unit.
//!
//! | meter | base unit | display unit | base units in one |
//! |---|---|---|---|
//! | `conversions` | conversion | conversion | 1 |
//! | `cpu_seconds` | microsecond of one thread | second | 10^6 |
//! | `input_megabytes`, `output_megabytes` | byte | megabyte | 10^6 |
//! | `input_megapixels`, `output_megapixels` | pixel | megapixel | 10^6 |

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::Decimal;
use crate::quantity::Quantity;
use crate::usage::Quantities;

/// In the order of their names, which is that of canonical JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    Conversions,
    CpuSeconds,
    InputMegabytes,
    InputMegapixels,
    OutputMegabytes,
    OutputMegapixels,
}

/// What a line's quantity counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Month,
    Package,
    Conversion,
    Second,
    Megabyte,
    Megapixel,
}

impl Meter {
    pub const ALL: [Self; 6] = [
        Self::Conversions,
        Self::CpuSeconds,
        Self::InputMegabytes,
        Self::InputMegapixels,
        Self::OutputMegabytes,
        Self::OutputMegapixels,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Conversions => "conversions",
            Self::CpuSeconds => "cpu_seconds",
            Self::InputMegabytes => "input_megabytes",
            Self::OutputMegabytes => "output_megabytes",
            Self::InputMegapixels => "input_megapixels",
            Self::OutputMegapixels => "output_megapixels",
        }
    }

    pub const fn unit(self) -> Unit {
        match self {
            Self::Conversions => Unit::Conversion,
            Self::CpuSeconds => Unit::Second,
            Self::InputMegabytes | Self::OutputMegabytes => Unit::Megabyte,
            Self::InputMegapixels | Self::OutputMegapixels => Unit::Megapixel,
        }
    }

    /// One display unit is 10^decimals base units.
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Conversions => 0,
            _ => 6,
        }
    }

    /// What this meter reads, in base units.
    pub const fn read(self, quantities: &Quantities) -> Quantity {
        match self {
            Self::Conversions => quantities.conversions,
            Self::CpuSeconds => quantities.cpu_micros,
            Self::InputMegabytes => quantities.input_bytes,
            Self::OutputMegabytes => quantities.output_bytes,
            Self::InputMegapixels => quantities.input_pixels,
            Self::OutputMegapixels => quantities.output_pixels,
        }
    }

    /// Base units as a decimal of display units, exact.
    pub fn display(self, base: Quantity) -> Decimal {
        Decimal::new(base.get(), self.decimals())
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
