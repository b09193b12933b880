//! The sealed log: each file by itself, and the landed segments in them as one chain per partition (ARCH-3).

use std::collections::BTreeMap;

use contract::Digest;
use futures::StreamExt as _;
use seals::manifest::{LandedFile, SealedPartition};
use seals::sealed::Ends;
use seals::{Finding, PartitionId, Seal};

use crate::sealed_file::{self, Content};
use crate::verify::read::{Files, Problem};

/// How many files are read and checked at once; each is held in memory.
const AT_ONCE: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) listed: u64,
    pub(crate) whole: u64,
    pub(crate) bytes: u64,
    pub(crate) partitions: usize,
    pub(crate) rows: u64,
    pub(crate) segments: u64,
}

pub(crate) async fn check(files: &Files<'_>, seals: &[Seal], findings: &mut Vec<Finding>) -> Tally {
    let mut jobs = Vec::new();
    for seal in seals {
        for part in &seal.manifest.partitions {
            jobs.extend(part.files.iter().map(|landed| (seal, part, landed)));
        }
    }
    let mut tally = Tally::default();
    // The digest that each partition's next file must go on from; none after a damaged one.
    let mut heads: BTreeMap<PartitionId, Option<Digest>> = BTreeMap::new();
    let mut checks = futures::stream::iter(jobs).map(|job| check_file(files, job)).buffered(AT_ONCE);
    while let Some(((_, part, landed), checked)) = checks.next().await {
        tally.listed += 1;
        let path = &landed.file.path;
        let located = |problem| format!("{problem} (holds {}, offsets [{}, {}))", part.id, landed.from, landed.to);
        let content = match checked {
            Err(Problem::Damaged(problem)) => {
                findings.push(Finding::arch_1(path, located(problem)));
                heads.insert(part.id, None);
                continue;
            }
            Err(Problem::Contradicts(problem)) => {
                findings.push(Finding::arch_3(path, located(problem)));
                None
            }
            Ok(content) => content,
        };
        tally.whole += 1;
        tally.bytes += landed.file.bytes;
        if let Some(content) = &content {
            tally.rows += landed.rows;
            tally.segments += content.segments;
            let problem = check_link(part, landed, &content.ends, before(&heads, part.id));
            findings.extend(problem.map(|problem| Finding::arch_3(path, located(problem))));
        }
        heads.insert(part.id, content.map(|content| content.ends.head_sha256));
    }
    tally.partitions = heads.len();
    tally
}

/// What a partition's next file hangs on: the file before it, or where an epoch begins, the end of the one before.
fn before(heads: &BTreeMap<PartitionId, Option<Digest>>, id: PartitionId) -> Option<&Option<Digest>> {
    let old = || Some(PartitionId { epoch: id.epoch.checked_sub(1)?, ..id });
    heads.get(&id).or_else(|| heads.get(&old()?))
}

type Job<'a> = (&'a Seal, &'a SealedPartition, &'a LandedFile);

async fn check_file<'a>(files: &Files<'_>, job: Job<'a>) -> (Job<'a>, Result<Option<Content>, Problem>) {
    let (seal, part, landed) = job;
    let (signed, id, expected) = (seal.signed, part.id, landed.clone());
    let open = move |bytes| if signed { sealed_file::check(bytes, &id, &expected).map(Some) } else { Ok(None) };
    (job, files.check(seal, &landed.file, open).await)
}

/// Whether the file's piece of the chain hangs on to the piece before it, and ends where the manifest says.
fn check_link(
    part: &SealedPartition,
    landed: &LandedFile,
    ends: &Ends,
    before: Option<&Option<Digest>>,
) -> Option<String> {
    let expected = match before {
        None => Some(None),
        Some(None) => None,
        Some(head) => Some(*head),
    };
    if expected.is_some_and(|expected| expected != ends.previous_sha256) {
        return Some(format!("the landed segments before offset {} are not those that it was chained to", landed.from));
    }
    (landed.to == part.to && ends.head_sha256 != part.head_sha256)
        .then(|| format!("ends with landed segment {}, manifest says {}", ends.head_sha256, part.head_sha256))
}
