//! What the next seal covers. Pure: the landed chains, the runs and the seals so far in, a plan or a refusal out.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use contract::Digest;
use seals::run::CutPart;
use seals::{PartitionId, Seal, StoredRun};
use segments::{Chain, Segment};

/// A partition's offsets `[from, to)` to seal.
#[derive(Debug)]
pub struct Part {
    pub id: PartitionId,
    pub from: i64,
    pub to: i64,
    pub head_sha256: Digest,
    /// The landed segments of `[from, to)`; none if nothing is new.
    pub segments: Vec<Segment>,
}

/// Every landed partition, in order, from where the seals end to where its chain ends.
///
/// Refused if the landed log is not the one that was sealed: it ends below a seal, or holds another segment there.
pub fn parts(sealed: &[Seal], chains: Vec<Chain>) -> anyhow::Result<Vec<Part>> {
    let mut ends: BTreeMap<PartitionId, (i64, Digest)> = BTreeMap::new();
    if let Some(last) = sealed.last() {
        ends.extend(last.manifest.partitions.iter().map(|part| (part.id, (part.to, part.head_sha256))));
    }
    let mut parts = Vec::new();
    for Chain { topic, epoch, partition, mut segments } in chains {
        let id = PartitionId { topic, epoch, partition };
        let Some(head) = segments.last() else { continue };
        let (to, head_sha256) = (head.footer.next_offset, head.sha256);
        let (from, sealed) = match ends.remove(&id) {
            None => (segments.first().map_or(to, |first| first.footer.start), 0),
            Some((end, _)) if to < end => bail!("{id} was sealed up to offset {end}, but is landed only up to {to}"),
            Some((end, sha256)) => {
                let ends_there = |segment: &Segment| segment.footer.next_offset == end && segment.sha256 == sha256;
                let last = segments.iter().position(ends_there).with_context(|| {
                    format!("{id}: the segment that was sealed last, which ends at offset {end}, is another one now")
                })?;
                (end, last + 1)
            }
        };
        segments.drain(..sealed);
        parts.push(Part { id, from, to, head_sha256, segments });
    }
    if let Some((id, (end, _))) = ends.first_key_value() {
        bail!("{id} was sealed up to offset {end}, but nothing of it is landed any more");
    }
    parts.sort_by_key(|part| part.id);
    Ok(parts)
}

/// The final runs to seal, in order, and how many wait because their cut is not landed here yet.
///
/// Runs are sealed in their own order: one that waits keeps back those after it.
pub fn runs(sealed: &[Seal], parts: &[Part], mut runs: Vec<StoredRun>) -> anyhow::Result<(Vec<StoredRun>, usize)> {
    let sealed: Vec<_> = sealed.iter().flat_map(|seal| &seal.manifest.runs).collect();
    ensure!(sealed.len() <= runs.len(), "{} runs were sealed, but only {} are in the store", sealed.len(), runs.len());
    for (sealed, run) in sealed.iter().zip(&runs) {
        let digest = sealed.files.first().map(|file| file.file.sha256);
        ensure!(digest == Some(run.sha256), "run {} was sealed, and is another one now", run.run.seq);
    }
    let mut new = runs.split_off(sealed.len());
    let covered = new.iter().take_while(|run| run.run.cut.iter().all(|cut| is_covered(cut, parts))).count();
    let waiting = new.len() - covered;
    new.truncate(covered);
    Ok((new, waiting))
}

fn is_covered(cut: &CutPart, parts: &[Part]) -> bool {
    parts.iter().any(|part| part.id == cut.id && cut.next_offset <= part.to)
}
