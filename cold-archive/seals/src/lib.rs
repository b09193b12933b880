//! Seals: what the archive says of itself, and how anyone checks it with a public key from elsewhere.
//!
//! ```text
//! archive/seals/00000001.json ◄─sha256─ 00000002.json ◄─sha256─ 00000003.json   ◄── head, kept by the auditor
//!   {manifest, public_key, signature}     each lists every file of its seal by path, bytes, rows and sha256
//!        │
//!        ├─ partitions: the landed log, offsets [from, to) since the seal before, as large Parquet files
//!        └─ runs: the final runs whose cut the seal covers, byte for byte
//! archive/files/SHA256.EXT                the files, named by their content
//! ```
//!
//! A seal exists when its file does: written last, create-only. Files that no seal lists mean nothing.
//!
//! | module | what it fixes |
//! |---|---|
//! | [`key`] | the Ed25519 keys, as PEM and as an id |
//! | [`document`] | one byte form for each stored JSON document |
//! | [`partition`] | which chain of the landed log |
//! | [`manifest`] | what a seal lists |
//! | [`envelope`] | the signed file around a manifest |
//! | [`sealed`] | what a sealed Parquet file says of itself: the landed segments in it |
//! | [`chain`] | reading all seals; signatures, links, tiling |
//! | [`run`] | final runs of billing, and their chain |
//!
//! No Parquet is read and no file is hashed here: that is the business of whoever writes or checks the files.

pub mod chain;
pub mod document;
pub mod envelope;
pub mod finding;
pub mod key;
pub mod manifest;
pub mod partition;
pub mod run;
pub mod sealed;

pub use chain::{Chain, Seal, read_chain};
pub use finding::{Finding, Invariant};
pub use key::{PublicKey, SealKeyId, SigningKey};
pub use manifest::Manifest;
pub use partition::PartitionId;
pub use run::{Run, StoredRun, read_runs};
