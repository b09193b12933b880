//! Final runs are one chain without gaps.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use bytes::Bytes;
use contract::layout::{self, Topic};
use contract::{Digest, Month};
use seals::run::{CutPart, PriceBookRef, Version};
use seals::{PartitionId, Run, read_runs};
use store::Store;

fn run(seq: u32, previous_sha256: Option<Digest>) -> Run {
    let digest = Digest::of(&seq.to_be_bytes());
    Run {
        version: Version::V1,
        seq,
        previous_sha256,
        month: "2026-10".parse::<Month>().unwrap(),
        customers: vec!["acme".parse().unwrap()],
        inputs_sha256: digest,
        bills_sha256: digest,
        bills_parquet_sha256: digest,
        price_book: PriceBookRef { version: 1, sha256: digest },
        cut: vec![CutPart {
            lake: "eu-1".parse().unwrap(),
            id: PartitionId { topic: Topic::Accounts, epoch: 0, partition: 0 },
            next_offset: 3,
            head_sha256: digest,
        }],
        first_invoice_number: 1,
        finalized_at_ms: 1_793_491_200_000,
        operator: "finance@example".to_owned(),
        exception: None,
        opened: Vec::new(),
    }
}

/// Puts the files and reads the runs: how many, or what is wrong.
async fn read(files: &[(u32, Vec<u8>)]) -> Result<usize, String> {
    let store = Store::open("memory:///").unwrap();
    for (seq, bytes) in files {
        store.create(&layout::run(*seq), Bytes::copy_from_slice(bytes)).await.unwrap();
    }
    read_runs(&store).await.map(|runs| runs.len()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn runs_are_read_in_order_and_a_broken_chain_is_refused() {
    let first = run(1, None).encode().unwrap();
    let second = run(2, Some(Digest::of(&first))).encode().unwrap();
    assert_eq!(read(&[]).await, Ok(0));
    assert_eq!(read(&[(2, second.clone()), (1, first.clone())]).await, Ok(2));

    let unchained = run(2, None).encode().unwrap();
    let other = run(2, Some(Digest::of(b""))).encode().unwrap();
    let spaced = [&first[..], b" "].concat();
    for (files, problem) in [
        (vec![(2, second.clone())], "bills/runs/00000002.json: is run 2, which does not follow on run 0"),
        (vec![(1, first.clone()), (3, second)], "bills/runs/00000003.json: is run 2"),
        (vec![(1, first.clone()), (2, unchained)], "previous_sha256 is missing"),
        (vec![(1, first), (2, other)], "previous_sha256 differs"),
        (vec![(1, spaced)], "is not canonical JSON"),
        (vec![(1, b"{}".to_vec())], "missing field"),
    ] {
        let error = read(&files).await.unwrap_err();
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

#[test]
fn a_run_that_would_not_read_back_is_not_written() {
    let numbers = Run { first_invoice_number: 1 << 60, ..run(1, None) };
    assert!(numbers.encode().is_err());
}
