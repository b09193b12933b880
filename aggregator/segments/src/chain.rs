//! Chains of segments: LAND-1.
//!
//! | | first segment of a chain | every later one |
//! |---|---|---|
//! | `start` | 0 (in epoch 0) | the predecessor's `next_offset` |
//! | `previous_sha256` | none (in epoch 0) | the sha256 of the whole predecessor |

use std::collections::BTreeMap;

use contract::layout::{self, Topic};
use futures::{StreamExt as _, TryStreamExt as _};
use store::Store;

use crate::read::{ReadError, Segment};

/// How many segments are read at once.
const READ_AHEAD: usize = 16;

/// The segments of one partition in one epoch, in offset order; never empty.
#[derive(Debug, Clone)]
pub struct Chain {
    pub topic: Topic,
    pub epoch: u32,
    pub partition: i32,
    pub segments: Vec<Segment>,
}

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error("LAND-1: {path} does not continue its chain: {why}")]
    Broken { path: String, why: String },
}

impl Chain {
    pub fn head(&self) -> Option<&Segment> {
        self.segments.last()
    }
}

/// Checks that `next` continues `previous` (LAND-1).
pub fn check_link(previous: Option<&Segment>, next: &Segment) -> Result<(), ChainError> {
    let (start, sha256) = previous.map_or((0, None), |p| (p.footer.next_offset, Some(p.sha256)));
    let why = if next.footer.start != start {
        format!("it starts at offset {}, the chain ends at {start}", next.footer.start)
    } else if next.footer.previous_sha256 != sha256 {
        let named = next.footer.previous_sha256.map_or("none".to_owned(), |d| d.to_string());
        let found = sha256.map_or("none".to_owned(), |d| d.to_string());
        format!("it names {named} as the segment before it, which is {found}")
    } else {
        return Ok(());
    };
    Err(ChainError::Broken { path: next.path.clone(), why })
}

/// Every chain of a topic, each segment read and hashed whole and every link checked.
pub async fn read_chains(store: &Store, topic: Topic) -> Result<Vec<Chain>, ChainError> {
    let mut paths: BTreeMap<(u32, i32), Vec<String>> = BTreeMap::new();
    for entry in store.list(&layout::landing_topic(topic)).await? {
        let (_, epoch, partition, _) = layout::parse_segment(&entry.path).ok_or_else(|| ReadError::NotASegment {
            path: entry.path.clone(),
            why: "its name is not that of a segment".to_owned(),
        })?;
        paths.entry((epoch, partition)).or_default().push(entry.path);
    }
    let mut chains = Vec::new();
    for ((epoch, partition), paths) in paths {
        let segments: Vec<Segment> = futures::stream::iter(&paths)
            .map(|path| Segment::read(store, path))
            .buffered(READ_AHEAD)
            .try_collect()
            .await?;
        let mut previous = None;
        for segment in &segments {
            check_link(previous, segment)?;
            previous = Some(segment);
        }
        chains.push(Chain { topic, epoch, partition, segments });
    }
    Ok(chains)
}

/// The newest segment of a partition's newest epoch, which the next one will hang on.
pub async fn read_head(store: &Store, topic: Topic, partition: i32) -> Result<Option<Segment>, ChainError> {
    let ours = |path: &str| layout::parse_segment(path).filter(|(_, _, p, _)| *p == partition);
    let mut newest: Option<(u32, i64, String)> = None;
    for epoch in store.list_dirs(&layout::landing_topic(topic)).await? {
        let folder = format!("{epoch}/partition={partition:05}");
        for entry in store.list(&folder).await? {
            if let Some((_, epoch, _, start)) = ours(&entry.path) {
                newest = newest.max(Some((epoch, start, entry.path)));
            }
        }
    }
    let Some((_, _, path)) = newest else { return Ok(None) };
    Ok(Some(Segment::read(store, &path).await?))
}
