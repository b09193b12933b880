//! What a customer's account brings to a month's bill beside usage: adjustments, corrections, prepaid credits.

use contract::account::Currency;
use contract::ids::Label;
use contract::time::Month;
use serde::{Deserialize, Serialize};

use crate::correction::Correction;
use crate::money::Amount;

/// All of it. Who keeps it sees to it that nothing is brought twice; within one bill, a key that stands twice is an
/// error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    #[serde(default)]
    pub adjustments: Vec<Adjustment>,
    #[serde(default)]
    pub corrections: Vec<Correction>,
    /// In the order in which they were granted.
    #[serde(default)]
    pub credits: Vec<Credit>,
}

/// An amount that an operator adds to a bill, or takes off it. It is money already: nothing rounds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    pub amount: Amount,
    pub currency: Currency,
    pub key: Label,
    /// For the customer to read.
    pub reason: String,
    /// The tax that it is subject to; the plan's first if it doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Label>,
}

/// Money paid ahead. Those that expire first are used first; of those that expire together, or never, the one granted
/// first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    pub currency: Currency,
    /// The first month that it no longer pays for; none for a credit that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Month>,
    pub key: Label,
    /// What earlier bills have left of it.
    pub remaining: Amount,
}

/// So much of a credit pays for a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditUse {
    pub key: Label,
    /// What this bill leaves of it.
    pub remaining: Amount,
    pub used: Amount,
}
