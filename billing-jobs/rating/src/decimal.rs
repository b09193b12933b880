//! Exact decimal numbers.
//!
//! [`Decimal`] can add, subtract and multiply, all exact and without limit. It cannot divide, and only
//! [`crate::money::round_line`] rounds. Digits that fit an i128, as those of any real bill do, are kept in one, which is
//! several times faster; past that a [`BigDecimal`] takes over. A test holds one against the other.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode};
use serde::{Deserialize, Serialize, Serializer};

use crate::money::{BadDecimal, bad};

/// Far more than any bill needs; bounds the work on a decimal from outside.
const MAX_DECIMAL_CHARS: usize = 120;

/// An exact decimal number. Written without exponent, without trailing zeros, `0` for zero.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Decimal(Digits);

#[derive(Debug, Clone)]
enum Digits {
    /// `digits` × 10^−`decimals`; trailing zeros may stand in it.
    Small {
        digits: i128,
        decimals: u32,
    },
    Big(BigDecimal),
}

/// The same two numbers with as many decimals as the longer has; `None` when one no longer fits.
fn aligned(a: &Digits, b: &Digits) -> Option<(i128, i128, u32)> {
    let (Digits::Small { digits: a, decimals: of_a }, Digits::Small { digits: b, decimals: of_b }) = (a, b) else {
        return None;
    };
    let decimals = *of_a.max(of_b);
    let stretch = |digits: i128, of: u32| match decimals.checked_sub(of)? {
        0 => Some(digits),
        zeros => digits.checked_mul(10_i128.checked_pow(zeros)?),
    };
    Some((stretch(*a, *of_a)?, stretch(*b, *of_b)?, decimals))
}

#[allow(clippy::arithmetic_side_effects, reason = "a BigDecimal grows: its +, - and * neither overflow nor round")]
impl Decimal {
    /// `digits` × 10^−`decimals`.
    pub(crate) const fn new(digits: i128, decimals: u32) -> Self {
        Self(Digits::Small { digits, decimals })
    }
    pub(crate) const fn zero() -> Self {
        Self::new(0, 0)
    }
    pub(crate) const fn one() -> Self {
        Self::new(1, 0)
    }
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let small =
            aligned(&self.0, &other.0).and_then(|(a, b, decimals)| Some(Self::new(a.checked_add(b)?, decimals)));
        small.unwrap_or_else(|| Self(Digits::Big(self.to_big() + other.to_big())))
    }
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let small =
            aligned(&self.0, &other.0).and_then(|(a, b, decimals)| Some(Self::new(a.checked_sub(b)?, decimals)));
        small.unwrap_or_else(|| Self(Digits::Big(self.to_big() - other.to_big())))
    }
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        self.times_small(other).unwrap_or_else(|| Self(Digits::Big(self.to_big() * other.to_big())))
    }
    fn times_small(&self, other: &Self) -> Option<Self> {
        match (&self.0, &other.0) {
            (Digits::Small { digits: a, decimals: of_a }, Digits::Small { digits: b, decimals: of_b }) => {
                Some(Self::new(a.checked_mul(*b)?, of_a.checked_add(*of_b)?))
            }
            _ => None,
        }
    }

    fn to_big(&self) -> BigDecimal {
        match &self.0 {
            Digits::Small { digits, decimals } => BigDecimal::new((*digits).into(), (*decimals).into()),
            Digits::Big(big) => big.clone(),
        }
    }

    /// The same number, as a `BigDecimal` holds it: what the tests compare with.
    #[cfg(test)]
    pub(crate) fn grown(&self) -> Self {
        Self(Digits::Big(self.to_big()))
    }

    /// Half away from zero, in units of 10^−`decimals`. `None` past what an i128 holds.
    ///
    /// For [`crate::money::round_line`] alone.
    pub(crate) fn round_half_away(&self, decimals: u8) -> Option<i128> {
        match &self.0 {
            Digits::Small { digits, decimals: of } => round_small(*digits, *of, decimals.into()),
            Digits::Big(big) => {
                let rounded = big.with_scale_round(decimals.into(), RoundingMode::HalfUp);
                rounded.into_bigint_and_scale().0.try_into().ok()
            }
        }
    }
}

#[allow(
    clippy::arithmetic_side_effects,
    clippy::integer_division,
    reason = "a cut of 10 or more shrinks what it divides"
)]
fn round_small(digits: i128, of: u32, decimals: u32) -> Option<i128> {
    if of <= decimals {
        return digits.checked_mul(10_i128.checked_pow(decimals - of)?);
    }
    // An i128 has 39 digits at most, and less than half of the smallest number of 40.
    let Some(cut) = 10_i128.checked_pow(of - decimals) else { return Some(0) };
    let (kept, rest) = (digits / cut, (digits % cut).abs());
    let away = if rest >= cut - rest { digits.signum() } else { 0 };
    Some(kept + away)
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match aligned(&self.0, &other.0) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.to_big().cmp(&other.to_big()),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Digits::Small { digits, decimals: 0 } => digits.fmt(f),
            Digits::Small { digits, decimals } => fmt_small(*digits, *decimals, f),
            Digits::Big(big) => f.write_str(&big.normalized().to_plain_string()),
        }
    }
}

fn fmt_small(digits: i128, decimals: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if digits < 0 { "-" } else { "" };
    let decimals = usize::try_from(decimals).map_err(|_| fmt::Error)?;
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = decimals.saturating_add(1));
    let (whole, fraction) = text.split_at(text.len().saturating_sub(decimals));
    match fraction.trim_end_matches('0') {
        "" => write!(f, "{sign}{whole}"),
        fraction => write!(f, "{sign}{whole}.{fraction}"),
    }
}

impl FromStr for Decimal {
    type Err = BadDecimal;
    /// Takes only what `Display` writes.
    fn from_str(s: &str) -> Result<Self, BadDecimal> {
        let bad = || bad(s, "a decimal such as -12.5 without exponent and trailing zeros");
        let unsigned = s.strip_prefix('-').unwrap_or(s);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let one_spelling = digits_only(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(|fraction| digits_only(fraction) && !fraction.ends_with('0'))
            && s != "-0";
        if s.len() > MAX_DECIMAL_CHARS || !one_spelling {
            return Err(bad());
        }
        let decimals = fraction.map_or(Ok(0), |fraction| u32::try_from(fraction.len())).map_err(|_| bad())?;
        match s.replacen('.', "", 1).parse() {
            Ok(digits) => Ok(Self::new(digits, decimals)),
            Err(_) => Ok(Self(Digits::Big(s.parse().map_err(|_| bad())?))),
        }
    }
}
impl TryFrom<String> for Decimal {
    type Error = BadDecimal;
    fn try_from(s: String) -> Result<Self, BadDecimal> {
        s.parse()
    }
}
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
