//! A small lake for tests: segments through the real writer, runs as billing would finalize them.

use std::path::PathBuf;

use bytes::Bytes;
use cold_archive::seal::{self, Outcome};
use cold_archive::verify::{self, Report};
use contract::footer::{Clock, Gap};
use contract::layout::{self, Topic};
use contract::record::Record;
use contract::{AccountVersion, BrokerTime, Digest, tick};
use indicatif::ProgressBar;
use seals::chain::Head;
use seals::manifest::RunFileKind;
use seals::run::{CutPart, PriceBookRef, Run, Version};
use seals::{PartitionId, SigningKey, read_runs};
use segments::{Built, Link, Pending};
use store::{Put, Store};

pub(crate) const T0: i64 = 1_793_491_200_000; // 2026-11-01T00:00:00Z

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

pub(crate) struct Lake {
    pub(crate) store: Store,
    folder: Option<tempfile::TempDir>,
}

impl Lake {
    pub(crate) fn in_memory() -> Self {
        Self { store: Store::open("memory:///").unwrap(), folder: None }
    }

    pub(crate) fn in_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Store::open(folder.path().to_str().unwrap()).unwrap(), folder: Some(folder) }
    }

    /// Where an object lies on disk.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(path)
    }

    /// Lands one segment: readable accounts, unreadable records elsewhere, and a tick at the end if asked for.
    pub(crate) async fn land(&self, topic: Topic, partition: i32, rows: i64, ticked: bool) {
        let head = segments::read_head(&self.store, topic, partition).await.unwrap();
        let (epoch, start) = head.as_ref().map_or((0, 0), |head| (head.footer.epoch, head.footer.next_offset));
        let built = segment(epoch, topic, partition, start, head.map(|head| head.sha256), rows, ticked);
        assert_eq!(self.store.create(&built.path, built.bytes).await.unwrap(), Put::Created);
    }

    /// Lets a partition go on at `start`, as an operator does.
    pub(crate) async fn accept_gap(&self, topic: Topic, partition: i32, start: i64) {
        let head = segments::read_head(&self.store, topic, partition).await.unwrap().unwrap();
        let gap = Gap {
            head: Some(head.path.clone()),
            from: head.footer.next_offset,
            to: None,
            found: "hole".to_owned(),
            operator: "kim".to_owned(),
            reason: "a lost disk".to_owned(),
            decided_at: BrokerTime::from_millis(T0),
        };
        let built = segments::build_gap(topic, partition, 2, Some(&head), start, gap, Clock::Broker).unwrap();
        assert_eq!(self.store.create(&built.path, built.bytes).await.unwrap(), Put::Created);
    }

    /// Finalizes a run over everything landed so far in the partition of accounts.
    pub(crate) async fn finalize(&self, partition: i32) {
        let head = segments::read_head(&self.store, Topic::Accounts, partition).await.unwrap().unwrap();
        self.finalize_at(partition, head.footer.next_offset, head.sha256).await;
    }

    pub(crate) async fn finalize_at(&self, partition: i32, next_offset: i64, head_sha256: Digest) {
        let before = read_runs(&self.store).await.unwrap();
        let seq = u32::try_from(before.len()).unwrap() + 1;
        let inputs = Bytes::from(format!(r#"{{"run":{seq}}}"#));
        let bills = Bytes::from(format!("{{\"bill\":{seq}}}\n{{\"bill\":{}}}\n", seq + 1));
        let table = segment(0, Topic::Accounts, 99, 0, None, i64::from(seq), false).bytes;
        let book = Bytes::from_static(b"version = 1\n");
        let run = Run {
            version: Version::V1,
            seq,
            previous_sha256: before.last().map(|run| run.sha256),
            month: "2026-10".parse().unwrap(),
            customers: vec!["acme".parse().unwrap()],
            inputs_sha256: Digest::of(&inputs),
            bills_sha256: Digest::of(&bills),
            bills_parquet_sha256: Digest::of(&table),
            price_book: PriceBookRef { version: 1, sha256: Digest::of(&book) },
            cut: vec![CutPart {
                lake: "eu-1".parse().unwrap(),
                id: PartitionId { topic: Topic::Accounts, epoch: 0, partition },
                next_offset,
                head_sha256,
            }],
            first_invoice_number: u64::from(seq),
            finalized_at_ms: T0,
            operator: "finance".to_owned(),
            exception: None,
            opened: Vec::new(),
        };
        for (kind, bytes) in
            RunFileKind::ALL.into_iter().zip([run.encode().unwrap().into(), inputs, bills, table, book])
        {
            assert_ne!(self.store.create(&run.source(kind).0, bytes).await.unwrap(), Put::AlreadyOther);
        }
    }

    /// The `day` becomes the seal's time.
    pub(crate) async fn seal(&self, day: i64) -> anyhow::Result<Outcome> {
        let sealed_at = BrokerTime::from_millis(T0 + day * 86_400_000);
        seal::seal(&self.store, &self.store, &key(), sealed_at, &ProgressBar::hidden()).await
    }

    pub(crate) async fn sealed(&self, day: i64) -> Head {
        match self.seal(day).await.unwrap() {
            Outcome::Sealed { head, .. } => head,
            outcome @ Outcome::Nothing { .. } => panic!("{outcome:?}"),
        }
    }

    pub(crate) async fn verify(&self) -> Report {
        self.verify_from(None).await
    }

    pub(crate) async fn verify_from(&self, kept: Option<&Head>) -> Report {
        // Opened anew, as an auditor does.
        let again = self.folder.as_ref().map(|folder| Store::open_read_only(folder.path().to_str().unwrap()).unwrap());
        let archive = again.as_ref().unwrap_or(&self.store);
        verify::verify(archive, &key().public_key(), kept, &ProgressBar::hidden()).await.unwrap()
    }
}

/// One line per finding.
pub(crate) fn findings(report: &Report) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

/// Two seals over three partitions of two topics, the second with a final run.
pub(crate) async fn two_seals(lake: &Lake) -> Head {
    lake.land(Topic::Accounts, 0, 3, true).await;
    lake.land(Topic::Accounts, 0, 2, false).await;
    lake.land(Topic::Requests, 0, 4, false).await;
    lake.sealed(1).await;
    lake.land(Topic::Accounts, 0, 5, true).await;
    lake.land(Topic::Requests, 1, 1, false).await;
    lake.finalize(0).await;
    lake.sealed(2).await
}

pub(crate) fn segment(
    epoch: u32,
    topic: Topic,
    partition: i32,
    start: i64,
    previous_sha256: Option<Digest>,
    rows: i64,
    ticked: bool,
) -> Built {
    let mut pending = Pending::new(topic).unwrap();
    let mut push = |offset: i64, record: &Record| {
        // An unreadable record is a quarantined row.
        let _ = pending.push(offset, BrokerTime::from_millis(T0 + offset), &record.view()).unwrap();
    };
    for row in 0..rows {
        push(start + row, &record(topic, start + row));
    }
    if ticked {
        push(start + rows, &tick::record(topic.name(), partition, start + rows));
    }
    let clock = Clock::Broker;
    pending.build(&Link { topic, epoch, partition, partition_count: 2, start, previous_sha256, clock }).unwrap()
}

fn record(topic: Topic, offset: i64) -> Record {
    if topic != Topic::Accounts {
        return Record { key: None, headers: vec![], payload: Some(format!("not a request, {offset}").into_bytes()) };
    }
    let account = AccountVersion {
        customer_id: format!("customer-{offset}").parse().unwrap(),
        version: 1,
        effective_from: BrokerTime::from_millis(T0),
        plan: "per-conversion".parse().unwrap(),
        currency: "EUR".parse().unwrap(),
        home_region: "eu-1".parse().unwrap(),
        api_keys: vec![],
        limits: contract::account::Limits::default(),
        presets: contract::resize::Presets::new(),
    };
    account.to_record().unwrap()
}

/// Every path in the archive of this kind, in order.
pub(crate) async fn paths(lake: &Lake, ending: &str) -> Vec<String> {
    let entries = lake.store.list("archive").await.unwrap();
    entries.into_iter().map(|entry| entry.path).filter(|path| path.ends_with(ending)).collect()
}

/// The path of the seal's manifest.
pub(crate) fn manifest(seq: u32) -> String {
    layout::seal(seq)
}
