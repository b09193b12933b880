//! Prices, percentages, amounts, and the one rounding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

pub use crate::decimal::Decimal;

/// A price has at most this many decimals.
pub const MAX_PRICE_DECIMALS: usize = 12;
/// And at most this many digits before the point, as has a quantity in a price book.
const MAX_WHOLE_DIGITS: usize = 18;
/// A percentage has at most this many decimals.
const MAX_PERCENT_DECIMALS: usize = 4;
/// No ISO 4217 currency has more.
const MAX_MINOR_DECIMALS: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct BadDecimal {
    text: String,
    expected: &'static str,
}

pub(crate) fn bad(text: &str, expected: &'static str) -> BadDecimal {
    BadDecimal { text: text.chars().take(80).collect(), expected }
}

/// Reads `12`, `12.50`: no sign, no exponent, no leading zeros. Gives the digits without the trailing zeros of the
/// fraction, and how many of them stand after the point.
pub(crate) fn parse_plain(text: &str) -> Option<(i128, u32)> {
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
    Some((format!("{whole}{fraction_kept}").parse().ok()?, fraction_kept.len().try_into().ok()?))
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
        Ok(Self(Decimal::new(digits, decimals)))
    }
}

/// A percentage from 0 to 100, of at most 4 decimals: a discount, or a rate of tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Percent(Decimal);

impl Percent {
    pub fn as_decimal(&self) -> &Decimal {
        &self.0
    }
    /// So much of `whole`, exact.
    pub fn of(&self, whole: &Decimal) -> Decimal {
        const HUNDREDTH: Decimal = Decimal::new(1, 2);
        whole.times(&self.0).times(&HUNDREDTH)
    }
}
impl FromStr for Percent {
    type Err = BadDecimal;
    fn from_str(s: &str) -> Result<Self, BadDecimal> {
        let bad = || bad(s, "a percentage such as \"12.5\": from 0 to 100, at most 4 digits after the point");
        let (digits, decimals) = parse_plain(s).ok_or_else(bad)?;
        let percent = Decimal::new(digits, decimals);
        let fits = usize::try_from(decimals).is_ok_and(|decimals| decimals <= MAX_PERCENT_DECIMALS);
        if fits && percent <= Decimal::new(100, 0) { Ok(Self(percent)) } else { Err(bad()) }
    }
}
impl TryFrom<String> for Percent {
    type Error = BadDecimal;
    fn try_from(s: String) -> Result<Self, BadDecimal> {
        s.parse()
    }
}
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Money after rounding: whole minor units. Written with as many decimals as the currency has, such as `-0.05`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
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
    pub const fn is_zero(&self) -> bool {
        self.minor_units == 0
    }
    pub const fn is_negative(&self) -> bool {
        self.minor_units < 0
    }
    pub fn to_decimal(&self) -> Decimal {
        Decimal::new(self.minor_units, self.decimals.into())
    }
    /// `None` past what an i128 holds, or for amounts of different decimals.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let minor_units = self.minor_units.checked_add(other.minor_units)?;
        (self.decimals == other.decimals).then_some(Self { minor_units, ..*self })
    }
    /// `None` past what an i128 holds, or for amounts of different decimals.
    pub fn minus(&self, other: &Self) -> Option<Self> {
        let minor_units = self.minor_units.checked_sub(other.minor_units)?;
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
impl TryFrom<String> for Amount {
    type Error = BadDecimal;
    fn try_from(s: String) -> Result<Self, BadDecimal> {
        s.parse()
    }
}
/// In JSON every number of this crate is a string.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The one rounding: half away from zero, to the currency's decimals. `None` past what an i128 of minor units holds.
pub fn round_line(exact: &Decimal, decimals: u8) -> Option<Amount> {
    exact.round_half_away(decimals).map(|minor_units| Amount { minor_units, decimals })
}
