//! A segment as tools that know nothing of us read it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use contract::footer::Clock;
use contract::layout::Topic;
use contract::{BrokerTime, Record};
use segments::{Link, Pending};
use serde_json::json;
use system_tests::bench::landing::events::Events;
use system_tests::servers::installed;

const EVENTS: usize = 20_000;

#[test]
fn duckdb_and_pyarrow_read_what_was_landed() -> Result<()> {
    let start = BrokerTime::from_millis(1_793_491_200_000);
    let mut pending = Pending::new(Topic::Usage).context("usage is landed")?;
    let mut first = None;
    for (offset, event) in (0..).zip(Events::new(3, start).take(EVENTS)) {
        let event = event?;
        first = first.into_iter().chain([event.request_id.to_string()]).min();
        pending.push(offset, start.plus_millis(offset), &event.to_record()?.view())??;
    }
    let junk = Record { key: None, headers: Vec::new(), payload: None };
    let last = i64::try_from(EVENTS)?;
    ensure!(pending.push(last, start.plus_millis(last), &junk.view())?.is_err(), "junk was taken");
    let built = pending.build(&Link {
        topic: Topic::Usage,
        epoch: 0,
        partition: 0,
        partition_count: 1,
        start: 0,
        previous_sha256: None,
        clock: Clock::Broker,
    })?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("segment.parquet");
    fs::write(&file, &built.bytes)?;

    let python = installed("readers")?.join("bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/servers/readers.py");
    let read = Command::new(&python).arg(script).arg(&file).output()?;
    ensure!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: serde_json::Value = serde_json::from_slice(&read.stdout)?;
    let sums = built.footer.sums;
    let sums = [sums.input_bytes, sums.output_bytes, sums.input_pixels, sums.output_pixels, sums.cpu_micros];
    let mut expected = vec![json!(EVENTS + 1), json!(1), json!(EVENTS), json!(first), json!(start.as_millis() + last)];
    expected.extend(sums.iter().map(|sum| json!(sum.to_string())));
    for reader in ["duckdb", "pyarrow"] {
        assert_eq!(read[reader], json!(expected), "{reader}");
    }
    Ok(())
}
