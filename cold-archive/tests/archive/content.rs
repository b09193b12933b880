//! What is inside a sealed file, when the file is whole but its maker was wrong.

use std::sync::Arc;

use arrow::array::{Array as _, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use cold_archive::sealed_file;
use contract::Digest;
use contract::layout::Topic;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use seals::PartitionId;
use seals::manifest::{PARQUET, StoredFile};
use seals::sealed::{self, SealedFooter, SealedSegment, Version};

use crate::lake::{T0, segment};

const ID: PartitionId = PartitionId { topic: Topic::Accounts, epoch: 0, partition: 0 };

/// Two chained segments: rows 0 to 2 and a tick at 3; rows 4 and 5.
fn segments() -> Vec<SealedSegment> {
    let first = segment(0, Topic::Accounts, 0, 0, None, 3, true);
    let sha256 = Digest::of(&first.bytes);
    let second = segment(0, Topic::Accounts, 0, 4, Some(sha256), 2, false);
    [first, second]
        .map(|built| SealedSegment {
            sha256: Digest::of(&built.bytes),
            bytes: built.bytes.len() as u64,
            footer: built.footer,
        })
        .into()
}

/// A file of these rows that claims these segments.
fn file(rows: &[(i64, i64)], segments: Vec<SealedSegment>) -> (Bytes, SealedFooter) {
    let offsets: Int64Array = rows.iter().map(|(offset, _)| *offset).collect();
    let times: TimestampMillisecondArray = rows.iter().map(|(_, time)| Some(*time)).collect();
    let times = times.with_timezone("UTC");
    let fields = [("offset", offsets.data_type().clone()), ("append_time", times.data_type().clone())];
    let schema = Schema::new(fields.map(|(name, kind)| Field::new(name, kind, false)).to_vec());
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(offsets), Arc::new(times)]).unwrap();
    let footer = SealedFooter { version: Version::V1, segments };
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let json = String::from_utf8(footer.encode().unwrap()).unwrap();
    writer.append_key_value_metadata(KeyValue::new(sealed::KEY.to_owned(), json));
    (writer.into_inner().unwrap().into(), footer)
}

#[track_caller]
fn check(rows: &[(i64, i64)], segments: Vec<SealedSegment>, problem: &str) {
    let (bytes, footer) = file(rows, segments);
    let landed = footer.describe(StoredFile::of(&bytes, PARQUET));
    let outcome = landed.map_or(Err("no segment".to_owned()), |landed| sealed_file::check(bytes, &ID, &landed));
    match outcome {
        Ok(content) => assert_eq!(problem, "", "{content:?}"),
        Err(error) => assert!(!problem.is_empty() && error.contains(problem), "{problem:?}: {error}"),
    }
}

fn rows(offsets: &[i64]) -> Vec<(i64, i64)> {
    offsets.iter().map(|offset| (*offset, T0 + offset)).collect()
}

#[test]
fn arch_3_rows_are_those_of_their_segments() {
    for (offsets, problem) in [
        (&[0, 1, 2, 4, 5][..], ""),
        (&[0, 1, 3, 4, 5], ""), // offsets may have gaps; the count is what was landed
        (&[2, 0, 1, 5, 4], ""), // a segment's rows stand by what they are about
        (&[0, 1, 4, 5], "offset 4 is outside"),
        (&[0, 1, 2, 4], "1 rows of the landed segment at offset 4, which had 2"),
        (&[], "0 rows of the landed segment at offset 0"),
        (&[0, 1, 2, 3, 4], "offset 3 is outside"),
        (&[0, 1, 4, 2, 5], "offset 4 is outside"),
        (&[0, 1, 1, 4, 5], "offset 1 stands twice"),
        (&[0, 1, 2, 4, 5, 6], "offset 6 is past the last landed segment"),
        (&[-1, 0, 1, 4, 5], "offset -1 is outside"),
    ] {
        check(&rows(offsets), segments(), problem);
    }
    let mut late = rows(&[0, 1, 2, 4, 5]);
    late[1].1 = T0 + 4;
    check(&late, segments(), "offset 1 is outside the offsets or times");
}

#[test]
fn arch_3_segments_are_one_piece_of_the_partitions_chain() {
    let offsets = rows(&[0, 1, 2, 4, 5]);
    check(&offsets, vec![], "no segment");
    let edit = |edit: fn(&mut [SealedSegment])| {
        let mut segments = segments();
        edit(&mut segments);
        segments
    };
    let broken = "does not follow on the one before";
    check(&offsets, edit(|segments| segments[1].footer.previous_sha256 = None), broken);
    check(&offsets, edit(|segments| segments[0].sha256 = Digest::of(b"")), broken);
    check(&offsets, edit(|segments| segments[1].footer.start = 5), broken);
    let elsewhere = edit(|segments| segments[1].footer.partition = 1);
    check(&offsets, elsewhere, "holds a segment of accounts/epoch=0/partition=1");
    let segments = edit(|segments| segments[1].footer.rows = u64::MAX);
    assert!(SealedFooter { version: Version::V1, segments }.encode().is_err());
}

#[test]
fn a_file_that_is_not_ours_is_told_apart() {
    let (bytes, footer) = file(&rows(&[0, 1, 2, 4, 5]), segments());
    let landed = footer.describe(StoredFile::of(&bytes, PARQUET)).unwrap();
    for (bytes, problem) in [
        (Bytes::from_static(b"PAR1 and so on"), "is no Parquet"),
        (segment(0, Topic::Accounts, 0, 0, None, 3, true).bytes, "has no pixtoll.sealed in its metadata"),
    ] {
        let error = sealed_file::check(bytes, &ID, &landed).unwrap_err();
        assert!(error.contains(problem), "{problem}: {error}");
    }
}
