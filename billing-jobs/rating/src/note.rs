//! Where a correction goes: onto the customer's next bill, or into a credit note or invoice of its own.

use serde::{Deserialize, Serialize};

use crate::bill::{Bill, TaxLine};
use crate::check::{BILL_2, Broken};
use crate::correction::Correction;
use crate::money::{Amount, Decimal, round_line};
use crate::price_book::Tax;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// The customer is owed.
    CreditNote,
    /// The customer owes.
    Invoice,
}

/// A correction that no bill holds. It names its original, and is taxed as that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub correction: Correction,
    pub kind: NoteKind,
    /// What rounding took from the taxes.
    pub residue: Decimal,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<TaxLine>,
    /// With taxes; negative on a credit note.
    pub total: Amount,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// For the [`crate::Ledger`] of the next bill.
    pub on_bill: Vec<Correction>,
    pub notes: Vec<Note>,
}

/// Says where each correction goes. `next` is the customer's next bill, rated without any of them: none if the customer
/// has left.
///
/// | the next bill | the correction |
/// |---|---|
/// | none, or in another currency, or under other taxes | a note of its own |
/// | would become negative by it, ahead of credits and taxes | a credit note of its own |
/// | else | on the bill |
///
/// What adds to the bill is put on it first, so that as much as may be fits.
pub fn settle(pending: Vec<Correction>, next: Option<&Bill>) -> Result<Settled, Broken> {
    let mut settled = Settled::default();
    let mut net = next.and_then(Bill::net);
    let mut in_order = pending;
    in_order.sort_by_key(|correction| (correction.total.is_negative(), correction.month));
    for correction in in_order {
        let fits = next.is_some_and(|next| next.currency == correction.currency && correction.taxed_as(&taxes(next)));
        let with = net.and_then(|net| net.plus(&correction.total)).filter(|_| fits);
        match with {
            Some(with) if !with.is_negative() || !correction.total.is_negative() => {
                net = Some(with);
                settled.on_bill.push(correction);
            }
            _ => settled.notes.push(Note::new(correction)?),
        }
    }
    settled.on_bill.sort_by_key(|correction| correction.month);
    Ok(settled)
}

fn taxes(bill: &Bill) -> Vec<Tax> {
    bill.taxes.iter().map(|tax| Tax { name: tax.name.clone(), percent: tax.percent.clone() }).collect()
}

impl Note {
    fn new(correction: Correction) -> Result<Self, Broken> {
        let decimals = correction.total.decimals();
        let too_large = || broken(&correction, "an amount", &"past 2^127 minor units", &"a sum of money");
        let mut taxes = Vec::new();
        let mut total = correction.total;
        let mut residue = Decimal::zero();
        for Tax { name, percent } in &correction.taxes {
            let mut base = Amount::new(0, decimals);
            for line in correction.lines.iter().filter(|line| line.tax.as_ref() == Some(name)) {
                base = base.plus(&line.amount).ok_or_else(too_large)?;
            }
            let exact = percent.of(&base.to_decimal());
            let amount = round_line(&exact, decimals).ok_or_else(too_large)?;
            total = total.plus(&amount).ok_or_else(too_large)?;
            residue = residue.plus(&exact).minus(&amount.to_decimal());
            taxes.push(TaxLine { amount, base, exact, name: name.clone(), percent: percent.clone() });
        }
        let kind = if total.is_negative() { NoteKind::CreditNote } else { NoteKind::Invoice };
        Ok(Self { correction, kind, residue, taxes, total })
    }

    /// Canonical JSON (RFC 8785), in one line without its end.
    pub fn to_json_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Checks the note by itself: it is what its correction makes of it.
    pub fn check(&self) -> Result<(), Broken> {
        self.correction.check()?;
        let expected = Self::new(self.correction.clone())?;
        if *self == expected {
            return Ok(());
        }
        Err(broken(&self.correction, "the total of a note", &self.total, &expected.total))
    }
}

fn broken(
    correction: &Correction,
    what: &str,
    found: &dyn std::fmt::Display,
    expected: &dyn std::fmt::Display,
) -> Broken {
    Broken {
        invariant: BILL_2,
        customer_id: correction.customer_id.clone(),
        month: correction.month,
        what: what.to_owned(),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}
