//! Sealing and verifying through the real `cold-archive`, and one flipped byte.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use service::output::line;

use super::path;
use crate::harness::System;

pub(super) async fn seal_and_verify(system: &System, data: &Path) -> Result<()> {
    let key = data.join("seal.key");
    let archive = data.join("archive");
    let (key, archive) = (path(&key)?, path(&archive)?);
    run(system, &["keygen", "--out", key]).await?;
    let store = system.store.url().to_owned();
    run(system, &["seal", "--store", &store, "--archive", archive, "--key", key]).await?;
    run(system, &["verify", "--archive", archive, "--public-key", &format!("{key}.pub")]).await
}

async fn run(system: &System, command: &[&str]) -> Result<()> {
    line(format!("$ cold-archive {}", command.join(" ")));
    line(system.tool("cold-archive")?.args(command).finish().await?.ok()?.trim_end());
    Ok(())
}

/// Flips one byte in the middle of the largest file of a copy. Answers the file's name, which `verify` must tell.
pub(super) async fn tamper(system: &System, data: &Path) -> Result<String> {
    let copy = data.join("archive-tampered");
    copy_folder(&data.join("archive"), &copy)?;
    let (_, victim) = files(&copy)?.into_iter().max().context("an empty archive")?;
    let mut bytes = fs::read(&victim)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&victim, bytes)?;
    let name = victim.file_name().and_then(|name| name.to_str()).context("a file without a name")?.to_owned();

    let key = data.join("seal.key.pub");
    let flags = ["verify", "--archive", path(&copy)?, "--public-key", path(&key)?];
    line(format!("$ cold-archive {}", flags.join(" ")));
    let verified = system.tool("cold-archive")?.args(flags).finish().await?;
    line(verified.stdout.trim_end());
    ensure!(verified.status.code() == Some(1), "verify did not fail on a flipped byte: {verified:?}");
    ensure!(verified.stdout.contains(&name), "verify does not name {name}: {verified:?}");
    Ok(name)
}

fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "parquet") {
            found.push((path.metadata()?.len(), path));
        }
    }
    Ok(found)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("an entry without a name")?);
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
