//! Create-only puts into a folder that survive a crash of the process and of the machine.
//!
//! ```text
//! write_temp     a file without a name, see [`temp`]: create, write, fsync
//! make_folders   each new one: mkdir, fsync its parent    a crash leaves empty folders
//! link           hard link to the name                    the commit: a link can't replace, and is whole or absent
//! drop           the temporary name, if there was one
//! sync           fsync the folder of the name             only now is the answer given
//! ```
//!
//! Where the name was there already, its file and folder are fsynced all the same: whoever wrote it may have died
//! before it did so, and the answer "already there" must be as durable as "created". A folder counts as durable only
//! once this process has fsynced its parent, whoever made it.
//!
//! A failed fsync poisons this store for good, see [`StoreError::FsyncFailed`]. Symbolic links below the root are
//! refused here (reads follow them: who can place a link can place the bytes).

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::ReadWriteFlags;
use service::kill_point;

use crate::StoreError;
use crate::location::bad_url;
use crate::temp::{self, Temps};

/// Copied in a fraction of a millisecond.
const MAX_CACHED_BYTES: u64 = 1 << 20;
/// Folders remembered as durable; when full, all are forgotten, and fsynced again as they are used.
const MAX_KNOWN_FOLDERS: usize = 10_000;

pub(crate) struct Durable {
    root: PathBuf,
    temps: Temps,
    known_folders: Mutex<BTreeSet<PathBuf>>,
    /// The first failed fsync: where, and what the kernel said.
    failed: OnceLock<(PathBuf, String)>,
    #[cfg(test)]
    synced: Mutex<Vec<PathBuf>>,
}

impl Durable {
    /// Makes the root and each missing ancestor, durably, and tries the file system with a hard link.
    pub(crate) fn open(url: &str, root: &Path) -> Result<Self, StoreError> {
        Self::try_open(root).map_err(|error| bad_url(url, format!("can't write to {}: {error}", root.display())))
    }

    fn try_open(root: &Path) -> io::Result<Self> {
        let root = make_root(root)?;
        let folder = root.join(temp::FOLDER);
        make_folder(&folder)?;
        let temps = Temps::open(folder)?;
        temps.sweep()?;
        Ok(Self {
            root,
            temps,
            known_folders: Mutex::default(),
            failed: OnceLock::new(),
            #[cfg(test)]
            synced: Mutex::default(),
        })
    }

    /// Puts `bytes` at `path`, which has been checked. False if the name is taken; durable either way.
    pub(crate) fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        if let Some((at, reason)) = self.failed.get() {
            return Err(StoreError::FsyncFailed { at: at.clone(), reason: reason.clone() });
        }
        let failed = |error: io::Error| StoreError::failed("create", path, error);
        let (folder, _) = path.rsplit_once('/').unwrap_or_default();
        let target = self.root.join(path);

        let mut temp = self.temps.create().map_err(failed)?;
        kill_point("store-temp-opened");
        temp.file.write_all(bytes).map_err(failed)?;
        self.sync(&temp.file, self.temps.folder())?;
        kill_point("store-temp-written");
        self.make_folders(path, folder)?;
        kill_point("store-folders-made");
        let created = match temp.link(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A folder that we knew has been removed.
                self.lock_known_folders().clear();
                self.make_folders(path, folder)?;
                temp.link(&target)
            }
            linked => linked,
        };
        let created = match created {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        kill_point("store-linked");
        drop(temp);
        kill_point("store-temp-removed");
        if !created {
            self.sync_existing(path, &target)?;
        }
        self.sync_folder(path, &self.root.join(folder))?;
        kill_point("store-folder-synced");
        Ok(created)
    }

    /// The bytes at `path`, which has been checked, if the kernel has them at hand, which is told by the last of them, and
    /// they are not many; `None` if it takes a wait, be it for the disk or for the copying, to learn more.
    ///
    /// Source: openat2(2), `RESOLVE_CACHED`; preadv2(2), `RWF_NOWAIT`.
    pub(crate) fn read_cached(&self, path: &str, max_bytes: u64) -> Option<Bytes> {
        let (flags, mode) = (OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = rustix::fs::openat2(CWD, self.root.join(path), flags, mode, ResolveFlags::CACHED).ok()?;
        let mut file = File::from(file);
        let size_bytes = file.metadata().ok()?.len();
        if size_bytes > max_bytes.min(MAX_CACHED_BYTES) {
            return None;
        }
        let mut last = [0];
        let last = &mut [IoSliceMut::new(&mut last)];
        rustix::io::preadv2(&file, last, size_bytes.checked_sub(1)?, ReadWriteFlags::NOWAIT).ok()?;
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).ok()? + 1); // one more, to see the end
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes.into())
    }

    /// The bytes at `path`, which has been checked; `None` if no file is there.
    pub(crate) fn read(&self, path: &str, max_bytes: u64) -> Result<Option<Bytes>, StoreError> {
        let failed = |error: io::Error| StoreError::failed("read", path, error);
        let file = match File::open(self.root.join(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Ok(None);
        }
        let size_bytes = metadata.len();
        if size_bytes > max_bytes {
            return Err(StoreError::TooLarge { path: path.to_owned(), size_bytes, limit_bytes: max_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
        file.take(size_bytes).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes.into()))
    }

    /// Makes each folder from the root down to `folder`, and sees to it that its name is on disk.
    fn make_folders(&self, path: &str, folder: &str) -> Result<(), StoreError> {
        if self.lock_known_folders().contains(Path::new(folder)) {
            return Ok(());
        }
        let mut relative = PathBuf::new();
        for segment in Path::new(folder) {
            let parent = self.root.join(&relative);
            relative.push(segment);
            if self.lock_known_folders().contains(&relative) {
                continue;
            }
            let child = self.root.join(&relative);
            make_folder(&child).map_err(|error| {
                StoreError::failed("create", path, format!("no folder can be made at {}: {error}", child.display()))
            })?;
            self.sync_folder(path, &parent)?;
            let mut known = self.lock_known_folders();
            if known.len() >= MAX_KNOWN_FOLDERS {
                known.clear();
            }
            known.insert(relative.clone());
        }
        Ok(())
    }

    /// Makes another writer's file durable. What is no plain file was not written by us.
    fn sync_existing(&self, path: &str, target: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::failed("create", path, error);
        if !fs::symlink_metadata(target).map_err(failed)?.is_file() {
            return Err(StoreError::failed("create", path, "something that is no file has the name"));
        }
        self.sync(&File::open(target).map_err(failed)?, target)
    }

    /// Not being able to open the folder leaves its state unknown but nothing lost: a later fsync will tell.
    fn sync_folder(&self, path: &str, folder: &Path) -> Result<(), StoreError> {
        let handle = File::open(folder).map_err(|error| StoreError::failed("create", path, error))?;
        self.sync(&handle, folder)
    }

    fn sync(&self, handle: &File, at: &Path) -> Result<(), StoreError> {
        #[cfg(test)]
        self.synced.lock().unwrap().push(at.to_path_buf());
        handle.sync_all().map_err(|error| {
            let (at, reason) = self.failed.get_or_init(|| (at.to_path_buf(), error.to_string()));
            StoreError::FsyncFailed { at: at.clone(), reason: reason.clone() }
        })
    }

    fn lock_known_folders(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.known_folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder, made now or before; not a link to one.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && fs::symlink_metadata(folder)?.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes the root's missing ancestors and the root, and gives its true path. Each is fsynced within its parent, the old ones too (another
/// process may have made them just now), as far up as the file system goes and we may look.
fn make_root(root: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(root)?;
    let root = root.canonicalize()?;
    for (folder, parent) in root.ancestors().zip(root.ancestors().skip(1)) {
        if folder.metadata()?.dev() != parent.metadata()?.dev() {
            break;
        }
        match File::open(parent) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
            opened => opened?.sync_all()?,
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device takes no fsync: the kernel's own refusal, through the path that a broken disk would take.
    #[test]
    fn a_failed_fsync_is_fatal_for_good() {
        let root = tempfile::tempdir().unwrap();
        let durable = Durable::open("test", root.path()).unwrap();
        assert!(durable.create("before", b"1").unwrap());
        let device = Path::new("/dev/null");
        let error = durable.sync(&File::open(device).unwrap(), device).unwrap_err();
        assert!(matches!(&error, StoreError::FsyncFailed { at, .. } if at == device), "{error:?}");
        let after = durable.create("after", b"1").unwrap_err();
        assert_eq!(after.to_string(), error.to_string());
        assert!(!root.path().join("after").exists());
    }

    /// A kill can't show what a power cut would: so the fsyncs themselves are looked at, for each way through.
    #[test]
    fn every_answer_has_its_fsyncs() {
        let root = tempfile::tempdir().unwrap();
        let durable = Durable::open("test", root.path()).unwrap();
        let mut peer = Durable::open("test", root.path()).unwrap();
        peer.temps = Temps::with_names(root.path().join(temp::FOLDER)).unwrap();
        let check = |durable: &Durable, path: &str, created: bool, expected: &[&str]| {
            assert_eq!(durable.create(path, b"1").unwrap(), created);
            let synced = std::mem::take(&mut *durable.synced.lock().unwrap());
            let synced: Vec<_> = synced.iter().map(|at| at.strip_prefix(&durable.root).unwrap()).collect();
            assert_eq!(synced[0], Path::new(temp::FOLDER));
            assert_eq!(synced[1..], expected.iter().map(Path::new).collect::<Vec<_>>(), "{path}");
        };
        check(&durable, "a/b/1", true, &["", "a", "a/b"]);
        check(&durable, "a/b/2", true, &["a/b"]);
        check(&durable, "a/c/1", true, &["a", "a/c"]);
        check(&durable, "top", true, &[""]);
        check(&durable, "a/b/1", false, &["a/b/1", "a/b"]);
        check(&peer, "a/b/1", false, &["", "a", "a/b/1", "a/b"]);
        check(&peer, "a/b/3", true, &["a/b"]);
        assert_eq!(fs::read_dir(root.path().join(temp::FOLDER)).unwrap().count(), 0, "names of temporary files left");
    }

    #[test]
    fn the_folders_known_as_durable_are_bounded() {
        let root = tempfile::tempdir().unwrap();
        let durable = Durable::open("test", root.path()).unwrap();
        durable.lock_known_folders().extend((0..MAX_KNOWN_FOLDERS).map(|n| PathBuf::from(format!("old/{n}"))));
        assert!(durable.create("new/a", b"1").unwrap());
        assert_eq!(durable.lock_known_folders().len(), 1);
    }
}
