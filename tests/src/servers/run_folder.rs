//! A fresh folder for one run's data, which goes with the run; one left by a killed run goes with the next.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Removed when dropped. Its owner holds a lock on `owner.lock` in it, which the kernel releases however the owner ends.
#[derive(Debug)]
pub(super) struct RunFolder {
    folder: TempDir,
    _lock: File,
}

impl RunFolder {
    /// Makes a new folder under `parent`, first removing those whose owner is gone.
    pub(super) fn create(parent: &Path) -> Result<Self> {
        let context = || format!("cannot prepare {}", parent.display());
        fs::create_dir_all(parent).with_context(context)?;
        // Held while folders come and go, so that nobody sees one that its owner has yet to lock.
        let door = File::create(parent.join(".lock")).with_context(context)?;
        door.lock().with_context(context)?;
        remove_abandoned(parent).with_context(context)?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(parent).with_context(context)?;
        let lock = File::create(folder.path().join("owner.lock")).with_context(context)?;
        lock.lock().with_context(context)?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

fn remove_abandoned(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("run-") {
            continue;
        }
        let abandoned = match File::open(entry.path().join("owner.lock")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(error.into()),
            Ok(lock) => match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => bail!(error),
            },
        };
        if abandoned {
            // Its owner may be removing it at this moment.
            match fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_removes_what_dead_runs_left_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let living = RunFolder::create(parent.path()).unwrap();
        let data = living.subfolder("data").unwrap();
        // A killed run's lock is released, its folder is there; one killed at its very beginning has no lock file.
        fs::create_dir_all(parent.path().join("run-dead/data")).unwrap();
        fs::write(parent.path().join("run-dead/owner.lock"), "").unwrap();
        fs::create_dir(parent.path().join("run-stillborn")).unwrap();
        fs::create_dir(parent.path().join("somebody-elses")).unwrap();

        let second = RunFolder::create(parent.path()).unwrap();
        assert!(data.exists());
        assert!(!parent.path().join("run-dead").exists());
        assert!(!parent.path().join("run-stillborn").exists());
        assert!(parent.path().join("somebody-elses").exists());

        drop(living);
        assert!(!data.exists());
        assert!(second.folder.path().exists());
    }
}
