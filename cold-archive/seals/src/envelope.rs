//! The file of a seal: the manifest's exact bytes as a JSON string, and the signature over those bytes.
//!
//! ```json
//! {"manifest":"{\"key_id\":…}","public_key":"HEX of 32 bytes","signature":"HEX of 64 bytes"}
//! ```
//!
//! Checked without our code: `jq -j .manifest SEAL > m; jq -r .signature SEAL | xxd -r -p > s;
//! openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in m -sigfile s`.
//!
//! The file has one byte form (canonical JSON, no other field), so a flip anywhere in it shows, and the sha256 of the
//! file, as `sha256sum` gives it, names the seal. `public_key` is for information: it is never what checks.

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::key::{PublicKey, SigningKey};
use crate::manifest::Manifest;

/// Nothing longer is written or read: half a million files fit.
pub const MAX_BYTES: u64 = 256 << 20;

/// A signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    manifest: String,
    public_key: String,
    signature: String,
}

impl Envelope {
    pub fn sign(manifest: &Manifest, key: &SigningKey) -> Result<Self, DocumentError> {
        let manifest = manifest.encode()?;
        let signature = hex::encode(key.sign(&manifest));
        let manifest = String::from_utf8_lossy(&manifest).into_owned();
        Ok(Self { manifest, public_key: hex::encode(key.public_key().to_bytes()), signature })
    }

    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        document::encode(self)
    }

    /// Says nothing about the signature: see [`Envelope::check`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::decode(bytes)
    }

    pub fn manifest(&self) -> Result<Manifest, DocumentError> {
        Manifest::decode(self.manifest.as_bytes())
    }

    /// What is wrong with the signature under a key from outside, if anything.
    pub fn check(&self, key: &PublicKey) -> Result<(), String> {
        let public_key = hex::encode(key.to_bytes());
        let mut signature = [0; 64];
        let readable =
            hex::decode_to_slice(&self.signature, &mut signature).is_ok() && hex::encode(signature) == self.signature;
        if !readable || !key.verifies(self.manifest.as_bytes(), &signature) {
            let id = key.id();
            return Err(if self.public_key == public_key {
                format!("signature of key {id} does not fit the manifest: one of them was changed")
            } else {
                let named: String = self.public_key.chars().take(64).collect();
                format!("signature does not verify with key {id}; the file names another public key, {named}")
            });
        }
        if self.public_key != public_key {
            return Err(format!("public_key is not that of key {}, whose signature it is", key.id()));
        }
        Ok(())
    }
}
