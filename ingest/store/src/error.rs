//! What can go wrong: one variant per thing that a caller does about it.

use std::path::PathBuf;

/// The error of every call of this crate.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The person who configured the URL has to mend it, or its place.
    #[error("store URL {url:?}: {reason}")]
    BadUrl {
        /// As given, any credentials replaced by `***`.
        url: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The path breaks the rules of `path.rs`: a bug, or a name from outside that must be refused.
    #[error("object path {path:?}: {reason}")]
    BadPath {
        /// As given.
        path: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The object is longer than the reader takes.
    #[error("object {path} has {size_bytes} bytes, more than the limit of {limit_bytes}")]
    TooLarge {
        /// The object.
        path: String,
        /// Its length.
        size_bytes: u64,
        /// The longest that would have been read.
        limit_bytes: u64,
    },
    /// **Fatal: end the process.** The kernel reports a failed write-back once and then forgets the pages, so
    /// nothing it says later about this file system can be believed. The store creates nothing more.
    #[error("fsync of {} failed, what is on disk is unknown; restart after looking at the disk: {reason}", at.display())]
    FsyncFailed {
        /// The file or folder.
        at: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// The place did not do it: unreachable, refused, full. A create may or may not have happened: make it again.
    #[error("can't {action} {path:?}")]
    Failed {
        /// `create`, `read`, `look at`, `list`.
        action: &'static str,
        /// The object, or the prefix of a listing.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether trying again may help: not where the store says that there is no such bucket, or that it is not ours.
    pub fn passes(&self) -> bool {
        use object_store::Error;
        let Self::Failed { source, .. } = self else { return false };
        match source.downcast_ref() {
            // Of a listing object_store keeps the status in the text alone; a test sees to it that it stays there.
            Some(Error::Generic { source, .. }) => {
                let text = source.to_string();
                !["401", "403", "404"].iter().any(|status| text.contains(&format!("status code: {status} ")))
            }
            // S3 also answers so to a conditional put that meets another writer's.
            Some(Error::NotFound { source, .. }) => !source.to_string().contains("NoSuchBucket"),
            Some(
                Error::PermissionDenied { .. }
                | Error::Unauthenticated { .. }
                | Error::NotSupported { .. }
                | Error::NotImplemented { .. }
                | Error::UnknownConfigurationKey { .. },
            ) => false,
            _ => true,
        }
    }

    pub(crate) fn failed(
        action: &'static str,
        path: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { action, path: path.to_owned(), source: source.into() }
    }
}
