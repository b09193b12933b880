//! `seal`: everything landed and finalized since the last seal, in one signed step.
//!
//! The manifest is put last, create-only: that put is the commit. Killed before it, the files written so far are listed
//! nowhere and a rerun goes on with them; killed after it, the seal is whole. Of two seals at once one gets the number,
//! the other stops: what it planned is sealed already, or will be by the next run.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use contract::layout::{self, Topic};
use contract::{BrokerTime, Digest};
use indicatif::ProgressBar;
use seals::chain::Head;
use seals::envelope::{self, Envelope};
use seals::manifest::{Manifest, StoredFile, Totals, Version};
use seals::{Chain, SigningKey, read_chain, read_runs};
use service::kill_point;
use store::{Put, Store};

use crate::{plan, rewrite, runs};

/// What became of a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was landed or finalized since `head`; nothing was written.
    Nothing {
        head: Option<Head>,
        runs_waiting: usize,
    },
    Sealed {
        head: Head,
        totals: Totals,
        runs: usize,
        runs_waiting: usize,
    },
}

pub async fn seal(
    working: &Store,
    archive: &Store,
    key: &SigningKey,
    sealed_at: BrokerTime,
    progress: &ProgressBar,
) -> anyhow::Result<Outcome> {
    let chain = read_sound_chain(archive, key).await?;
    let parts = plan::parts(&chain.seals, read_landed(working).await?)?;
    let (new_runs, runs_waiting) = plan::runs(&chain.seals, &parts, read_runs(working).await?)?;
    let head = chain.head();
    if new_runs.is_empty() && parts.iter().all(|part| part.segments.is_empty()) {
        return Ok(Outcome::Nothing { head, runs_waiting });
    }

    progress.set_length(parts.iter().flat_map(|part| &part.segments).map(|segment| segment.bytes).sum());
    let mut manifest = Manifest {
        version: Version::V1,
        seq: head.map_or(0, |head| head.seq).checked_add(1).context("there is no number left for a seal")?,
        previous_sha256: head.map(|head| head.sha256),
        sealed_at,
        key_id: key.public_key().id(),
        partitions: Vec::new(),
        runs: Vec::new(),
        totals: Totals::default(),
    };
    for part in &parts {
        let files = rewrite::partition(working, archive, part, rewrite::FULL_BYTES, progress).await?;
        manifest.partitions.push(files);
    }
    for run in &new_runs {
        manifest.runs.push(runs::copy(working, archive, run).await?);
    }
    manifest.totals = manifest.count().context("the seal's totals pass a u64")?;
    kill_point("seal-files-written");
    let head = commit(archive, &manifest, key).await?;
    kill_point("seal-manifest-written");
    Ok(Outcome::Sealed { head, totals: manifest.totals, runs: new_runs.len(), runs_waiting })
}

/// All seals so far. One that is damaged is never built upon.
async fn read_sound_chain(archive: &Store, key: &SigningKey) -> anyhow::Result<Chain> {
    let chain = read_chain(archive, &key.public_key()).await?;
    match chain.findings.first() {
        None => Ok(chain),
        Some(finding) => bail!("the seals so far are not sound, so nothing was sealed; run verify. {finding}"),
    }
}

/// The chains of all landed topics, each link checked (LAND-1).
async fn read_landed(working: &Store) -> anyhow::Result<Vec<segments::Chain>> {
    let mut chains = Vec::new();
    for topic in Topic::LANDED {
        chains.extend(segments::read_chains(working, topic).await?);
    }
    Ok(chains)
}

/// Puts a file under its content's name.
pub(crate) async fn put(archive: &Store, file: &StoredFile, bytes: Bytes) -> anyhow::Result<()> {
    match archive.create(&file.path, bytes).await? {
        Put::Created | Put::AlreadySame => Ok(()),
        Put::AlreadyOther => bail!("{} is there and holds other bytes: the archive was changed, run verify", file.path),
    }
}

async fn commit(archive: &Store, manifest: &Manifest, key: &SigningKey) -> anyhow::Result<Head> {
    let bytes = Bytes::from(Envelope::sign(manifest, key)?.encode()?);
    ensure!(bytes.len() as u64 <= envelope::MAX_BYTES, "the manifest has {} bytes, too many to be read", bytes.len());
    let head = Head { seq: manifest.seq, sha256: Digest::of(&bytes) };
    match archive.create(&layout::seal(head.seq), bytes).await? {
        Put::Created | Put::AlreadySame => Ok(head),
        Put::AlreadyOther => bail!("another seal wrote seal {} first; run it again", head.seq),
    }
}
