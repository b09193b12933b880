//! A draft: a month's bills at a cut, and everything that led to them.
//!
//! ```text
//!   cut ─▶ rollups ─▶ month's usage ─▶ rate (account state × price book) ─▶ bills.jsonl, bills.parquet
//!    └──────────┴── listed by digest in inputs.json, whose own digest names the draft ──┘
//! ```

use std::collections::BTreeMap;

use anyhow::Context as _;
use bytes::Bytes;
use contract::layout::{self, DraftFile};
use contract::{CustomerId, Digest, IdHour, Month, Region};
use indicatif::ProgressBar;
use rating::{Bill, MonthUsage, RateError};
use seals::document;
use seals::run::{CutPart, PriceBookRef};
use serde::{Deserialize, Serialize};
use store::{Put, Store};

use crate::accounts::{Account, Accounts};
use crate::lake::{AcceptedGap, Lake};
use crate::price_books::Published;
use crate::rollup::{self, Job, Rollup};
use crate::{table, usage};

/// Everything that led to a month's bills. Recomputing them reads nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    #[serde(rename = "type")]
    pub(crate) version: Version,
    pub(crate) month: Month,
    /// The lakes that were looked at.
    pub(crate) roster: Vec<Region>,
    pub(crate) price_book: PriceBookRef,
    pub(crate) cut: Vec<CutPart>,
    /// What the cut misses by somebody's decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gaps: Vec<AcceptedGap>,
    pub(crate) rollups: Vec<RollupRef>,
    pub(crate) accounts: BTreeMap<CustomerId, Account>,
    /// The last final run before this draft.
    pub(crate) previous_run_sha256: Option<Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    #[serde(rename = "pixtoll.bill-inputs.v1")]
    V1,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RollupRef {
    pub(crate) id_hour: IdHour,
    /// Of what the rollup says, not of the file: neither its encoding nor its address may matter years later.
    pub(crate) quantities_sha256: Digest,
}

/// A customer who used something and can't be billed: shown, and in the way of finalizing, never dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unbilled {
    pub(crate) customer_id: CustomerId,
    pub(crate) why: String,
    pub(crate) conversions: String,
}

/// A month, computed.
pub(crate) struct Draft {
    pub(crate) inputs: Inputs,
    pub(crate) inputs_json: Bytes,
    pub(crate) bills: Vec<Bill>,
    pub(crate) bills_jsonl: Bytes,
    pub(crate) bills_parquet: Bytes,
    pub(crate) usage: BTreeMap<CustomerId, MonthUsage>,
    pub(crate) rollups: Vec<Rollup>,
    pub(crate) unbilled: Vec<Unbilled>,
    pub(crate) account_conflicts: Vec<String>,
    /// Account versions that are missing below one that was landed.
    pub(crate) account_gaps: Vec<String>,
}

impl Draft {
    /// The draft's name: the digest of its inputs.
    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.inputs_json)
    }

    pub(crate) fn month(&self) -> Month {
        self.inputs.month
    }
}

/// Computes a month's bills from a lake up to its cut.
pub(crate) async fn compute(
    lake: &Lake,
    job: &Job,
    prices: &Published,
    previous_run_sha256: Option<Digest>,
    progress: &ProgressBar,
) -> anyhow::Result<Draft> {
    let month = job.month;
    let rollups = rollup::roll_up(lake, job, progress).await?;
    let usage = usage::month_usage(&rollups, month)?;
    let accounts = Accounts::read(lake).await?;
    let states = accounts.for_month(month);
    let (bills, unbilled) = rate_all(&usage, &states, month, prices)?;
    let inputs = Inputs {
        version: Version::V1,
        month,
        roster: vec![lake.region.clone()],
        price_book: prices.reference,
        cut: lake.cut(),
        gaps: lake.gaps(),
        rollups: rollups.iter().map(reference).collect(),
        accounts: states.into_iter().map(|(id, account)| (id.clone(), account.clone())).collect(),
        previous_run_sha256,
    };
    let inputs_json = document::encode(&inputs)?.into();
    let bills_jsonl = lines(&bills)?;
    let bills_parquet = table::bills(&bills)?;
    let (account_gaps, account_conflicts) = (accounts.gaps(), accounts.conflicts);
    Ok(Draft {
        inputs,
        inputs_json,
        bills,
        bills_jsonl,
        bills_parquet,
        usage,
        rollups,
        unbilled,
        account_conflicts,
        account_gaps,
    })
}

fn reference(rollup: &Rollup) -> RollupRef {
    RollupRef { id_hour: rollup.id_hour, quantities_sha256: rollup.quantities_sha256 }
}

/// A bill for everybody with an account, used or not, in the order of customer ids.
fn rate_all(
    usage: &BTreeMap<CustomerId, MonthUsage>,
    states: &BTreeMap<&CustomerId, &Account>,
    month: Month,
    prices: &Published,
) -> anyhow::Result<(Vec<Bill>, Vec<Unbilled>)> {
    let mut bills = Vec::new();
    let mut unbilled = Vec::new();
    for (customer_id, account) in states {
        let nothing = || MonthUsage::new((*customer_id).clone(), month);
        let used = usage.get(*customer_id).cloned().unwrap_or_else(nothing);
        match rating::rate(&used, &prices.book, &account.plan, &account.currency) {
            Ok(bill) if bill.unassigned().next().is_none() => bills.push(bill),
            Ok(bill) => {
                let meters: Vec<String> =
                    bill.unassigned().map(|(meter, n)| format!("{} {meter}", meter.display(n))).collect();
                let why = format!(
                    "{customer_id} has used what plan {} has no price for: {}",
                    account.plan,
                    meters.join(", ")
                );
                unbilled.push(not_billed(&used, why)?);
            }
            Err(
                error @ (RateError::UnknownPlan { .. } | RateError::OtherCurrency { .. } | RateError::BadLedger { .. }),
            ) => {
                unbilled.push(not_billed(&used, error.to_string())?);
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (customer_id, used) in usage {
        if !states.contains_key(customer_id) {
            unbilled.push(not_billed(
                used,
                format!("{customer_id} has no account that was landed by the cut and effective in {month}"),
            )?);
        }
    }
    Ok((bills, unbilled))
}

fn not_billed(used: &MonthUsage, why: String) -> anyhow::Result<Unbilled> {
    let conversions = used.billable()?.conversions.get().to_string();
    Ok(Unbilled { customer_id: used.customer_id.clone(), why, conversions })
}

/// One bill, one line of canonical JSON: what is hashed and compared.
fn lines(bills: &[Bill]) -> anyhow::Result<Bytes> {
    let mut text = String::new();
    for bill in bills {
        text.push_str(&bill.to_json_line()?);
        text.push('\n');
    }
    Ok(text.into())
}

/// Puts a draft where its id says. Twice is the same as once.
pub(crate) async fn write(store: &Store, draft: &Draft) -> anyhow::Result<()> {
    let id = draft.id();
    // The inputs come last: a draft exists when they do.
    for (file, bytes) in [
        (DraftFile::Lines, &draft.bills_jsonl),
        (DraftFile::Table, &draft.bills_parquet),
        (DraftFile::Inputs, &draft.inputs_json),
    ] {
        let path = layout::draft_file(draft.month(), &id, file);
        // The table is a view: another build may have encoded the same rows otherwise, and the first one stands.
        if store.create(&path, bytes.clone()).await? == Put::AlreadyOther && file != DraftFile::Table {
            anyhow::bail!("BILL-3: {path} exists with other bytes, although it was made from the same inputs");
        }
    }
    Ok(())
}

/// A draft's inputs, checked against their digest.
pub(crate) async fn read_inputs(store: &Store, month: Month, id: &Digest) -> anyhow::Result<Inputs> {
    let path = layout::draft_file(month, id, DraftFile::Inputs);
    let bytes = store.get(&path).await?.with_context(|| format!("there is no draft {id} of {month}"))?;
    anyhow::ensure!(Digest::of(&bytes) == *id, "{path} is not what its name says");
    document::decode(&bytes).with_context(|| path)
}

/// The furthest draft of a month: on top of the last run, then the newest price book, then the largest cut.
pub(crate) async fn furthest(store: &Store, month: Month, last_run: Option<Digest>) -> anyhow::Result<Option<Digest>> {
    let mut best = None;
    for entry in store.list(&layout::drafts(month)).await? {
        let Some(id) = entry.path.strip_suffix("/inputs.json").and_then(|folder| folder.rsplit('/').next()) else {
            continue;
        };
        let id: Digest = id.parse()?;
        let inputs = read_inputs(store, month, &id).await?;
        let landed: i128 = inputs.cut.iter().map(|part| i128::from(part.next_offset)).sum();
        best = best.max(Some((inputs.previous_run_sha256 == last_run, inputs.price_book.version, landed, id)));
    }
    Ok(best.map(|(_, _, _, id)| id))
}

/// The stored bills of a draft.
pub(crate) async fn stored_bills(store: &Store, month: Month, id: &Digest) -> anyhow::Result<Bytes> {
    let path = layout::draft_file(month, id, DraftFile::Lines);
    store.get(&path).await?.with_context(|| format!("{path} is missing"))
}
