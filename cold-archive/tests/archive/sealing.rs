//! What a seal covers, and what it refuses.

use bytes::Bytes;
use cold_archive::seal::{Outcome, seal};
use cold_archive::{plan, rewrite, sealed_file};
use contract::layout::{self, Topic};
use contract::{BrokerTime, Digest};
use indicatif::ProgressBar;
use seals::chain::read_chain;
use seals::{Manifest, SigningKey};
use store::Store;

use crate::lake::{Lake, findings, key, manifest, paths, segment, two_seals};

async fn manifests(lake: &Lake) -> Vec<Manifest> {
    let chain = read_chain(&lake.store, &key().public_key()).await.unwrap();
    assert_eq!(chain.findings, []);
    chain.seals.into_iter().map(|seal| seal.manifest).collect()
}

/// Topic, partition, from, to and the files' ranges with their rows.
fn ranges(manifest: &Manifest) -> Vec<String> {
    let parts = manifest.partitions.iter().map(|part| {
        let files: Vec<_> = part.files.iter().map(|file| format!("{}..{}={}", file.from, file.to, file.rows)).collect();
        format!("{}/{} [{}, {}) {}", part.id.topic.name(), part.id.partition, part.from, part.to, files.join(" "))
    });
    parts.collect()
}

#[tokio::test]
async fn arch_3_seals_tile_the_landed_log() {
    for lake in [Lake::in_memory(), Lake::in_folder()] {
        two_seals(&lake).await;
        lake.land(Topic::Requests, 0, 0, true).await; // nothing but a tick
        lake.sealed(3).await;
        let manifests = manifests(&lake).await;
        // The first accounts segment ends in a tick: an offset and a record, but no row.
        assert_eq!(ranges(&manifests[0]), ["resize.requests/0 [0, 4) 0..4=4", "accounts/0 [0, 6) 0..6=5"]);
        assert_eq!(
            ranges(&manifests[1]),
            ["resize.requests/0 [4, 4) ", "resize.requests/1 [0, 1) 0..1=1", "accounts/0 [6, 12) 6..12=5"]
        );
        assert_eq!(
            ranges(&manifests[2]),
            ["resize.requests/0 [4, 5) 4..5=0", "resize.requests/1 [1, 1) ", "accounts/0 [12, 12) "]
        );
        assert_eq!(manifests.iter().map(|manifest| manifest.runs.len()).collect::<Vec<_>>(), [0, 1, 0]);

        let report = lake.verify().await;
        assert_eq!(findings(&report), [""; 0]);
        assert_eq!(report.orphans, [""; 0]);
        let lines: Vec<_> = report.invariants.iter().map(|line| line.text.as_str()).collect();
        assert!(lines[0].contains("3 of 3 seals signed") && lines[0].contains("10 of 10 files whole"), "{lines:?}");
        assert!(lines[1].contains("3 partitions in 5 files; 15 rows of 6 landed segments"), "{lines:?}");
    }
}

/// The sealed rows are the landed rows, column for column, in the segments' own Parquet types.
#[tokio::test]
async fn sealed_rows_equal_landed_rows() {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let lake = Lake::in_memory();
    two_seals(&lake).await;
    let read = |bytes: Bytes| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let schema = reader.parquet_schema().root_schema().clone();
        (schema, reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>())
    };
    let mut landed_rows = Vec::new();
    let mut landed_schema = None;
    for start in [0, 4, 6] {
        let bytes = lake.store.get(&layout::segment(Topic::Accounts, 0, 0, start)).await.unwrap().unwrap();
        let (schema, rows) = read(bytes);
        landed_schema = Some(schema);
        landed_rows.extend(rows);
    }
    let mut sealed_rows = Vec::new();
    for manifest in manifests(&lake).await {
        for file in manifest.partitions.iter().filter(|part| part.id.topic == Topic::Accounts).flat_map(|p| &p.files) {
            let (schema, rows) = read(lake.store.get(&file.file.path).await.unwrap().unwrap());
            assert_eq!(Some(schema), landed_schema);
            sealed_rows.extend(rows);
        }
    }
    let schema = landed_rows[0].schema();
    let together = |rows: &[_]| arrow::compute::concat_batches(&schema, rows).unwrap();
    assert_eq!(together(&sealed_rows), together(&landed_rows));
    assert_eq!(together(&sealed_rows).num_rows(), 10);
}

#[tokio::test]
async fn arch_3_a_full_file_is_followed_by_another_that_goes_on_from_it() {
    let lake = Lake::in_memory();
    for rows in [3, 0, 2] {
        lake.land(Topic::Accounts, 0, rows, true).await;
    }
    let chains = segments::read_chains(&lake.store, Topic::Accounts).await.unwrap();
    let part = &plan::parts(&[], chains).unwrap()[0];
    let two = part.segments[0].bytes + 1;
    let progress = ProgressBar::hidden();
    for (full_bytes, ranges) in [(1, &[(0, 4), (4, 5), (5, 8)][..]), (two, &[(0, 5), (5, 8)]), (two * 9, &[(0, 8)])] {
        let sealed = rewrite::partition(&lake.store, &lake.store, part, full_bytes, &progress).await.unwrap();
        assert_eq!(sealed.files.iter().map(|file| (file.from, file.to)).collect::<Vec<_>>(), ranges);
        let mut head = None;
        for file in &sealed.files {
            let bytes = lake.store.get(&file.file.path).await.unwrap().unwrap();
            let ends = sealed_file::check(bytes, &sealed.id, file).unwrap().ends;
            assert_eq!(ends.previous_sha256, head);
            head = Some(ends.head_sha256);
        }
        assert_eq!(head, Some(sealed.head_sha256));
    }
}

#[tokio::test]
async fn arch_3_a_gap_is_sealed_with_the_epoch_that_it_opens() {
    for lake in [Lake::in_memory(), Lake::in_folder()] {
        lake.land(Topic::Accounts, 0, 3, false).await;
        lake.accept_gap(Topic::Accounts, 0, 7).await;
        lake.sealed(1).await;
        assert!(matches!(lake.seal(2).await.unwrap(), Outcome::Nothing { .. }), "the gap is sealed twice");
        lake.land(Topic::Accounts, 0, 2, false).await;
        lake.sealed(3).await;
        lake.accept_gap(Topic::Accounts, 0, 0).await; // a log that was made anew
        lake.land(Topic::Accounts, 0, 1, false).await;
        lake.sealed(4).await;
        let ranges: Vec<_> = manifests(&lake).await.iter().map(ranges).collect();
        assert_eq!(ranges[0], ["accounts/0 [0, 3) 0..3=3", "accounts/0 [7, 7) 7..7=0"]);
        assert_eq!(ranges[1], ["accounts/0 [3, 3) ", "accounts/0 [7, 9) 7..9=2"]);
        assert_eq!(ranges[2], ["accounts/0 [3, 3) ", "accounts/0 [9, 9) ", "accounts/0 [0, 1) 0..1=1"]);
        assert_eq!(findings(&lake.verify().await), [""; 0]);
    }
}

#[tokio::test]
async fn sealing_again_with_nothing_new_changes_nothing() {
    let lake = Lake::in_memory();
    assert_eq!(lake.seal(1).await.unwrap(), Outcome::Nothing { head: None, runs_waiting: 0 });
    let head = two_seals(&lake).await;
    let before = paths(&lake, "").await;
    assert_eq!(lake.seal(9).await.unwrap(), Outcome::Nothing { head: Some(head), runs_waiting: 0 });
    assert_eq!(paths(&lake, "").await, before);
}

#[tokio::test]
async fn the_archive_may_be_another_store() {
    let (lake, archive) = (Lake::in_memory(), Store::open("memory:///").unwrap());
    lake.land(Topic::Accounts, 0, 3, false).await;
    lake.finalize(0).await;
    seal(&lake.store, &archive, &key(), BrokerTime::from_millis(1), &ProgressBar::hidden()).await.unwrap();
    assert_eq!(paths(&lake, "").await, [""; 0]);
    let progress = ProgressBar::hidden();
    let report = cold_archive::verify::verify(&archive, &key().public_key(), None, &progress).await.unwrap();
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!(archive.list("archive/files").await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_run_waits_until_its_cut_is_landed_and_keeps_back_those_after_it() {
    let lake = Lake::in_memory();
    lake.land(Topic::Accounts, 0, 3, false).await;
    let second = segment(0, Topic::Accounts, 0, 3, Some(Digest::of(b"")), 2, false);
    lake.finalize_at(0, second.footer.next_offset, Digest::of(&second.bytes)).await;
    lake.finalize(0).await;
    let outcome = lake.seal(1).await.unwrap();
    assert!(matches!(outcome, Outcome::Sealed { runs: 0, runs_waiting: 2, .. }), "{outcome:?}");
    lake.land(Topic::Accounts, 0, 3, false).await;
    let outcome = lake.seal(2).await.unwrap();
    assert!(matches!(outcome, Outcome::Sealed { runs: 2, runs_waiting: 0, .. }), "{outcome:?}");
    assert_eq!(findings(&lake.verify().await), [""; 0]);
}

#[track_caller]
fn check_refused(outcome: &anyhow::Result<Outcome>, why: &str) {
    match outcome {
        Err(error) => assert!(format!("{error:#}").contains(why), "{error:#}"),
        Ok(outcome) => panic!("{outcome:?}, where {why:?} was expected"),
    }
}

#[tokio::test]
async fn arch_3_a_landed_log_that_is_not_the_sealed_one_is_refused() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    let last = lake.file(&layout::segment(Topic::Accounts, 0, 0, 6));
    let bytes = std::fs::read(&last).unwrap();

    std::fs::remove_file(&last).unwrap();
    check_refused(&lake.seal(3).await, "partition=00000 was sealed up to offset 12, but is landed only up to 6");
    let before = Digest::of(&std::fs::read(lake.file(&layout::segment(Topic::Accounts, 0, 0, 4))).unwrap());
    std::fs::write(&last, segment(0, Topic::Accounts, 0, 6, Some(before), 6, false).bytes).unwrap();
    check_refused(&lake.seal(3).await, "ends at offset 12, is another one now");
    std::fs::write(&last, bytes).unwrap();

    std::fs::remove_file(lake.file(&layout::segment(Topic::Requests, 0, 1, 0))).unwrap();
    check_refused(&lake.seal(3).await, "nothing of it is landed any more");
    assert_eq!(findings(&lake.verify().await), [""; 0]);
}

#[tokio::test]
async fn arch_1_a_run_whose_files_are_not_what_it_names_is_not_sealed() {
    let lake = Lake::in_folder();
    lake.land(Topic::Accounts, 0, 3, false).await;
    lake.finalize(0).await;
    for entry in lake.store.list("bills").await.unwrap() {
        let file = lake.file(&entry.path);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, [&bytes[..], b"\n"].concat()).unwrap();
        check_refused(&lake.seal(1).await, &entry.path);
        std::fs::remove_file(&file).unwrap();
        if !entry.path.starts_with(layout::RUNS) {
            check_refused(&lake.seal(1).await, &entry.path);
        }
        std::fs::write(&file, bytes).unwrap();
    }
    assert_eq!(paths(&lake, "").await.iter().filter(|path| path.starts_with(layout::SEALS)).count(), 0);
    lake.sealed(1).await;
}

#[tokio::test]
async fn arch_1_nothing_is_built_on_a_seal_that_is_not_sound() {
    let lake = Lake::in_folder();
    two_seals(&lake).await;
    lake.land(Topic::Accounts, 0, 1, false).await;
    let other = SigningKey::from_seed(&[8; 32]);
    let outcome = seal(&lake.store, &lake.store, &other, BrokerTime::from_millis(1), &ProgressBar::hidden()).await;
    check_refused(&outcome, "the seals so far are not sound");

    std::fs::remove_file(lake.file(&manifest(1))).unwrap();
    check_refused(&lake.seal(3).await, "00000001.json: missing");
}

/// Both read the same head; the create-only put of the manifest decides.
#[tokio::test]
async fn arch_3_of_seals_at_once_one_wins_and_the_others_say_so() {
    let mut lost = 0;
    for round in 0..20 {
        let lake = Lake::in_folder();
        lake.land(Topic::Accounts, 0, 3, false).await;
        lake.land(Topic::Requests, 0, 3, false).await;
        let outcomes = futures::future::join_all((0..4).map(|day| lake.seal(day))).await;
        let won = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Sealed { .. }))).count();
        assert_eq!(won, 1, "{outcomes:?}");
        for outcome in outcomes.iter().filter(|outcome| outcome.is_err()) {
            check_refused(outcome, "another seal wrote seal 1 first; run it again");
            lost += 1;
        }
        assert!(matches!(lake.seal(9).await.unwrap(), Outcome::Nothing { .. }));
        assert_eq!(findings(&lake.verify().await), [""; 0]);
        if lost > 0 && round >= 2 {
            return;
        }
    }
    panic!("in 20 rounds of four no seal ever came second");
}
