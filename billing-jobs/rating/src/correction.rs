//! What late usage changes in a bill that is final already.
//!
//! ```text
//! final bill + earlier corrections of it ──┐
//! its month's usage at a new cut ──────────┤ correct ──▶ Correction ─┬▶ the next bill, ahead of credits and taxes
//! the book that it was made by ────────────┘                 settle ─┴▶ or a note of its own
//! ```
//!
//! Per line key, a correction is rounded(full re-rate) − all that was billed before: so original + corrections = full
//! re-rate (BILL-4), however often and in whatever steps. What the account brought to the original (adjustments, other
//! months' corrections, credits) is no part of it, and credits are not replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use contract::account::Currency;
use contract::ids::{BadId, CustomerId, Digest, Label};
use contract::time::Month;
use serde::{Deserialize, Serialize, Serializer};

use crate::bill::Bill;
use crate::check::{BILL_4, Broken};
use crate::money::Amount;
use crate::price_book::{PriceBook, Tax};
use crate::rate::{RateError, rate};
use crate::usage::MonthUsage;

/// What tells a bill's lines apart. Written `base`, `cpu#2` (its second tier), `#minimum`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum LineKey {
    Charge {
        charge: Label,
        tier: Option<u32>,
    },
    /// The true-up.
    Minimum,
}

const MINIMUM: &str = "#minimum";

impl fmt::Display for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charge { charge, tier: None } => charge.fmt(f),
            Self::Charge { charge, tier: Some(tier) } => write!(f, "{charge}#{tier}"),
            Self::Minimum => f.write_str(MINIMUM),
        }
    }
}
impl FromStr for LineKey {
    type Err = String;
    /// Takes only what `Display` writes.
    fn from_str(s: &str) -> Result<Self, String> {
        let bad = || format!("{s:?} is not the key of a line, such as cpu#2");
        let (charge, tier) = match s.split_once('#') {
            _ if s == MINIMUM => return Ok(Self::Minimum),
            None => (s, None),
            Some((charge, tier)) => (charge, Some(tier.parse().map_err(|_| bad())?)),
        };
        let key = Self::Charge { charge: charge.parse().map_err(|_: BadId| bad())?, tier };
        if key.to_string() == s { Ok(key) } else { Err(bad()) }
    }
}
impl TryFrom<String> for LineKey {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}
impl Serialize for LineKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The difference between a final bill, with the corrections that it has, and its month rated anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The digest of the original's JSON line.
    pub bill_sha256: Digest,
    pub currency: Currency,
    pub customer_id: CustomerId,
    /// By key; those that changed. None when the late usage changes no amount.
    pub lines: Vec<CorrectionLine>,
    /// The original's.
    pub month: Month,
    /// Of all usage that was rated anew.
    pub quantities_sha256: Digest,
    /// Those that the original is subject to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// The sum of the lines, ahead of tax.
    pub total: Amount,
}

/// `amount` = `rerated` − `billed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionLine {
    pub amount: Amount,
    /// In the original and its earlier corrections.
    pub billed: Amount,
    pub key: LineKey,
    pub rerated: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Label>,
}

#[derive(Debug, thiserror::Error)]
pub enum CorrectError {
    #[error(transparent)]
    Rate(#[from] RateError),
    /// BILL-4: the earlier corrections don't fit the original, or the price book is not the one that it was made by.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Rates a final bill's month anew, and gives what is to be corrected: none if that is done already.
///
/// `earlier` are all corrections of this bill, in the order they were made; `usage` is its month at a new cut; `book` is
/// the one that it was made by. The original's own plan and currency apply, whatever the account says now.
pub fn correct(
    original: &Bill,
    earlier: &[Correction],
    usage: &MonthUsage,
    book: &PriceBook,
) -> Result<Option<Correction>, CorrectError> {
    let same = |what: &str, found: &dyn fmt::Display, expected: &dyn fmt::Display| {
        let (found, expected) = (found.to_string(), expected.to_string());
        if found == expected { Ok(()) } else { Err(original.broken(BILL_4, what, found, &expected)) }
    };
    same("the customer of the usage", &usage.customer_id, &original.customer_id)?;
    same("the month of the usage", &usage.month, &original.month)?;
    same("the price book", &book.version, &original.price_book_version)?;
    same("the rating version", &book.rating_version, &original.rating_version)?;
    let rerated = rate(usage, book, &original.plan, &original.currency)?;
    let billed = Billed::of(original, earlier)?;
    if billed.quantities_sha256 == rerated.quantities_sha256 {
        return Ok(None);
    }
    let new = lines_of(&rerated);
    let keys: BTreeSet<&LineKey> = billed.lines.keys().chain(new.keys()).collect();
    let zero = Amount::new(0, original.total.decimals());
    let mut lines = Vec::new();
    let mut total = zero;
    for key in keys {
        let (before, after) = (billed.lines.get(key), new.get(key));
        let tax = after.or(before).and_then(|line| line.tax.clone());
        let (billed, rerated) = (before.map_or(zero, |line| line.amount), after.map_or(zero, |line| line.amount));
        let sum = rerated.minus(&billed).and_then(|amount| Some((amount, total.plus(&amount)?)));
        let (amount, sum) = sum.ok_or_else(|| too_large(original))?;
        total = sum;
        if !amount.is_zero() {
            lines.push(CorrectionLine { amount, billed, key: key.clone(), rerated, tax });
        }
    }
    Ok(Some(Correction {
        bill_sha256: billed.bill_sha256,
        currency: original.currency.clone(),
        customer_id: original.customer_id.clone(),
        lines,
        month: original.month,
        quantities_sha256: rerated.quantities_sha256,
        taxes: original.taxes.iter().map(|t| Tax { name: t.name.clone(), percent: t.percent.clone() }).collect(),
        total,
    }))
}

/// BILL-4: the original and its corrections, in order, are together the full re-rate.
pub fn check_corrected(original: &Bill, corrections: &[Correction], rerated: &Bill) -> Result<(), Broken> {
    let mut billed = Billed::of(original, corrections)?;
    // A line that has become nothing is no line of the re-rate, or one of 0.
    billed.lines.retain(|_, line| !line.amount.is_zero());
    let mut expected = lines_of(rerated);
    expected.retain(|_, line| !line.amount.is_zero());
    let show = |lines: &BTreeMap<LineKey, Billable>| {
        lines.iter().map(|(key, line)| format!("{key} {}", line.amount)).collect::<Vec<_>>().join(", ")
    };
    let (found, expected) = (show(&billed.lines), show(&expected));
    if found != expected {
        return Err(original.broken(BILL_4, "original + corrections", found, &expected));
    }
    let (found, expected) = (billed.quantities_sha256, rerated.quantities_sha256);
    if found == expected { Ok(()) } else { Err(original.broken(BILL_4, "the usage corrected to", found, &expected)) }
}

struct Billable {
    amount: Amount,
    tax: Option<Label>,
}

fn lines_of(bill: &Bill) -> BTreeMap<LineKey, Billable> {
    let charges = bill.lines.iter().map(|line| {
        let tier = line.tier.as_ref().map(|tier| tier.number);
        let key = LineKey::Charge { charge: line.charge.clone(), tier };
        (key, Billable { amount: line.amount, tax: line.tax.clone() })
    });
    let minimum = bill
        .minimum
        .iter()
        .map(|minimum| (LineKey::Minimum, Billable { amount: minimum.true_up, tax: minimum.tax.clone() }));
    charges.chain(minimum).collect()
}

/// What a customer was billed for a month, all in all.
struct Billed {
    bill_sha256: Digest,
    quantities_sha256: Digest,
    lines: BTreeMap<LineKey, Billable>,
}

impl Billed {
    /// Each correction takes up where the one before it stopped: so none is missing, and none stands twice.
    fn of(original: &Bill, corrections: &[Correction]) -> Result<Self, Broken> {
        let bill_sha256 = original.digest().map_err(|error| original.broken(BILL_4, "the bill", "not JSON", &error))?;
        let mut billed = Self { bill_sha256, quantities_sha256: original.quantities_sha256, lines: lines_of(original) };
        let zero = Amount::new(0, original.total.decimals());
        for correction in corrections {
            if correction.bill_sha256 != bill_sha256 {
                return Err(original.broken(BILL_4, "a correction's original", correction.bill_sha256, &bill_sha256));
            }
            correction.check()?;
            for line in &correction.lines {
                let before = billed.lines.get(&line.key).map_or(zero, |line| line.amount);
                if line.billed != before {
                    let what = format!("what a correction takes as billed for {}", line.key);
                    return Err(original.broken(BILL_4, what, line.billed, &before));
                }
                let after = Billable { amount: line.rerated, tax: line.tax.clone() };
                billed.lines.insert(line.key.clone(), after);
            }
            billed.quantities_sha256 = correction.quantities_sha256;
        }
        Ok(billed)
    }
}

impl Correction {
    /// BILL-4 and BILL-2 of the correction by itself.
    pub fn check(&self) -> Result<(), Broken> {
        let too_large = || self.broken("an amount", "past 2^127 minor units", &"a sum of money");
        let mut total = Amount::new(0, self.total.decimals());
        for line in &self.lines {
            let amount = line.rerated.minus(&line.billed).ok_or_else(too_large)?;
            if line.amount != amount {
                return Err(self.broken(format_args!("the correction of {}", line.key), line.amount, &amount));
            }
            total = total.plus(&amount).ok_or_else(too_large)?;
        }
        if self.total == total { Ok(()) } else { Err(self.broken("the sum of a correction", self.total, &total)) }
    }

    /// Whether a bill under these taxes may hold it: each line is taxed there as it was.
    pub fn taxed_as(&self, taxes: &[Tax]) -> bool {
        self.lines.iter().all(|line| match &line.tax {
            None => taxes.is_empty(),
            Some(name) => {
                let then = self.taxes.iter().find(|tax| tax.name == *name);
                then.is_some() && then == taxes.iter().find(|tax| tax.name == *name)
            }
        })
    }

    fn broken(&self, what: impl fmt::Display, found: impl fmt::Display, expected: &impl fmt::Display) -> Broken {
        Broken {
            invariant: BILL_4,
            customer_id: self.customer_id.clone(),
            month: self.month,
            what: what.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

fn too_large(original: &Bill) -> Broken {
    original.broken(BILL_4, "a correction", "past 2^127 minor units", &"a sum of money")
}
