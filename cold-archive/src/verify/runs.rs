//! The sealed runs: each file by itself, what the run names, and the runs as one chain.

use bytes::Bytes;
use seals::manifest::{RunFile, RunFileKind, SealedRun};
use seals::run::{Run, StoredRun, check_link};
use seals::{Finding, Seal};

use crate::runs::count_rows;
use crate::verify::read::{Files, Problem};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) listed: u64,
    pub(crate) whole: u64,
    pub(crate) bytes: u64,
}

pub(crate) async fn check(files: &Files<'_>, seals: &[Seal], findings: &mut Vec<Finding>) -> Tally {
    let mut tally = Tally::default();
    let mut before: Option<StoredRun> = None;
    let mut next_seq = 1;
    for (seal, sealed) in seals.iter().flat_map(|seal| seal.manifest.runs.iter().map(move |run| (seal, run))) {
        if sealed.seq != next_seq {
            let problem = format!("lists run {}, where run {next_seq} comes next", sealed.seq);
            findings.push(Finding::arch_1(&seal.path, problem));
        }
        let is_next = sealed.seq == next_seq;
        next_seq = sealed.seq.saturating_add(1);
        let run = check_files(files, seal, sealed, &mut tally, findings).await;
        if let Some((run, path)) = &run {
            let mut problems = check_names(&run.run, seal, sealed);
            // After a run that can't be read there is nothing to compare with.
            if is_next && (before.is_some() || sealed.seq == 1) {
                problems.extend(check_link(before.as_ref(), &run.run).err());
            }
            findings.extend(problems.into_iter().map(|problem| Finding::arch_1(path, problem)));
        }
        before = run.map(|(run, _)| run);
    }
    tally
}

/// Each file's bytes, and the run read from them.
async fn check_files(
    files: &Files<'_>,
    seal: &Seal,
    sealed: &SealedRun,
    tally: &mut Tally,
    findings: &mut Vec<Finding>,
) -> Option<(StoredRun, String)> {
    let mut read = None;
    for listed in &sealed.files {
        tally.listed += 1;
        let (signed, expected) = (seal.signed, listed.clone());
        let open = move |bytes| if signed { open(&bytes, &expected) } else { Ok(None) };
        match files.check(seal, &listed.file, open).await {
            Ok(run) => {
                tally.whole += 1;
                tally.bytes += listed.file.bytes;
                read = read.or(run.map(|run| (run, listed.file.path.clone())));
            }
            Err(Problem::Damaged(problem) | Problem::Contradicts(problem)) => {
                let problem = format!("{problem} (holds {})", listed.source);
                findings.push(Finding::arch_1(&listed.file.path, problem));
            }
        }
    }
    read
}

/// Compares the rows; reads the run if this is its file.
fn open(bytes: &Bytes, listed: &RunFile) -> Result<Option<StoredRun>, String> {
    let rows = count_rows(listed.kind, bytes).map_err(|error| format!("can't be read: {error:#}"))?;
    if rows != listed.rows {
        return Err(format!("rows differ: manifest says {:?}, file has {rows:?}", listed.rows));
    }
    if listed.kind != RunFileKind::Run {
        return Ok(None);
    }
    let run = Run::decode(bytes).map_err(|error| format!("is not a run: {error}"))?;
    Ok(Some(StoredRun { run, sha256: listed.file.sha256 }))
}

/// Whether the files are those that the run names, and its cut is inside what was sealed with it.
fn check_names(run: &Run, seal: &Seal, sealed: &SealedRun) -> Vec<String> {
    let mut problems = Vec::new();
    if run.seq != sealed.seq {
        problems.push(format!("is run {}, sealed as run {}", run.seq, sealed.seq));
    }
    for listed in &sealed.files {
        let (source, named) = run.source(listed.kind);
        if named.is_some_and(|named| named != listed.file.sha256) || source != listed.source {
            problems.push(format!("names another file than {} as {source}", listed.file.path));
        }
    }
    for cut in &run.cut {
        let sealed_to = seal.manifest.partitions.iter().find(|part| part.id == cut.id);
        let covered = sealed_to.is_some_and(|part| {
            cut.next_offset < part.to || (cut.next_offset == part.to && cut.head_sha256 == part.head_sha256)
        });
        if !covered {
            problems.push(format!("its cut at offset {} of {} is not in seal {}", cut.next_offset, cut.id, seal.seq));
        }
    }
    problems
}
