//! Final runs of billing: what `finalize` commits, and what a seal takes along.
//!
//! A run is one create-only file `bills/runs/{seq:08}.json`, chained by sha256 to the run before. Everything else it
//! names by digest: the draft (`bills/drafts/MONTH/INPUTS_SHA256/…`) and the price book.

use contract::layout::{self, DraftFile};
use contract::{CustomerId, Digest, Month, Region};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};

use crate::document::{self, DocumentError};
use crate::manifest::RunFileKind;
use crate::partition::PartitionId;

/// Nothing longer is read: a million customers fit.
pub const MAX_BYTES: u64 = 128 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    #[serde(rename = "type")]
    pub version: Version,
    /// Counts from 1.
    pub seq: u32,
    /// The sha256 of the whole file of run `seq − 1`; none for the first.
    pub previous_sha256: Option<Digest>,
    pub month: Month,
    /// In order, each once.
    pub customers: Vec<CustomerId>,
    /// Of the draft's `inputs.json`; names the draft's folder.
    pub inputs_sha256: Digest,
    pub bills_sha256: Digest,
    pub bills_parquet_sha256: Digest,
    pub price_book: PriceBookRef,
    /// Up to where the run looked at each landed partition, in order.
    pub cut: Vec<CutPart>,
    /// The first of the invoice numbers that this run reserves.
    pub first_invoice_number: u64,
    /// An operator's act, not a fact of the log: by the clock of whoever finalized.
    pub finalized_at_ms: i64,
    pub operator: String,
    /// Why the month was finalized although it could not be closed, in the operator's words.
    pub exception: Option<String>,
    /// What the exception opened, with the figures of that moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    #[serde(rename = "pixtoll.run.v1")]
    V1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceBookRef {
    pub version: u32,
    pub sha256: Digest,
}

/// The end of a landed segment up to which a run looked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CutPart {
    pub lake: Region,
    #[serde(flatten)]
    pub id: PartitionId,
    pub next_offset: i64,
    /// The sha256 of the segment that ends there.
    pub head_sha256: Digest,
}

/// A run as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    pub run: Run,
    /// Of the whole file: the next run's `previous_sha256`.
    pub sha256: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The runs are not a chain any more: someone has to look.
    #[error("{path}: {problem}")]
    Broken { path: String, problem: String },
}

impl Run {
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        document::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::decode(bytes)
    }

    /// Where each file of the run lies in the working store, and its digest if the run names it.
    pub fn source(&self, kind: RunFileKind) -> (String, Option<Digest>) {
        let draft = |file| layout::draft_file(self.month, &self.inputs_sha256, file);
        match kind {
            RunFileKind::Run => (layout::run(self.seq), None),
            RunFileKind::Inputs => (draft(DraftFile::Inputs), Some(self.inputs_sha256)),
            RunFileKind::Bills => (draft(DraftFile::Lines), Some(self.bills_sha256)),
            RunFileKind::BillsTable => (draft(DraftFile::Table), Some(self.bills_parquet_sha256)),
            RunFileKind::PriceBook => (layout::price_book(self.price_book.version), Some(self.price_book.sha256)),
        }
    }
}

/// Whether `run` may follow on `before`, the run with the highest number so far.
pub fn check_link(before: Option<&StoredRun>, run: &Run) -> Result<(), String> {
    let expected = before.map_or(Some(1), |before| before.run.seq.checked_add(1));
    if Some(run.seq) != expected {
        let before = before.map_or(0, |before| before.run.seq);
        return Err(format!("is run {}, which does not follow on run {before}", run.seq));
    }
    match (before, run.previous_sha256) {
        (None, None) => Ok(()),
        (Some(before), Some(previous)) if before.sha256 == previous => Ok(()),
        (Some(before), Some(previous)) => Err(format!(
            "previous_sha256 differs: the run says {previous}, run {} has {}",
            before.run.seq, before.sha256
        )),
        (Some(before), None) => {
            Err(format!("previous_sha256 is missing; run {} has {}", before.run.seq, before.sha256))
        }
        (None, Some(_)) => Err("is the first run, yet names one before it".to_owned()),
    }
}

/// All final runs in order, their numbers without gaps and each chained to the one before.
pub async fn read_runs(store: &Store) -> Result<Vec<StoredRun>, RunError> {
    let mut runs: Vec<StoredRun> = Vec::new();
    for entry in store.list(layout::RUNS).await? {
        let path = entry.path;
        let broken = |problem: String| RunError::Broken { path: path.clone(), problem };
        let Some(bytes) = store.get_limited(&path, MAX_BYTES).await? else {
            return Err(broken("was listed and is not there".to_owned()));
        };
        let run = Run::decode(&bytes).map_err(|error| broken(format!("is not a run: {error}")))?;
        if layout::run(run.seq) != path {
            return Err(broken(format!("is run {}", run.seq)));
        }
        check_link(runs.last(), &run).map_err(broken)?;
        runs.push(StoredRun { run, sha256: Digest::of(&bytes) });
    }
    Ok(runs)
}
