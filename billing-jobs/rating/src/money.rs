//! Exact decimals, prices, amounts, and the one rounding.
//!
//! [`Decimal`] can add, subtract and multiply, all exact and without limit. It cannot divide, and only [`round_line`]
//! rounds.

use std::fmt;
use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode};
use serde::{Deserialize, Serialize};

/// A price has at most this many decimals.
pub const MAX_PRICE_DECIMALS: usize = 12;
/// And at most this many digits before the point, as has a quantity in a price book.
const MAX_WHOLE_DIGITS: usize = 18;
/// No ISO 4217 currency has more.
const MAX_MINOR_DECIMALS: usize = 4;
/// Far more than any bill needs; bounds the work on a decimal from outside.
const MAX_DECIMAL_CHARS: usize = 120;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct BadDecimal {
    text: String,
    expected: &'static str,
}

fn bad(text: &str, expected: &'static str) -> BadDecimal {
    BadDecimal { text: text.chars().take(80).collect(), expected }
}

/// An exact decimal number. Written without exponent, without trailing zeros, `0` for zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(BigDecimal);

#[allow(clippy::arithmetic_side_effects, reason = "a BigDecimal grows: its +, - and * neither overflow nor round")]
impl Decimal {
    /// `digits` × 10^−`decimals`.
    pub(crate) fn new(digits: i128, decimals: u32) -> Self {
        Self(BigDecimal::new(digits.into(), decimals.into()))
    }
    pub(crate) fn zero() -> Self {
        Self::new(0, 0)
    }
    pub(crate) fn one() -> Self {
        Self::new(1, 0)
    }
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(&self.0 + &other.0)
    }
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.normalized().to_plain_string())
    }
}
impl FromStr for Decimal {
    type Err = BadDecimal;
    /// Takes only what `Display` writes.
    fn from_str(s: &str) -> Result<Self, BadDecimal> {
        let bad = || bad(s, "a decimal such as -12.5 without exponent and trailing zeros");
        if s.len() > MAX_DECIMAL_CHARS || !s.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') {
            return Err(bad());
        }
        let decimal = Self(s.parse().map_err(|_| bad())?);
        if decimal.to_string() == s { Ok(decimal) } else { Err(bad()) }
    }
}

/// Reads `12`, `12.50`: no sign, no exponent, no leading zeros. Gives the digits without the trailing zeros of the
/// fraction, and how many of them stand after the point.
pub(crate) fn parse_plain(text: &str) -> Option<(i128, usize)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let fraction_kept = fraction.trim_end_matches('0');
    if !digits_only(whole) || !digits_only(fraction) || leading_zero {
        return None;
    }
    if whole.len() > MAX_WHOLE_DIGITS || fraction_kept.len() > MAX_PRICE_DECIMALS {
        return None;
    }
    Some((format!("{whole}{fraction_kept}").parse().ok()?, fraction_kept.len()))
}

/// A price of a price book: not negative, at most 18 digits before the point and 12 after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price(Decimal);

impl Price {
    pub fn as_decimal(&self) -> &Decimal {
        &self.0
    }
}
impl FromStr for Price {
    type Err = BadDecimal;
    fn from_str(s: &str) -> Result<Self, BadDecimal> {
        let expected = "a price such as \"0.0021\": not negative, at most 18 digits before the point and 12 after it";
        let (digits, decimals) = parse_plain(s).ok_or_else(|| bad(s, expected))?;
        let decimals = u32::try_from(decimals).map_err(|_| bad(s, expected))?;
        Ok(Self(Decimal::new(digits, decimals)))
    }
}

/// Money after rounding: whole minor units. Written with as many decimals as the currency has, such as `-0.05`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount {
    minor_units: i128,
    decimals: u8,
}

impl Amount {
    /// `decimals` is the currency's: see [`crate::currency::minor_decimals`].
    pub const fn new(minor_units: i128, decimals: u8) -> Self {
        Self { minor_units, decimals }
    }
    /// Cents, for a currency that has such.
    pub const fn minor_units(&self) -> i128 {
        self.minor_units
    }
    pub const fn decimals(&self) -> u8 {
        self.decimals
    }
    pub fn to_decimal(&self) -> Decimal {
        Decimal::new(self.minor_units, self.decimals.into())
    }
    /// `None` past what an i128 holds, or for amounts of different decimals.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let minor_units = self.minor_units.checked_add(other.minor_units)?;
        (self.decimals == other.decimals).then_some(Self { minor_units, ..*self })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0>width$}", self.minor_units.unsigned_abs(), width = decimals.saturating_add(1));
        match digits.split_at(digits.len().saturating_sub(decimals)) {
            (whole, "") => write!(f, "{sign}{whole}"),
            (whole, fraction) => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}
impl FromStr for Amount {
    type Err = BadDecimal;
    /// Takes only what `Display` writes; the decimals are those that stand there.
    fn from_str(s: &str) -> Result<Self, BadDecimal> {
        let bad = || bad(s, "an amount such as 12.50");
        let fraction = s.split_once('.').map_or("", |(_, fraction)| fraction);
        if fraction.len() > MAX_MINOR_DECIMALS {
            return Err(bad());
        }
        let decimals = u8::try_from(fraction.len()).map_err(|_| bad())?;
        let amount = Self { minor_units: s.replacen('.', "", 1).parse().map_err(|_| bad())?, decimals };
        if amount.to_string() == s { Ok(amount) } else { Err(bad()) }
    }
}

/// The one rounding: half away from zero, to the currency's decimals. `None` past what an i128 of minor units holds.
pub fn round_line(exact: &Decimal, decimals: u8) -> Option<Amount> {
    let rounded = exact.0.with_scale_round(decimals.into(), RoundingMode::HalfUp);
    let (minor_units, _) = rounded.into_bigint_and_scale();
    Some(Amount { minor_units: minor_units.try_into().ok()?, decimals })
}

/// In JSON every number of this crate is a string.
macro_rules! as_string {
    ($($type:ident),*) => {$(
        impl TryFrom<String> for $type {
            type Error = BadDecimal;
            fn try_from(s: String) -> Result<Self, BadDecimal> {
                s.parse()
            }
        }
        impl From<$type> for String {
            fn from(number: $type) -> String {
                number.to_string()
            }
        }
    )*};
}
as_string!(Decimal, Amount);
