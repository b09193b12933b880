//! New files that nobody sees until they are linked to their names.
//!
//! Where the file system can (most of Linux's), they have no name at all (`O_TMPFILE`), so that a killed process leaves
//! nothing. Elsewhere they are `.tmp/PID#N`: all in one hidden folder, named as object_store's own are (`…#123`), which
//! its listings leave out; those of killed processes are removed when a store is opened, once they are a day old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

pub(crate) const FOLDER: &str = ".tmp";
const EXPIRES: Duration = Duration::from_hours(24);

/// Where they are made.
pub(crate) struct Temps {
    folder: PathBuf,
    nameless: bool,
}

/// Gone when dropped, but for the link.
pub(crate) struct Temp {
    pub(crate) file: File,
    name: Option<PathBuf>,
}

impl Temps {
    /// In a folder that is there; tries the file system with hard links.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        let nameless = Self { folder, nameless: true };
        match nameless.probe() {
            Ok(()) => Ok(nameless),
            Err(error) => {
                tracing::debug!(%error, "no nameless files here; temporary ones get names");
                Self::with_names(nameless.folder)
            }
        }
    }

    pub(crate) fn with_names(folder: PathBuf) -> io::Result<Self> {
        let named = Self { folder, nameless: false };
        named.probe()?;
        Ok(named)
    }

    pub(crate) fn create(&self) -> io::Result<Temp> {
        if self.nameless { self.without_name() } else { self.with_name() }
    }

    /// What to call one in a message.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn without_name(&self) -> io::Result<Temp> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.folder, flags, Mode::from_raw_mode(0o666))?.into();
        Ok(Temp { file, name: None })
    }

    /// A name of its own: another machine on the same folder may have our process id.
    fn with_name(&self) -> io::Result<Temp> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        loop {
            let name = format!("{}#{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = self.folder.join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temp { file, name: Some(path) }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Links a file once, which must work, and again, which must not.
    fn probe(&self) -> io::Result<()> {
        let (probe, ours) = (self.create()?, self.with_name()?);
        probe.file.sync_all()?;
        let Some(name) = &ours.name else { return Ok(()) };
        // Beside a name that is ours alone, so what stands here is a killed namesake's.
        let name = name.with_extension("link");
        let _ = fs::remove_file(&name);
        let (first, second) = (probe.link(&name), probe.link(&name));
        let _ = fs::remove_file(&name);
        first.map_err(|error| {
            let reason = format!("its file system makes no hard links, which durable creates need: {error}");
            io::Error::new(error.kind(), reason)
        })?;
        match second {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::other("a hard link replaces what is there")),
        }
    }

    /// Removes what killed processes left. The present is the file system's own: when a new file was made.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let now = self.create()?.file.metadata()?.modified()?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            if written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > EXPIRES)) {
                tracing::info!(file = %entry.path().display(), "removing what a killed process left");
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

impl Temp {
    /// Gives the file a name; an error of the kind `AlreadyExists` if that is taken.
    pub(crate) fn link(&self, target: &Path) -> io::Result<()> {
        if let Some(name) = &self.name {
            return fs::hard_link(name, target);
        }
        let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, open, CWD, target, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What can't be removed now is removed by some later open.
            let _ = fs::remove_file(name);
        }
    }
}
