//! What was published must decode for ever: one sample of every version of every document. Samples are never
//! rewritten: a new version adds a file.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::fmt::Debug;

use contract::Digest;
use seals::document;
use seals::envelope::Envelope;
use seals::sealed::SealedFooter;
use seals::{PublicKey, Run};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn sample(file: &str) -> Vec<u8> {
    let path = format!("{}/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Reads the sample, and writes it back to the same bytes.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(file: &str) -> T {
    let bytes = sample(file);
    let value: T = document::decode(&bytes).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(document::encode(&value).unwrap(), bytes, "{file}");
    value
}

#[test]
fn seal_v1() {
    let envelope: Envelope = check("seal.v1.json");
    let key = PublicKey::from_pem(&String::from_utf8(sample("seal.v1.pub")).unwrap()).unwrap();
    assert_eq!(envelope.check(&key), Ok(()));
    let manifest = envelope.manifest().unwrap();
    assert_eq!((manifest.seq, manifest.key_id), (2, key.id()));
    assert_eq!(manifest.sealed_at.to_string(), "2026-11-01T00:20:00.000Z");
    assert_eq!(manifest.partitions[1].id.to_string(), "landing/usage.events/epoch=0/partition=00003");
    assert_eq!((manifest.partitions[1].from, manifest.partitions[1].to), (40, 44));
    assert_eq!(manifest.runs[0].files.len(), 5);
    assert_eq!(manifest.count(), Some(manifest.totals));
    // What `sha256sum` says, and what the next seal names.
    let sha256 = "c858f9e5a484034581e38a7fdebe405cfb3e173b80ec68dda64f94157f3d4331";
    assert_eq!(Digest::of(&sample("seal.v1.json")).to_string(), sha256);
}

#[test]
fn run_v1() {
    let run: Run = check("run.v1.json");
    assert_eq!((run.seq, run.month.to_string().as_str(), run.customers.len()), (1, "2026-10", 2));
    assert_eq!(run.cut[0].id.to_string(), "landing/usage.events/epoch=0/partition=00003");
    assert_eq!(run.exception.as_deref(), Some("partition 5 was down; see the incident report"));
}

#[test]
fn sealed_footer_v1() {
    let footer: SealedFooter = check("sealed-footer.v1.json");
    assert_eq!((footer.segments[0].footer.start, footer.segments[0].footer.next_offset), (40, 44));
}
