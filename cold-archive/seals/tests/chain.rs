//! ARCH-1 and ARCH-3 between seals: whatever is changed, verification says which file.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use bytes::Bytes;
use contract::footer::Clock;
use contract::layout::{self, Topic};
use contract::{BrokerTime, Digest};
use seals::chain::{Head, read_chain};
use seals::envelope::Envelope;
use seals::manifest::{LandedFile, Manifest, PARQUET, SealedPartition, StoredFile, Totals, Version};
use seals::{PartitionId, SigningKey};
use store::Store;

const HEAD: Digest = Digest::from_bytes([0xaa; 32]);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn part(partition: i32, from: i64, to: i64) -> SealedPartition {
    let id = PartitionId { topic: Topic::Usage, epoch: 0, partition };
    let file = LandedFile {
        file: StoredFile::of(format!("{partition} {from} {to}").as_bytes(), PARQUET),
        from,
        to,
        rows: to.abs_diff(from),
        records: to.abs_diff(from),
        clock: Clock::Broker,
        first_append_time: BrokerTime::from_millis(from),
        last_append_time: BrokerTime::from_millis(to),
    };
    SealedPartition { id, from, to, head_sha256: HEAD, files: if from == to { vec![] } else { vec![file] } }
}

fn manifest(seq: u32, previous_sha256: Option<Digest>, partitions: Vec<SealedPartition>) -> Manifest {
    let sealed_at = BrokerTime::from_millis(i64::from(seq) * 86_400_000);
    let (key_id, totals) = (key(7).public_key().id(), Totals::default());
    let mut manifest =
        Manifest { version: Version::V1, seq, previous_sha256, sealed_at, key_id, partitions, runs: vec![], totals };
    manifest.totals = manifest.count().unwrap();
    manifest
}

fn signed(manifest: &Manifest, seed: u8) -> Vec<u8> {
    Envelope::sign(manifest, &key(seed)).unwrap().encode().unwrap()
}

/// Seals of these partitions, chained and signed.
fn seals(lists: Vec<Vec<SealedPartition>>) -> Vec<Vec<u8>> {
    let mut previous = None;
    let mut files = Vec::new();
    for (seq, partitions) in (1..).zip(lists) {
        let file = signed(&manifest(seq, previous, partitions), 7);
        previous = Some(Digest::of(&file));
        files.push(file);
    }
    files
}

fn three() -> Vec<Vec<u8>> {
    seals(vec![
        vec![part(0, 0, 10), part(1, 0, 0)],
        vec![part(0, 10, 10), part(1, 0, 5)],
        vec![part(0, 10, 12), part(1, 5, 6)],
    ])
}

async fn archive(files: &[(u32, &[u8])]) -> Store {
    let store = Store::open("memory:///").unwrap();
    for (seq, bytes) in files {
        store.create(&layout::seal(*seq), Bytes::copy_from_slice(bytes)).await.unwrap();
    }
    store
}

/// Everything that is found, one line each.
async fn findings(files: &[(u32, &[u8])], kept: Option<&Head>) -> Vec<String> {
    let chain = read_chain(&archive(files).await, &key(7).public_key()).await.unwrap();
    let expected = kept.and_then(|kept| chain.expect(kept));
    chain.findings.iter().chain(&expected).map(ToString::to_string).collect()
}

/// Exactly one line for each part, in order, each containing it.
#[track_caller]
fn check(found: &[String], parts: &[&str]) {
    let fits = found.len() == parts.len() && found.iter().zip(parts).all(|(line, part)| line.contains(part));
    assert!(fits, "found {found:#?}\nexpected {parts:#?}");
}

#[tokio::test]
async fn arch_1_an_untouched_chain_has_no_findings_and_a_head() {
    let [a, b, c] = three().try_into().unwrap();
    let kept = Head { seq: 2, sha256: Digest::of(&b) };
    check(&findings(&[(1, &a), (2, &b), (3, &c)], Some(&kept)).await, &[]);
    assert_eq!(kept.to_string().parse::<Head>().unwrap(), kept);
    for bad in ["2", "2:", ":", "0:aa", &format!("02:{}", kept.sha256), &format!("0:{}", kept.sha256)] {
        assert!(bad.parse::<Head>().is_err(), "{bad}");
    }
}

/// Every single byte of a seal's file: manifest, public key, signature and the JSON around them.
#[tokio::test]
async fn arch_1_a_flip_of_any_byte_is_found_in_that_file() {
    let [a, b, c] = three().try_into().unwrap();
    for at in 0..c.len() {
        for bit in [0x01, 0x20] {
            let mut flipped = c.clone();
            flipped[at] ^= bit;
            let found = findings(&[(1, &a), (2, &b), (3, &flipped)], None).await;
            assert!(!found.is_empty(), "bit {bit:#x} of byte {at} was flipped and nothing found");
            assert!(
                found
                    .iter()
                    .all(|line| line.starts_with("ARCH-1 archive/seals/00000003.json: ") || line.starts_with("ARCH-3")),
                "{found:?}"
            );
        }
    }
}

#[tokio::test]
async fn arch_1_a_truncated_or_longer_seal_is_found() {
    let [a, b, c] = three().try_into().unwrap();
    let longer = [&c[..], b"\n"].concat();
    for changed in [&c[..c.len() - 1], &c[..0], &longer] {
        let found = findings(&[(1, &a), (2, &b), (3, changed)], None).await;
        check(&found, &["ARCH-1 archive/seals/00000003.json: is no seal"]);
    }
}

#[tokio::test]
async fn arch_1_another_key_is_found_even_if_the_file_names_it() {
    let forged = signed(&manifest(1, None, vec![part(0, 0, 10)]), 8);
    let found = findings(&[(1, &forged)], None).await;
    check(&found, &["ARCH-1 archive/seals/00000001.json: signature does not verify with key"]);
    assert!(found[0].contains("names another public key"), "{found:?}");

    // The signature of one manifest on another.
    let [good, other] = [part(0, 0, 10), part(0, 0, 11)].map(|part| signed(&manifest(1, None, vec![part]), 7));
    let text = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let (mut moved, other) = (text(&good), text(&other));
    moved["signature"] = other["signature"].clone();
    let moved = serde_json::to_vec(&moved).unwrap();
    check(&findings(&[(1, &moved)], None).await, &["does not fit the manifest"]);
}

#[tokio::test]
async fn arch_1_swapped_lost_and_rolled_back_seals_are_found() {
    let [a, b, c] = three().try_into().unwrap();
    let swapped = findings(&[(1, &a), (2, &c), (3, &b)], None).await;
    let moved = |line: &&String| line.contains("moved or reordered");
    assert_eq!(swapped.iter().filter(moved).count(), 2, "{swapped:?}");

    check(&findings(&[(1, &a), (3, &c)], None).await[..1], &["ARCH-1 archive/seals/00000002.json: missing; seal 3"]);
    check(&findings(&[(3, &c)], None).await[..1], &["00000001.json: missing, as are all up to seal 2; seal 3"]);

    let kept = Head { seq: 3, sha256: Digest::of(&c) };
    check(&findings(&[(1, &a), (2, &b)], None).await, &[]);
    check(&findings(&[(1, &a), (2, &b)], Some(&kept)).await, &["00000003.json: missing: rolled back to seal 2"]);
    check(&findings(&[], Some(&kept)).await, &["00000003.json: missing: there is no seal at all"]);

    // The operator's own key signs another history: only who kept the head can tell.
    let other = seals(vec![vec![part(0, 0, 9)], vec![part(0, 9, 9)], vec![part(0, 9, 12)]]);
    let files: Vec<(u32, &[u8])> = (1..).zip(&other).map(|(seq, file)| (seq, &file[..])).collect();
    check(&findings(&files, None).await, &[]);
    check(&findings(&files, Some(&kept)).await, &["00000003.json: replaced"]);
}

#[tokio::test]
async fn arch_1_a_seal_that_names_another_before_it_is_found() {
    let a = signed(&manifest(1, None, vec![part(0, 0, 10)]), 7);
    let b = signed(&manifest(2, Some(HEAD), vec![part(0, 10, 12)]), 7);
    check(&findings(&[(1, &a), (2, &b)], None).await, &["00000002.json: previous_sha256 differs"]);
    let first = signed(&manifest(1, Some(HEAD), vec![part(0, 0, 10)]), 7);
    check(&findings(&[(1, &first)], None).await, &["is the first seal, yet names one before it"]);
}

#[tokio::test]
async fn arch_1_lists_that_contradict_themselves_are_found() {
    let mut elsewhere = manifest(1, None, vec![part(0, 0, 10)]);
    elsewhere.partitions[0].files[0].file.path = "archive/files/../../landing/x".to_owned();
    check(&findings(&[(1, &signed(&elsewhere, 7))], None).await, &["which is not the name of a file with sha256"]);
    let mut totals = manifest(1, None, vec![part(0, 0, 10)]);
    totals.totals.rows += 1;
    check(&findings(&[(1, &signed(&totals, 7))], None).await, &["totals are not those of the files listed"]);
}

#[tokio::test]
async fn arch_3_holes_overlaps_and_dropped_partitions_are_found() {
    for (lists, problem) in [
        (vec![vec![part(0, 3, 10)]], "offsets [0, 3) are in no seal"),
        (vec![vec![part(0, 0, 10)], vec![part(0, 11, 12)]], "offsets [10, 11) are in no seal"),
        (vec![vec![part(0, 0, 10)], vec![part(0, 9, 12)]], "offsets [9, 10) are in two seals"),
        (vec![vec![part(0, 0, 10)], vec![]], "is not listed; an earlier seal covers it up to offset 10"),
        (vec![vec![part(0, 0, 10), part(0, 10, 11)]], "is listed twice"),
        (vec![vec![SealedPartition { files: vec![], ..part(0, 0, 10) }]], "files end at offset 0, not at 10"),
        (vec![vec![SealedPartition { from: 0, ..part(0, 2, 10) }]], "starts at offset 2, not at 0"),
        (
            vec![vec![part(0, 0, 10)], vec![SealedPartition { head_sha256: Digest::of(b""), ..part(0, 10, 10) }]],
            "head_sha256 changed although nothing is new",
        ),
    ] {
        let last = lists.len();
        let files = seals(lists);
        let files: Vec<(u32, &[u8])> = (1..).zip(&files).map(|(seq, file)| (seq, &file[..])).collect();
        let found = findings(&files, None).await;
        let expected = format!("ARCH-3 archive/seals/{last:08}.json: landing/usage.events/epoch=0/partition=00000");
        assert!(found.iter().any(|line| line.starts_with(&expected) && line.contains(problem)), "{problem}: {found:?}");
    }
}
