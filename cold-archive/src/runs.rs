//! Final runs into the archive, byte for byte: the run, and all that it names by digest.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use contract::Digest;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use seals::StoredRun;
use seals::manifest::{RunFile, RunFileKind, SealedRun, StoredFile};
use store::Store;

use crate::seal::put;

/// Copies a run's files and describes them for the manifest. Refused if one is not what the run says.
pub async fn copy(working: &Store, archive: &Store, stored: &StoredRun) -> anyhow::Result<SealedRun> {
    let mut files = Vec::new();
    for kind in RunFileKind::ALL {
        let (source, named) = stored.run.source(kind);
        let bytes = working
            .get(&source)
            .await?
            .with_context(|| format!("{source} is missing, run {} names it", stored.run.seq))?;
        let (expected, found) = (named.unwrap_or(stored.sha256), Digest::of(&bytes));
        ensure!(
            expected == found,
            "{source}: sha256 differs: run {} says {expected}, the file has {found}",
            stored.run.seq
        );
        let rows = count_rows(kind, &bytes).with_context(|| format!("can't count the rows of {source}"))?;
        let file = StoredFile::of(&bytes, kind.extension());
        put(archive, &file, bytes).await?;
        files.push(RunFile { kind, file, source, rows });
    }
    Ok(SealedRun { seq: stored.run.seq, files })
}

/// Lines of JSON lines, rows of Parquet, none of a single document.
pub(crate) fn count_rows(kind: RunFileKind, bytes: &Bytes) -> anyhow::Result<Option<u64>> {
    Ok(match kind {
        RunFileKind::Run | RunFileKind::Inputs | RunFileKind::PriceBook => None,
        RunFileKind::Bills => Some(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64),
        RunFileKind::BillsTable => {
            let reader = SerializedFileReader::new(bytes.clone())?;
            Some(u64::try_from(reader.metadata().file_metadata().num_rows())?)
        }
    })
}
