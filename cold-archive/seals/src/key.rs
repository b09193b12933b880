//! Ed25519 keys (RFC 8032): the private one in PKCS#8 PEM, the public one in SPKI PEM, as OpenSSL reads and writes them.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use contract::Digest;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::{Deserialize, Serialize};

/// What is wrong with a key. Never quotes any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("is not an Ed25519 private key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)")]
    NotPrivate,
    #[error("is not an Ed25519 public key in PEM (-----BEGIN PUBLIC KEY-----)")]
    NotPublic,
    #[error("is a private key; the public one is wanted, the .pub file beside it")]
    PrivateForPublic,
    #[error("is a weak public key, which verifies signatures that nobody made")]
    Weak,
    #[error("can't be written as PEM")]
    Unwritable,
}

/// Signs seals. Wiped from memory when dropped; its `Debug` shows the public id only.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of 32 random bytes, which come from the caller.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim()).map(Self).map_err(|_| KeyError::NotPrivate)
    }

    /// PKCS#8 version 1, without the public key, which OpenSSL before 3.0 can't read.
    pub fn to_pem(&self) -> Result<impl Deref<Target = String> + use<>, KeyError> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Unwritable)
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key().id())
    }
}

/// Checks seals. It must come from outside the archive: a forger replaces what lies inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pem = pem.trim();
        match VerifyingKey::from_public_key_pem(pem) {
            Ok(key) if key.is_weak() => Err(KeyError::Weak),
            Ok(key) => Ok(Self(key)),
            Err(_) if pem.contains("PRIVATE KEY") => Err(KeyError::PrivateForPublic),
            Err(_) => Err(KeyError::NotPublic),
        }
    }

    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Unwritable)
    }

    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn id(&self) -> SealKeyId {
        let digest = Digest::of(&self.to_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&digest.as_bytes()[..8]);
        SealKeyId(head)
    }

    /// Strict: no second signature verifies for the same message and key unless the signer made it.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// Which key: the first 8 bytes of the sha256 of the public key's 32 bytes, in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealKeyId([u8; 8]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key id {0:?} is not 16 lower-case hex digits")]
pub struct BadKeyId(String);

impl fmt::Display for SealKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl FromStr for SealKeyId {
    type Err = BadKeyId;
    fn from_str(s: &str) -> Result<Self, BadKeyId> {
        let mut bytes = [0; 8];
        match hex::decode_to_slice(s, &mut bytes) {
            Ok(()) if hex::encode(bytes) == s => Ok(Self(bytes)),
            _ => Err(BadKeyId(s.chars().take(80).collect())),
        }
    }
}
impl TryFrom<String> for SealKeyId {
    type Error = BadKeyId;
    fn try_from(s: String) -> Result<Self, BadKeyId> {
        s.parse()
    }
}
impl From<SealKeyId> for String {
    fn from(id: SealKeyId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2: seed, public key, message 0x72, signature.
    #[test]
    fn signs_as_the_rfc_says() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let key = SigningKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(hex::encode(key.public_key().to_bytes()), public);
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(hex::encode(key.sign(&[0x72])), signature);
        assert!(key.public_key().verifies(&[0x72], &key.sign(&[0x72])));
        assert!(!key.public_key().verifies(&[0x73], &key.sign(&[0x72])));
    }

    #[test]
    fn keys_read_back_from_pem_and_are_not_taken_for_one_another() {
        let key = SigningKey::from_seed(&[7; 32]);
        let (private, public) = (key.to_pem().unwrap(), key.public_key().to_pem().unwrap());
        assert_eq!(SigningKey::from_pem(&private).unwrap().public_key(), key.public_key());
        assert_eq!(PublicKey::from_pem(&format!("{public}\n")).unwrap(), key.public_key());
        assert_eq!(PublicKey::from_pem(&private).unwrap_err(), KeyError::PrivateForPublic);
        assert_eq!(SigningKey::from_pem(&public).unwrap_err(), KeyError::NotPrivate);
        assert_eq!(PublicKey::from_pem("").unwrap_err(), KeyError::NotPublic);
        let id = key.public_key().id();
        assert_eq!(id.to_string().parse::<SealKeyId>().unwrap(), id);
        for bad in ["", "00", "00112233445566778", "0011223344556677 ", "00112233445566AA"] {
            assert!(bad.parse::<SealKeyId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", SigningKey::from_seed(&[7; 32]));
        assert_eq!(shown, format!("SigningKey({})", SigningKey::from_seed(&[7; 32]).public_key().id()));
    }

    /// The neutral point as a public key verifies a forged signature under lax rules.
    #[test]
    fn a_weak_key_is_refused() {
        let mut point = [0; 32];
        point[0] = 1;
        let pem = PublicKey(VerifyingKey::from_bytes(&point).unwrap()).to_pem().unwrap();
        assert_eq!(PublicKey::from_pem(&pem).unwrap_err(), KeyError::Weak);
    }
}
