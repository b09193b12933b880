//! `verify`: everything read afresh, everything that is wrong listed.
//!
//! | step | finds |
//! |---|---|
//! | seals | a signature not of this key, a broken or missing link, contradictions, holes and overlaps between seals |
//! | the kept head | a rollback, another history |
//! | landed files | loss, truncation, flips; rows, offsets and segments that are not what the manifest says |
//! | run files | the same, and runs that are not the chain that billing committed |
//! | the rest | files that no seal lists: of a killed seal, perhaps; they mean nothing |
//!
//! The key comes from outside. Of a seal that it does not verify, files are still compared, so that one report tells
//! how far the damage goes, but not opened.

mod landed;
mod read;
mod runs;

use std::collections::BTreeSet;

use contract::BrokerTime;
use indicatif::ProgressBar;
use seals::chain::Head;
use seals::manifest::Totals;
use seals::{Finding, Invariant, PublicKey, Seal, SealKeyId, read_chain};
use serde::Serialize;
use store::Store;

use crate::verify::read::Files;

/// What was looked at and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub archive: String,
    pub key_id: SealKeyId,
    /// `SEQ:SHA256`, for the auditor to keep.
    pub head: Option<String>,
    pub seals: Vec<SealLine>,
    pub invariants: Vec<InvariantLine>,
    pub findings: Vec<Finding>,
    /// Files that no seal lists.
    pub orphans: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct SealLine {
    pub seq: u32,
    #[serde(rename = "sealed_at_ms")]
    pub sealed_at: BrokerTime,
    pub signed: bool,
    pub totals: Totals,
    pub runs: usize,
}

#[derive(Debug, Serialize)]
pub struct InvariantLine {
    pub id: Invariant,
    pub verdict: Verdict,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Holds,
    Broken,
    /// Nothing contradicts it, but some of what would have to be read is damaged.
    NotShown,
}

pub async fn verify(
    archive: &Store,
    key: &PublicKey,
    expect_head: Option<&Head>,
    progress: &ProgressBar,
) -> anyhow::Result<Report> {
    let mut chain = read_chain(archive, key).await?;
    let mut findings = std::mem::take(&mut chain.findings);
    findings.extend(expect_head.and_then(|kept| chain.expect(kept)));
    if chain.seals.is_empty() && findings.is_empty() {
        findings.push(Finding::arch_1(contract::layout::SEALS, "no seal is here: wrong --archive, or all is lost"));
    }
    progress.set_length(chain.seals.iter().map(|seal| seal.manifest.totals.bytes).fold(0, u64::saturating_add));
    let files = Files::list(archive, progress).await?;
    let landed = landed::check(&files, &chain.seals, &mut findings).await;
    let runs = runs::check(&files, &chain.seals, &mut findings).await;

    let listed: BTreeSet<&str> =
        chain.seals.iter().flat_map(|seal| seal.manifest.files()).map(|(f, _)| &*f.path).collect();
    let mut orphans = chain.strays.clone();
    orphans.extend(files.paths().filter(|path| !listed.contains(path)).map(str::to_owned));

    let signed = chain.seals.iter().filter(|seal| seal.signed).count();
    let arch_1 = format!(
        "{signed} of {} seals signed by key {}; {} of {} files whole, {} bytes read",
        chain.seals.len(),
        key.id(),
        landed.whole + runs.whole,
        landed.listed + runs.listed,
        landed.bytes + runs.bytes,
    );
    let arch_3 = format!(
        "{} partitions in {} files; {} rows of {} landed segments",
        landed.partitions, landed.listed, landed.rows, landed.segments,
    );
    let in_seals = findings.iter().any(|finding| finding.path.starts_with(contract::layout::SEALS));
    let all_read = landed.whole == landed.listed && !in_seals;
    let line = |id, text| {
        let verdict = if findings.iter().any(|finding| finding.invariant == id) {
            Verdict::Broken
        } else if id == Invariant::Arch3 && !all_read {
            Verdict::NotShown
        } else {
            Verdict::Holds
        };
        InvariantLine { id, verdict, text }
    };
    Ok(Report {
        archive: archive.url().to_owned(),
        key_id: key.id(),
        head: chain.head().map(|head| head.to_string()),
        seals: chain.seals.iter().map(SealLine::of).collect(),
        invariants: vec![line(Invariant::Arch1, arch_1), line(Invariant::Arch3, arch_3)],
        findings,
        orphans,
    })
}

impl SealLine {
    fn of(seal: &Seal) -> Self {
        let Seal { seq, signed, manifest, .. } = seal;
        let (sealed_at, totals) = (manifest.sealed_at, manifest.totals);
        Self { seq: *seq, sealed_at, signed: *signed, totals, runs: manifest.runs.len() }
    }
}
