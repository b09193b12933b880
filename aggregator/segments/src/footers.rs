//! Chains by their footers alone, for who needs the newer part of a large lake: a few kilobytes are read of a segment.
//!
//! A segment's digest is then the one that its successor names, so it is known without reading the file; who reads rows
//! holds them against it ([`crate::read_bytes`]). Only the last segment of each chain, which no other names, is read whole.

use contract::BrokerTime;
use contract::footer::SegmentFooter;
use contract::layout::Topic;
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use store::{Entry, Store};

use crate::chain::{self, Chain, ChainError, READ_AHEAD, check_link};
use crate::read::{self, ReadError, Segment};

/// Read of a file's end at first: more than the footer of most takes.
const END_BYTES: u64 = 32 << 10;

/// The chains of a topic as [`crate::read_chains`] gives them, but each only from the first segment on that may hold a
/// record appended at or after `since`; at least its last one. Append times must not run backwards by more than
/// `skew_ms`. Every link between these is checked (LAND-1).
pub async fn read_chains_since(
    store: &Store,
    topic: Topic,
    since: BrokerTime,
    skew_ms: i64,
) -> Result<Vec<Chain>, ChainError> {
    let since = since.plus_millis(-skew_ms);
    let mut chains: Vec<Chain> = Vec::new();
    for ((epoch, partition), entries) in chain::list(store, topic).await? {
        let Some((last, before)) = entries.split_last() else { continue };
        let from = first_since(store, before, since).await?;
        let footers: Vec<SegmentFooter> = futures::stream::iter(&before[from..])
            .map(|entry| footer(store, entry))
            .buffered(READ_AHEAD)
            .try_collect()
            .await?;
        let last = Segment::read(store, &last.path).await?;
        let mut segments = Vec::with_capacity(footers.len() + 1);
        let named = footers.iter().skip(1).chain([&last.footer]).map(|next| next.previous_sha256);
        for ((entry, footer), sha256) in before[from..].iter().zip(&footers).zip(named) {
            let (path, bytes, footer) = (entry.path.clone(), entry.size, footer.clone());
            let unnamed =
                || ChainError::Broken { path: path.clone(), why: "the next one names none before it".to_owned() };
            segments.push(Segment { sha256: sha256.ok_or_else(unnamed)?, path, bytes, footer });
        }
        segments.push(last);
        let mut previous = chains.iter().rfind(|chain| chain.partition == partition).and_then(Chain::head);
        for (place, segment) in segments.iter().enumerate() {
            if place > 0 || from == 0 {
                check_link(previous, segment)?;
            }
            previous = Some(segment);
        }
        chains.push(Chain { topic, epoch, partition, segments });
    }
    Ok(chains)
}

/// How many of the segments hold only records appended before `since`: by halving, as they stand in the order of time.
async fn first_since(store: &Store, entries: &[Entry], since: BrokerTime) -> Result<usize, ReadError> {
    let (mut from, mut to) = (0, entries.len());
    while from < to {
        let middle = from.midpoint(to);
        if footer(store, &entries[middle]).await?.max_append_time < since {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    Ok(from)
}

/// What the end of a file says.
async fn footer(store: &Store, entry: &Entry) -> Result<SegmentFooter, ReadError> {
    let Entry { path, size } = entry;
    let not = |why: String| ReadError::NotASegment { path: path.clone(), why };
    let mut wanted = END_BYTES;
    loop {
        let end = store.get_range(path, size.saturating_sub(wanted)..*size).await?;
        let end = end.ok_or_else(|| ReadError::Missing { path: path.clone() })?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&end, *size) {
            Err(ParquetError::NeedMoreData(more)) if more as u64 > wanted => wanted = more as u64,
            Err(error) => return Err(not(error.to_string())),
            Ok(()) => {
                let metadata = reader.finish().map_err(|error| not(error.to_string()))?;
                return read::footer(path, metadata.file_metadata());
            }
        }
    }
}
