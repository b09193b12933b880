//! The object store as Pixtoll uses it: **durable, create-only puts**.
//!
//! Every commit point of the pipeline is one [`Store::create`]. Its answer is the whole truth about the name:
//!
//! | answer                            | the name holds             | durable | who wrote it             |
//! |-----------------------------------|----------------------------|---------|--------------------------|
//! | [`Put::Created`]                  | these bytes                | yes     | this call                |
//! | [`Put::AlreadySame`]              | these bytes                | yes     | a call before, or a peer |
//! | [`Put::AlreadyOther`]             | other bytes                | yes     | another writer           |
//! | `Err` ([`StoreError::Failed`] …)  | nothing, or some whole put | unknown | call again to learn      |
//!
//! So a put whose reply was lost is simply made again, and a name never changes once it is there. A *read* says
//! nothing about durability: its object may be another writer's that is not yet on disk.
//!
//! Where the bytes go is a URL: `file:///abs` (or a plain path), `s3://`, `gs://`, `az://`, `memory:///`. The clouds
//! have a conditional put of their own; on `file://` it is ours, in `durable.rs`. Reading goes through the
//! `object_store` crate, which is the boundary: [`Store::objects`] hands it to DataFusion.
//!
//! What this is not: there is no overwrite, no rename and, deliberately, **no delete** (expiry and erasure have rules
//! of their own and live where those rules do); no metadata (local files have none); no multipart upload (it has no
//! create mode); no cache. Retries within one call are bounded; a circuit breaker is the caller's.

mod durable;
mod error;
mod location;
mod newest;
mod path;
mod temp;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::durable::Durable;
pub use crate::error::StoreError;
use crate::location::Retries;

/// The most that [`Store::get`] takes into memory. What is larger is streamed, through [`Store::objects`].
pub const MAX_GET_BYTES: u64 = 1 << 30;

/// How often a name that is "already there" yet can't be read is put again (the clouds answer so while another
/// writer's put is in flight). With the pauses of [`pause_before_retry`], about 5 s.
const PUT_ATTEMPTS: u32 = 12;

/// How long a put that got no reply may look whether its name is taken, on top of the time it took already.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The name was free and now holds the bytes.
    Created,
    /// The name held exactly these bytes already: done before.
    AlreadySame,
    /// The name holds another writer's bytes, which stay.
    AlreadyOther,
}

/// One object of a [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the store's root, as it was created.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A place for objects. Cheap to clone; clones share one state. Needs a tokio runtime.
#[derive(Clone)]
pub struct Store {
    url: Arc<str>,
    objects: Arc<dyn ObjectStore>,
    /// Of a local store, its root.
    folder: Option<Arc<std::path::Path>>,
    writer: Writer,
}

#[derive(Clone)]
enum Writer {
    /// A folder: our own durable create.
    Folder(Arc<Durable>),
    /// The backend's conditional put.
    Conditional,
    /// Opened for reading only.
    Nobody,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.url)
    }
}

impl Store {
    /// Opens the place for reading and writing. A folder is created where it is missing, durably, and must be on a
    /// file system that has hard links. Credentials and endpoints of the clouds come from the environment (`AWS_…`,
    /// `GOOGLE_…`, `AZURE_…`), never from the URL. Every open of `memory:///` is a store of its own.
    ///
    /// A folder is touched here, blocking; a cloud is first asked by the first call.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Retries::Some)
    }

    /// As [`Store::open`], for a caller that makes its own retries: a call to a cloud is one request, or few.
    pub fn open_without_retries(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Retries::None)
    }

    fn open_with(url: &str, retries: Retries) -> Result<Self, StoreError> {
        let location = location::parse(url)?;
        let (objects, writer) = if let Some(folder) = location.folder() {
            let durable = Durable::open(url, folder)?;
            (location.objects(retries)?, Writer::Folder(Arc::new(durable)))
        } else {
            (location.objects(retries)?, Writer::Conditional)
        };
        Ok(Self { url: url.into(), objects, folder: location.folder().map(Arc::from), writer })
    }

    /// Opens a place that must exist, and writes nothing: [`Store::create`] refuses. For those who only look, perhaps
    /// on a medium or with credentials that allow no more.
    pub fn open_read_only(url: &str) -> Result<Self, StoreError> {
        let location = location::parse(url)?;
        let (objects, folder) = (location.objects(Retries::Some)?, location.folder().map(Arc::from));
        Ok(Self { url: url.into(), objects, folder, writer: Writer::Nobody })
    }

    /// Puts `bytes` at `path` if nothing is there: atomic, durable, and the only way to write. See the table above
    /// for what the answer means. On [`StoreError::FsyncFailed`] end the process: this store creates nothing more.
    ///
    /// Dropping the future does not take the put back.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let location = path::check(path)?;
        service::kill_point("store-before-put");
        for attempt in 0..PUT_ATTEMPTS {
            if self.put_if_absent(&location, &bytes).await? {
                service::kill_point("store-after-put");
                return Ok(Put::Created);
            }
            if let Some(put) = self.compare(&location, &bytes).await? {
                return Ok(put);
            }
            tracing::debug!(%path, attempt, "name is taken but not readable yet");
            pause_before_retry(attempt).await;
        }
        Err(StoreError::failed("create", path, "the name is taken, yet nothing can be read there"))
    }

    /// The object's bytes, or `None` if there is none (nor if there is no such bucket: only listing and creating tell).
    /// Fails above [`MAX_GET_BYTES`].
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        self.get_limited(path, MAX_GET_BYTES).await
    }

    /// As [`Store::get`], for what comes from outside: [`StoreError::TooLarge`] before any byte is taken in, if the
    /// object is longer than `max_bytes`.
    pub async fn get_limited(&self, path: &str, max_bytes: u64) -> Result<Option<Bytes>, StoreError> {
        let location = path::check(path)?;
        if let Writer::Folder(durable) = &self.writer {
            if let Some(bytes) = durable.read_cached(location.as_ref(), max_bytes) {
                return Ok(Some(bytes));
            }
            // object_store would go to another thread twice, once to open and once to read.
            let durable = Arc::clone(durable);
            let task = tokio::task::spawn_blocking(move || durable.read(location.as_ref(), max_bytes));
            return task.await.map_err(|source| StoreError::failed("read", path, source))?;
        }
        let found = match self.objects.get(&location).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|source| StoreError::failed("read", path, source))?,
        };
        if found.meta.size > max_bytes {
            let (size_bytes, limit_bytes) = (found.meta.size, max_bytes);
            return Err(StoreError::TooLarge { path: path.to_owned(), size_bytes, limit_bytes });
        }
        Ok(Some(found.bytes().await.map_err(|source| StoreError::failed("read", path, source))?))
    }

    /// The object's length in bytes, or `None` if there is none.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        match self.objects.head(&path::check(path)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::failed("look at", path, source)),
        }
    }

    /// All objects below the folder `prefix` (`""` is the root), at any depth, sorted by path. Names that begin with
    /// a dot are not shown: temporary files, what a desktop leaves.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let found = self.objects.list(path::check_prefix(prefix)?.as_ref());
        let found: Vec<_> = found.try_collect().await.map_err(|source| StoreError::failed("list", prefix, source))?;
        let mut entries: Vec<_> = found
            .into_iter()
            .map(|meta| Entry { path: String::from(meta.location), size: meta.size })
            .filter(|entry| !path::is_hidden(&entry.path))
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// The bytes `range` of an object, or `None` if there is none.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        match self.objects.get_range(&path::check(path)?, range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::failed("read", path, source)),
        }
    }

    /// The last object, in the order of names, of a folder in which each name begins with a number of 20 digits; `None`
    /// if there is none. It is found without listing them all in a cloud, and by reading names alone in a local folder.
    pub async fn newest(&self, folder: &str) -> Result<Option<String>, StoreError> {
        let location = path::check(folder)?;
        let found = match &self.folder {
            Some(root) => {
                let path = root.join(folder);
                let listed = tokio::task::spawn_blocking(move || newest::in_folder(&path)).await;
                let found = listed.map_err(|source| StoreError::failed("list", folder, source))?;
                found.map_err(|source| StoreError::failed("list", folder, source))?
            }
            None => newest::in_cloud(self.objects.as_ref(), &location)
                .await
                .map_err(|source| StoreError::failed("list", folder, source))?,
        };
        Ok(found.map(|name| format!("{folder}/{name}")))
    }

    /// The folders directly below the folder `prefix`, sorted: paths from the root, as in [`Store::list`], without a
    /// trailing slash. On `file://` a folder may be empty (a create that was killed leaves it).
    pub async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let found = self.objects.list_with_delimiter(path::check_prefix(prefix)?.as_ref()).await;
        let found = found.map_err(|source| StoreError::failed("list", prefix, source))?;
        let mut folders: Vec<_> = found.common_prefixes.into_iter().map(String::from).collect();
        folders.retain(|folder| !path::is_hidden(folder));
        folders.sort();
        Ok(folders)
    }

    /// The store as DataFusion and parquet want it, rooted like this one. For reading: its puts are not durable on
    /// `file://`, and nothing checks its paths.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// The URL as it was given. It holds no credentials: one that does is refused.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One atomic attempt; false if the name is taken, by whomever.
    async fn put_if_absent(&self, location: &Path, bytes: &Bytes) -> Result<bool, StoreError> {
        let path = location.as_ref();
        match &self.writer {
            Writer::Folder(durable) => {
                let (durable, location, bytes) = (Arc::clone(durable), location.clone(), bytes.clone());
                let task = tokio::task::spawn_blocking(move || durable.create(location.as_ref(), &bytes));
                task.await.map_err(|source| StoreError::failed("create", path, source))?
            }
            Writer::Conditional => {
                let options = PutOptions::from(PutMode::Create);
                match self.objects.put_opts(location, bytes.clone().into(), options).await {
                    Ok(_) => Ok(true),
                    // A conflict, a failed condition, or our own put whose reply object_store lost and made again.
                    Err(Error::AlreadyExists { .. }) => Ok(false),
                    // A server may refuse a taken name before it has read the bytes, and hang up: no reply at all.
                    Err(Error::Generic { .. }) if self.is_there(location).await => Ok(false),
                    Err(source) => Err(StoreError::failed("create", path, source)),
                }
            }
            Writer::Nobody => Err(StoreError::failed("create", path, "the store was opened for reading only")),
        }
    }

    async fn is_there(&self, location: &Path) -> bool {
        let head = tokio::time::timeout(LOOK_TIMEOUT, self.objects.head(location)).await;
        matches!(head, Ok(Ok(_)))
    }

    /// Whether the taken name holds `bytes`; `None` if there is nothing to read (yet).
    async fn compare(&self, location: &Path, bytes: &Bytes) -> Result<Option<Put>, StoreError> {
        match self.get_limited(location.as_ref(), bytes.len() as u64).await {
            Ok(Some(found)) if found == *bytes => Ok(Some(Put::AlreadySame)),
            Ok(Some(_)) | Err(StoreError::TooLarge { .. }) => Ok(Some(Put::AlreadyOther)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Exponential, at most a second, with jitter that spreads the writers of this process. The jitter comes from a
/// counter: nothing here needs a clock or a random number.
async fn pause_before_retry(attempt: u32) {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let full_ms = (10_u64 << attempt.min(10)).min(1_000);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let jitter_ms = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(16) % (full_ms / 2 + 1);
    tokio::time::sleep(Duration::from_millis(full_ms / 2 + jitter_ms)).await;
}
