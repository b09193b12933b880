//! What was published, and what each record should end as.

use std::collections::BTreeMap;

use contract::ids::Conversion;
use contract::usage::{Reason, RequestPosition};
use contract::{AccountVersion, BrokerTime};

use super::photo::Sides;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Done {
        output: Sides,
    },
    Rejected(Reason),
    /// Undecodable, for the reason of that code.
    DeadLetter(&'static str),
}

/// One record of `resize.requests` that the broker acknowledged.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: RequestPosition,
    /// The timestamp that it was published with; the broker's own is not known here.
    pub time: Option<BrokerTime>,
    /// None where the record is undecodable.
    pub conversion: Option<Conversion>,
    /// Of the image named by the request.
    pub input_bytes: u64,
    pub input: Sides,
    pub expected: Expected,
}

/// What a conversion comes to, whatever the number of attempts at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    pub outcome: Result<Sides, Reason>,
    /// Of the attempt that counts, where it was published with a timestamp.
    pub accepted_at: Option<BrokerTime>,
    pub input_bytes: u64,
    pub input: Sides,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub requests: Vec<Sent>,
    pub accounts: Vec<AccountVersion>,
}

impl Ledger {
    /// Each conversion once: a done attempt counts before a rejected one, then the earliest.
    pub fn conversions(&self) -> BTreeMap<Conversion, Fate> {
        let mut fates: BTreeMap<Conversion, Fate> = BTreeMap::new();
        for sent in &self.requests {
            let Some(conversion) = &sent.conversion else { continue };
            let outcome = match &sent.expected {
                Expected::Done { output } => Ok(*output),
                Expected::Rejected(reason) => Err(reason.clone()),
                Expected::DeadLetter(_) => continue,
            };
            let (input_bytes, input, accepted_at) = (sent.input_bytes, sent.input, sent.time);
            let attempt = Fate { outcome, accepted_at, input_bytes, input };
            let Some(fate) = fates.get_mut(conversion) else {
                fates.insert(conversion.clone(), attempt);
                continue;
            };
            let rank = |fate: &Fate| (fate.outcome.is_err(), fate.accepted_at);
            if rank(&attempt) < rank(fate) {
                *fate = attempt;
            }
        }
        fates
    }
}
