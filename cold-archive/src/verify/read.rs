//! One file of the archive: is it there, of its length, of its digest.

use std::collections::BTreeMap;

use bytes::Bytes;
use contract::Digest;
use indicatif::ProgressBar;
use seals::Seal;
use seals::manifest::StoredFile;
use store::{Store, StoreError};

/// Where sealed files lie: the folder of every `layout::sealed_file`.
const FILES: &str = "archive/files";

/// The files that are there.
pub(crate) struct Files<'a> {
    archive: &'a Store,
    sizes: BTreeMap<String, u64>,
    progress: &'a ProgressBar,
}

impl<'a> Files<'a> {
    pub(crate) async fn list(archive: &'a Store, progress: &'a ProgressBar) -> Result<Self, StoreError> {
        let sizes = archive.list(FILES).await?.into_iter().map(|entry| (entry.path, entry.size)).collect();
        Ok(Self { archive, sizes, progress })
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.sizes.keys().map(String::as_str)
    }

    /// The file's bytes, or what is wrong with it. Then `open` looks inside; it runs on a thread of its own.
    pub(crate) async fn check<T: Send + 'static>(
        &self,
        seal: &Seal,
        file: &StoredFile,
        open: impl FnOnce(Bytes) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Problem> {
        let manifest = &seal.path;
        let damaged = |problem: String| Err(Problem::Damaged(problem));
        let size = match self.sizes.get(&file.path) {
            None => return damaged(format!("missing: manifest {manifest} lists it")),
            Some(size) => *size,
        };
        if size != file.bytes {
            let how = if size < file.bytes { "truncated" } else { "longer" };
            return damaged(format!(
                "size differs ({how}): manifest {manifest} says {} bytes, file has {size}",
                file.bytes
            ));
        }
        let bytes = match self.archive.get_limited(&file.path, file.bytes).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return damaged(format!("missing: manifest {manifest} lists it")),
            Err(error) => return damaged(format!("can't be read: {}", chain_of(&error))),
        };
        self.progress.inc(size);
        let (expected, manifest) = (file.sha256, manifest.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let found = Digest::of(&bytes);
            if found != expected {
                let problem = format!("sha256 differs: manifest {manifest} says {expected}, file has {found}");
                return Err(Problem::Damaged(problem));
            }
            open(bytes).map_err(Problem::Contradicts)
        });
        looked.await.unwrap_or_else(|error| Err(Problem::Contradicts(format!("can't be opened: {error}"))))
    }
}

/// What is wrong with a file.
pub(crate) enum Problem {
    /// Its bytes are not those that were sealed.
    Damaged(String),
    /// They are, yet they are not what the manifest says of them.
    Contradicts(String),
}

/// An error with its causes, on one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
