//! Reading all seals of an archive, and what must hold between them.
//!
//! Everything wrong is a [`Finding`]; the only error is a store that can't be read. A seal whose signature is wrong is
//! still read as far as it goes, so that one check tells all that is wrong, but nothing in it is to be believed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use contract::{Digest, layout};
use store::{Store, StoreError};

use crate::envelope::{self, Envelope};
use crate::finding::Finding;
use crate::key::PublicKey;
use crate::manifest::{Manifest, RunFileKind, SealedPartition};
use crate::partition::PartitionId;

/// One seal as it lies in the archive.
#[derive(Debug, Clone)]
pub struct Seal {
    /// By its file's name; the manifest should say the same.
    pub seq: u32,
    pub path: String,
    /// Of the whole file: the next seal's `previous_sha256`.
    pub sha256: Digest,
    /// Whether the key verified it. If not, the rest is hearsay.
    pub signed: bool,
    pub manifest: Manifest,
}

/// All seals in order, as far as they can be read.
#[derive(Debug, Default)]
pub struct Chain {
    pub seals: Vec<Seal>,
    pub findings: Vec<Finding>,
    /// Files among the seals that are none.
    pub strays: Vec<String>,
}

/// The newest seal, written `SEQ:SHA256`: what an auditor keeps elsewhere, to notice a rollback. It vouches for every
/// seal before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: u32,
    pub sha256: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not SEQ:SHA256, such as 3:9f86d081…, as verify prints it")]
pub struct BadHead;

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.sha256)
    }
}
impl FromStr for Head {
    type Err = BadHead;
    fn from_str(s: &str) -> Result<Self, BadHead> {
        let (seq, sha256) = s.split_once(':').ok_or(BadHead)?;
        let head = Self { seq: seq.parse().map_err(|_| BadHead)?, sha256: sha256.parse().map_err(|_| BadHead)? };
        if head.seq > 0 && head.to_string() == s { Ok(head) } else { Err(BadHead) }
    }
}

impl Chain {
    pub fn head(&self) -> Option<Head> {
        self.seals.last().map(|seal| Head { seq: seal.seq, sha256: seal.sha256 })
    }

    /// Whether the archive still holds the seal that someone saw here before.
    pub fn expect(&self, kept: &Head) -> Option<Finding> {
        let path = layout::seal(kept.seq);
        let problem = match self.seals.iter().find(|seal| seal.seq == kept.seq) {
            Some(seal) if seal.sha256 == kept.sha256 => return None,
            Some(seal) => format!("replaced: sha256 was {}, is {}", kept.sha256, seal.sha256),
            None => match self.head() {
                Some(head) if head.seq < kept.seq => format!("missing: rolled back to seal {}", head.seq),
                Some(_) => "missing, or not readable".to_owned(),
                None => "missing: there is no seal at all".to_owned(),
            },
        };
        Some(Finding::arch_1(&path, problem))
    }
}

/// Reads every seal and checks it by itself and against the others.
pub async fn read_chain(archive: &Store, key: &PublicKey) -> Result<Chain, StoreError> {
    let mut chain = Chain::default();
    let mut expected_seq = 1;
    for entry in archive.list(layout::SEALS).await? {
        let Some(seq) = parse_path(&entry.path) else {
            chain.strays.push(entry.path);
            continue;
        };
        if expected_seq < seq {
            chain.findings.push(missing(expected_seq, seq));
        }
        expected_seq = seq.saturating_add(1);
        match read_seal(archive, key, seq, entry.path, &mut chain.findings).await {
            Ok(seal) => chain.seals.extend(seal),
            Err(StoreError::TooLarge { path, size_bytes, limit_bytes }) => {
                let problem = format!("is no seal: {size_bytes} bytes, more than the limit of {limit_bytes}");
                chain.findings.push(Finding::arch_1(&path, problem));
            }
            Err(error) => return Err(error),
        }
    }
    chain.findings.extend(check_links(&chain.seals));
    chain.findings.extend(chain.seals.iter().flat_map(check_names));
    chain.findings.extend(check_tiling(&chain.seals));
    Ok(chain)
}

/// Reads a seal's number back from its path.
fn parse_path(path: &str) -> Option<u32> {
    let seq = path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()?;
    (seq > 0 && layout::seal(seq) == path).then_some(seq)
}

/// Seals `[from, to)` are not there.
fn missing(from: u32, to: u32) -> Finding {
    let others = if to - from > 1 { format!(", as are all up to seal {}", to - 1) } else { String::new() };
    Finding::arch_1(&layout::seal(from), format!("missing{others}; seal {to} is there"))
}

async fn read_seal(
    archive: &Store,
    key: &PublicKey,
    seq: u32,
    path: String,
    findings: &mut Vec<Finding>,
) -> Result<Option<Seal>, StoreError> {
    let Some(bytes) = archive.get_limited(&path, envelope::MAX_BYTES).await? else {
        findings.push(Finding::arch_1(&path, "missing: it was listed and is not there"));
        return Ok(None);
    };
    let envelope = match Envelope::decode(&bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            findings.push(Finding::arch_1(&path, format!("is no seal: {error}")));
            return Ok(None);
        }
    };
    let signature = envelope.check(key);
    let signed = signature.is_ok();
    findings.extend(signature.err().map(|problem| Finding::arch_1(&path, problem)));
    let manifest = match envelope.manifest() {
        Ok(manifest) => manifest,
        Err(error) => {
            findings.push(Finding::arch_1(&path, format!("its manifest can't be read: {error}")));
            return Ok(None);
        }
    };
    if manifest.seq != seq {
        findings.push(Finding::arch_1(&path, format!("holds seal {}: moved or reordered", manifest.seq)));
    }
    if signed && manifest.key_id != key.id() {
        let problem = format!("manifest names key {}, yet key {} signed it", manifest.key_id, key.id());
        findings.push(Finding::arch_1(&path, problem));
    }
    Ok(Some(Seal { seq, path, sha256: Digest::of(&bytes), signed, manifest }))
}

/// Each seal names the file before it. Across a missing seal there is nothing to compare.
pub fn check_links(seals: &[Seal]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before: Option<&Seal> = None;
    for seal in seals {
        let named = seal.manifest.previous_sha256;
        let is_next = before.map_or(1, |before| before.seq.saturating_add(1)) == seal.seq;
        let problem = match (before, named) {
            (None, Some(_)) if is_next => Some("is the first seal, yet names one before it".to_owned()),
            (Some(before), named) if is_next && named != Some(before.sha256) => Some(format!(
                "previous_sha256 differs: manifest {}, file {} has {}",
                named.map_or_else(|| "names none".to_owned(), |digest| digest.to_string()),
                before.path,
                before.sha256
            )),
            _ => None,
        };
        findings.extend(problem.map(|problem| Finding::arch_1(&seal.path, problem)));
        before = Some(seal);
    }
    findings
}

/// What a manifest says must fit together: names and digests, kinds, totals.
pub fn check_names(seal: &Seal) -> Vec<Finding> {
    let mut problems = Vec::new();
    for (file, extension) in seal.manifest.files() {
        if file.path != layout::sealed_file(&file.sha256, extension) {
            problems
                .push(format!("lists {:?}, which is not the name of a file with sha256 {}", file.path, file.sha256));
        }
    }
    for run in &seal.manifest.runs {
        if !run.files.iter().map(|file| file.kind).eq(RunFileKind::ALL) {
            problems.push(format!("run {} does not list one file of each kind", run.seq));
        }
    }
    if seal.manifest.count() != Some(seal.manifest.totals) {
        problems.push("totals are not those of the files listed".to_owned());
    }
    problems.into_iter().map(|problem| Finding::arch_1(&seal.path, problem)).collect()
}

/// ARCH-3: in each partition one seal's `to` is the next one's `from`, and a seal's files tile its `[from, to)`.
///
/// That each file's rows lie inside its own `[from, to)` is for whoever reads the file.
pub fn check_tiling(seals: &[Seal]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sealed: BTreeMap<PartitionId, (i64, Digest)> = BTreeMap::new();
    for seal in seals {
        let mut report = |id: &PartitionId, problem: String| {
            findings.push(Finding::arch_3(&seal.path, format!("{id}: {problem}")));
        };
        let mut listed: BTreeMap<PartitionId, (i64, Digest)> = BTreeMap::new();
        for part in &seal.manifest.partitions {
            for problem in check_partition(part, sealed.get(&part.id)) {
                report(&part.id, problem);
            }
            if listed.insert(part.id, (part.to, part.head_sha256)).is_some() {
                report(&part.id, "is listed twice".to_owned());
            }
        }
        for (id, head) in &sealed {
            if !listed.contains_key(id) {
                report(id, format!("is not listed; an earlier seal covers it up to offset {}", head.0));
            }
        }
        sealed.append(&mut listed);
    }
    findings
}

fn check_partition(part: &SealedPartition, before: Option<&(i64, Digest)>) -> Vec<String> {
    let mut problems = Vec::new();
    let SealedPartition { id, from, to, head_sha256, files } = part;
    match before {
        Some((end, _)) if from > end => problems.push(format!("offsets [{end}, {from}) are in no seal")),
        Some((end, _)) if from < end => problems.push(format!("offsets [{from}, {end}) are in two seals")),
        Some((_, head)) if from == to && head != head_sha256 => {
            problems.push("head_sha256 changed although nothing is new".to_owned());
        }
        None if id.epoch == 0 && *from != 0 => problems.push(format!("offsets [0, {from}) are in no seal")),
        _ => {}
    }
    if from > to {
        problems.push(format!("[{from}, {to}) runs backwards"));
    }
    let mut next = *from;
    for file in files {
        if file.from != next {
            problems.push(format!("{} starts at offset {}, not at {next}", file.file.path, file.from));
        }
        // The segment that opens an epoch behind a gap may be all there is of it, and holds no records.
        if file.to < file.from || file.to == file.from && file.records > 0 {
            problems.push(format!("{} has the empty range [{}, {})", file.file.path, file.from, file.to));
        }
        next = file.to;
    }
    if next != *to {
        problems.push(format!("files end at offset {next}, not at {to}"));
    }
    problems
}
