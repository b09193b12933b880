//! Every topic name and every object path. Paths must read for ever: a new layout gets a new function.

use crate::ids::{Conversion, CustomerId, Digest};
use crate::time::{Hour, IdHour, Month};

/// The topics. The first four are landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Requests,
    Usage,
    DeadLetters,
    Accounts,
    Totals,
}

impl Topic {
    pub const ALL: [Self; 5] = [Self::Requests, Self::Usage, Self::DeadLetters, Self::Accounts, Self::Totals];
    pub const LANDED: [Self; 4] = [Self::Requests, Self::Usage, Self::DeadLetters, Self::Accounts];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "resize.requests",
            Self::Usage => "usage.events",
            Self::DeadLetters => "resize.dead-letters",
            Self::Accounts => "accounts",
            Self::Totals => "usage.totals",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// An uploaded image, by its content.
pub fn source(customer_id: &CustomerId, sha256: &Digest) -> String {
    format!("sources/{customer_id}/{sha256}")
}

/// A conversion's output. In a folder, the hour keeps a customer's files apart; one folder each would cost as much as the file.
pub fn result(conversion: &Conversion) -> String {
    let Conversion { customer_id, request_id, fingerprint } = conversion;
    format!("results/{customer_id}/{}/{request_id}.{fingerprint}", IdHour::of(request_id))
}

/// The customers whose images crashed a decoder in an hour: a hint among workers, which nothing else relies on.
pub fn suspects(hour: Hour) -> String {
    format!("suspects/{hour}")
}

pub fn suspect(hour: Hour, customer_id: &CustomerId) -> String {
    format!("{}/{customer_id}", suspects(hour))
}

/// All segments of a topic.
pub fn landing_topic(topic: Topic) -> String {
    format!("landing/{}", topic.name())
}

/// The segments of one partition in one epoch.
pub fn landing_partition(topic: Topic, epoch: u32, partition: i32) -> String {
    format!("landing/{}/epoch={epoch}/partition={partition:05}", topic.name())
}

/// The segment that starts at an offset: its predecessor's `next_offset`.
pub fn segment(topic: Topic, epoch: u32, partition: i32, start: i64) -> String {
    format!("{}/{start:020}.parquet", landing_partition(topic, epoch, partition))
}

/// The segment without records that opens an epoch after a hole, at the first offset there is. It sorts before the
/// segment that starts there.
pub fn gap(topic: Topic, epoch: u32, partition: i32, start: i64) -> String {
    format!("{}/{start:020}.gap.parquet", landing_partition(topic, epoch, partition))
}

/// Reads the path of a segment or a gap back: (topic, epoch, partition, start).
pub fn parse_segment(path: &str) -> Option<(Topic, u32, i32, i64)> {
    let rest = path.strip_prefix("landing/")?;
    let mut parts = rest.split('/');
    let topic = Topic::from_name(parts.next()?)?;
    let epoch = parts.next()?.strip_prefix("epoch=")?.parse().ok()?;
    let partition = parts.next()?.strip_prefix("partition=")?.parse().ok()?;
    let name = parts.next()?.strip_suffix(".parquet")?;
    let start = name.strip_suffix(".gap").unwrap_or(name).parse().ok()?;
    let is_one =
        [segment(topic, epoch, partition, start), gap(topic, epoch, partition, start)].contains(&path.to_owned());
    (parts.next().is_none() && is_one).then_some((topic, epoch, partition, start))
}

/// The rollup of an id-hour, by the digest of its inputs.
pub fn rollup(id_hour: &IdHour, inputs: &Digest) -> String {
    format!("rollups/{id_hour}/{inputs}.parquet")
}

/// The events of a rollup's id-hour that were not alone with their request id.
pub fn repeats(id_hour: &IdHour, inputs: &Digest) -> String {
    format!("rollups/{id_hour}/{inputs}.repeats.parquet")
}

pub const PRICE_BOOKS: &str = "bills/price-books";

/// A published price book.
pub fn price_book(version: u32) -> String {
    format!("{PRICE_BOOKS}/{version:08}.toml")
}

/// All drafts of a month.
pub fn drafts(month: Month) -> String {
    format!("bills/drafts/{month}")
}

/// One file of a draft, which is named by the digest of its `inputs.json`.
pub fn draft_file(month: Month, inputs: &Digest, file: DraftFile) -> String {
    let name = match file {
        DraftFile::Inputs => "inputs.json",
        DraftFile::Lines => "bills.jsonl",
        DraftFile::Table => "bills.parquet",
    };
    format!("{}/{inputs}/{name}", drafts(month))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftFile {
    Inputs,
    Lines,
    Table,
}

pub const RUNS: &str = "bills/runs";

/// A final run; `seq` counts from 1.
pub fn run(seq: u32) -> String {
    format!("{RUNS}/{seq:08}.json")
}

pub const SEALS: &str = "archive/seals";

/// A seal's manifest; `seq` counts from 1.
pub fn seal(seq: u32) -> String {
    format!("{SEALS}/{seq:08}.json")
}

/// A sealed file, by its content. `kind` is its extension.
pub fn sealed_file(sha256: &Digest, kind: &str) -> String {
    format!("archive/files/{sha256}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_pinned_and_sort_by_offset() {
        let path = segment(Topic::Requests, 0, 7, 1234);
        assert_eq!(path, "landing/resize.requests/epoch=0/partition=00007/00000000000000001234.parquet");
        assert_eq!(parse_segment(&path), Some((Topic::Requests, 0, 7, 1234)));
        assert!(segment(Topic::Usage, 0, 0, 9) < segment(Topic::Usage, 0, 0, 10));
        let path = gap(Topic::Requests, 1, 7, 1234);
        assert_eq!(path, "landing/resize.requests/epoch=1/partition=00007/00000000000000001234.gap.parquet");
        assert_eq!(parse_segment(&path), Some((Topic::Requests, 1, 7, 1234)));
        assert!(segment(Topic::Requests, 1, 7, 1233) < path && path < segment(Topic::Requests, 1, 7, 1234));
        for bad in [
            "landing/resize.requests/epoch=0/partition=00007/1234.parquet",
            "landing/resize.requests/epoch=00/partition=00007/00000000000000001234.parquet",
            "landing/unknown/epoch=0/partition=00007/00000000000000001234.parquet",
            "landing/accounts/epoch=0/partition=00007/00000000000000001234.parquet.tmp",
        ] {
            assert_eq!(parse_segment(bad), None, "{bad}");
        }
        let conversion = Conversion {
            customer_id: "acme".parse().unwrap(),
            request_id: "019a3b5c-7e00-7abc-8def-0123456789ab".parse().unwrap(),
            fingerprint: "00112233445566778899aabbccddeeff".parse().unwrap(),
        };
        assert_eq!(
            result(&conversion),
            "results/acme/2025-10-31T17/019a3b5c-7e00-7abc-8def-0123456789ab.00112233445566778899aabbccddeeff"
        );
        assert_eq!(run(3), "bills/runs/00000003.json");
    }
}
