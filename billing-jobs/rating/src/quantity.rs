//! Whole, non-negative quantities in base units (conversions, microseconds, bytes, pixels).

use std::fmt;
use std::str::FromStr;

use contract::units::{Bytes, CpuMicros, Pixels};
use serde::{Deserialize, Serialize, Serializer};

/// What is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("quantity {0:?} is not a whole number from 0 to 2^127 - 1")]
pub struct BadQuantity(String);

/// A sum of quantities that passes 2^127 − 1: never wrapped, never clamped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sum of {of} passes 2^127 - 1")]
pub struct Overflow {
    pub of: &'static str,
}

/// `0..=2^127 − 1`. In JSON a string of digits, since a JSON number is exact to 2^53 only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Quantity(i128);

impl Quantity {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(1);

    pub fn new(value: i128) -> Result<Self, BadQuantity> {
        if value >= 0 { Ok(Self(value)) } else { Err(BadQuantity(value.to_string())) }
    }
    pub const fn get(self) -> i128 {
        self.0
    }
    /// `of` names the sum in the error.
    pub fn plus(self, other: Self, of: &'static str) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow { of })
    }
    /// The first `at` of it, and the rest. All and nothing when `at` is the greater.
    #[allow(clippy::arithmetic_side_effects, reason = "0 <= head <= self")]
    #[must_use]
    pub fn split(self, at: Self) -> (Self, Self) {
        let head = self.min(at);
        (head, Self(self.0 - head.0))
    }
    /// floor(quantity × `rate` / 10^6); `None` past 2^127 − 1.
    #[allow(clippy::arithmetic_side_effects, clippy::integer_division, reason = "the divisor is 10^6")]
    pub(crate) fn millionths(self, rate: Self) -> Option<Self> {
        const MILLION: i128 = 1_000_000;
        let whole = (self.0 / MILLION).checked_mul(rate.0)?;
        let rest = (self.0 % MILLION).checked_mul(rate.0)? / MILLION;
        whole.checked_add(rest).map(Self)
    }
    /// How many packages of `size` hold it: ceil(quantity / size).
    #[allow(
        clippy::arithmetic_side_effects,
        clippy::integer_division,
        reason = "size >= 1, and full < 2^127 - 1 if begun"
    )]
    #[must_use]
    pub fn packages(self, size: Positive) -> Self {
        let full = self.0 / size.get().0;
        let begun = self.0 % size.get().0 > 0;
        Self(full + i128::from(begun))
    }
}

/// A quantity that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positive(Quantity);

impl Positive {
    pub fn new(quantity: Quantity) -> Option<Self> {
        (quantity > Quantity::ZERO).then_some(Self(quantity))
    }
    pub const fn get(self) -> Quantity {
        self.0
    }
}

impl FromStr for Quantity {
    type Err = BadQuantity;
    fn from_str(s: &str) -> Result<Self, BadQuantity> {
        let bad = || BadQuantity(s.chars().take(80).collect());
        let quantity = Self::new(s.parse().map_err(|_| bad())?)?;
        if quantity.to_string() == s { Ok(quantity) } else { Err(bad()) }
    }
}
impl TryFrom<String> for Quantity {
    type Error = BadQuantity;
    fn try_from(s: String) -> Result<Self, BadQuantity> {
        s.parse()
    }
}
impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! from_unit {
    ($($unit:ident),*) => {$(
        impl From<$unit> for Quantity {
            fn from(measured: $unit) -> Self {
                Self(i128::from(measured.get()))
            }
        }
    )*};
}
from_unit!(Bytes, CpuMicros, Pixels);
