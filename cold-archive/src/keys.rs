//! Key files. A private key is written once, for its owner's eyes, and never shown.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use seals::{PublicKey, SigningKey};
use service::BadUsage;

/// A PEM file of an Ed25519 key has 120 bytes; comments around it are allowed.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// Writes a new key pair; never over an existing file.
pub(crate) fn generate(out: &Path) -> anyhow::Result<PublicKey> {
    let public_path = public_path(out);
    for path in [out, &public_path] {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the system gives no random bytes")?;
    let key = SigningKey::from_seed(&seed);
    seed.fill(0);
    let public_key = key.public_key();
    create(out, 0o600, key.to_pem()?.as_bytes())?;
    create(&public_path, 0o644, public_key.to_pem()?.as_bytes())?;
    Ok(public_key)
}

/// `FILE.pub`.
pub(crate) fn public_path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

pub(crate) fn read_signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let key = SigningKey::from_pem(&read(path, "signing key")?).map_err(|error| bad(path, "signing key", error))?;
    if path.metadata().is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "the signing key can be read by others than its owner; chmod 600 it");
    }
    Ok(key)
}

pub(crate) fn read_public_key(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::from_pem(&read(path, "public key")?).map_err(|error| bad(path, "public key", error))
}

fn read(path: &Path, what: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_KEY_BYTES).read_to_string(&mut text));
    read.map_err(|error| bad(path, what, error)).map(|_| text)
}

fn bad(path: &Path, what: &str, error: impl std::fmt::Display) -> anyhow::Error {
    BadUsage(format!("{what} {}: {error}", path.display())).into()
}

fn exists(path: &Path) -> anyhow::Error {
    BadUsage(format!("{} exists; a key is never overwritten, give another --out", path.display())).into()
}

fn create(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(path)),
        Err(error) => return Err(bad(path, "can't create", error)),
        Ok(file) => file,
    };
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.with_context(|| format!("can't write {}", path.display()))
}
