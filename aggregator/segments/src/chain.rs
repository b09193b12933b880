//! Chains of segments: LAND-1.
//!
//! | | first segment of epoch 0 | of a later epoch: a gap | every other one |
//! |---|---|---|---|
//! | `start` | 0 | any; what is missing begins at the old head's `next_offset` | the predecessor's `next_offset` |
//! | `previous_sha256` | none | the sha256 of the whole old head; none if nothing was landed | the sha256 of the whole predecessor |

use std::collections::BTreeMap;

use contract::layout::{self, Topic};
use futures::{StreamExt as _, TryStreamExt as _};
use store::{Entry, Store};

use crate::read::{ReadError, Segment};

/// How many segments are read at once.
pub(crate) const READ_AHEAD: usize = 16;

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

impl ChainError {
    /// Whether trying again may help.
    pub fn passes(&self) -> bool {
        match self {
            Self::Read(error) => error.passes(),
            Self::Store(error) => error.passes(),
            Self::Broken { .. } => false,
        }
    }
}

impl Chain {
    pub fn head(&self) -> Option<&Segment> {
        self.segments.last()
    }
}

/// Checks that `next` continues `previous` (LAND-1).
pub fn check_link(previous: Option<&Segment>, next: &Segment) -> Result<(), ChainError> {
    let (epoch, end, sha256) =
        previous.map_or((0, 0, None), |p| (p.footer.epoch, p.footer.next_offset, Some(p.sha256)));
    let footer = &next.footer;
    let why = match &footer.gap {
        None if footer.epoch != epoch => format!("no gap opens its epoch {}", footer.epoch),
        None if footer.start != end => format!("it starts at offset {}, the chain ends at {end}", footer.start),
        Some(_) if footer.epoch != epoch + 1 => format!("it opens epoch {} after epoch {epoch}", footer.epoch),
        Some(gap) if gap.from != end => format!("its gap begins at offset {}, the chain ends at {end}", gap.from),
        _ if footer.previous_sha256 != sha256 => {
            let named = footer.previous_sha256.map_or("none".to_owned(), |d| d.to_string());
            let found = sha256.map_or("none".to_owned(), |d| d.to_string());
            format!("it names {named} as the segment before it, which is {found}")
        }
        _ => return Ok(()),
    };
    Err(ChainError::Broken { path: next.path.clone(), why })
}

/// Every chain of a topic, by epoch and partition, each segment read and hashed whole and every link checked, those
/// between epochs too.
pub async fn read_chains(store: &Store, topic: Topic) -> Result<Vec<Chain>, ChainError> {
    let mut chains: Vec<Chain> = Vec::new();
    for ((epoch, partition), entries) in list(store, topic).await? {
        let segments: Vec<Segment> = futures::stream::iter(&entries)
            .map(|entry| Segment::read(store, &entry.path))
            .buffered(READ_AHEAD)
            .try_collect()
            .await?;
        let mut previous = chains.iter().rfind(|chain| chain.partition == partition).and_then(Chain::head);
        for segment in &segments {
            check_link(previous, segment)?;
            previous = Some(segment);
        }
        chains.push(Chain { topic, epoch, partition, segments });
    }
    Ok(chains)
}

/// The segments' names by epoch and partition, each in the order of offsets.
pub(crate) async fn list(store: &Store, topic: Topic) -> Result<BTreeMap<(u32, i32), Vec<Entry>>, ChainError> {
    let mut entries: BTreeMap<(u32, i32), Vec<Entry>> = BTreeMap::new();
    for entry in store.list(&layout::landing_topic(topic)).await? {
        let (_, epoch, partition, _) = layout::parse_segment(&entry.path).ok_or_else(|| ReadError::NotASegment {
            path: entry.path.clone(),
            why: "its name is not that of a segment".to_owned(),
        })?;
        entries.entry((epoch, partition)).or_default().push(entry);
    }
    Ok(entries)
}

/// The newest segment of a partition's newest epoch, which the next one will hang on. However many there are, few are
/// listed and one is read.
pub async fn read_head(store: &Store, topic: Topic, partition: i32) -> Result<Option<Segment>, ChainError> {
    let mut epochs = Vec::new();
    for folder in store.list_dirs(&layout::landing_topic(topic)).await? {
        let epoch = folder.rsplit_once("/epoch=").and_then(|(_, epoch)| epoch.parse::<u32>().ok());
        epochs.extend(epoch);
    }
    epochs.sort_unstable();
    for epoch in epochs.into_iter().rev() {
        let folder = layout::landing_partition(topic, epoch, partition);
        if let Some(path) = store.newest(&folder).await? {
            return Ok(Some(Segment::read(store, &path).await?));
        }
    }
    Ok(None)
}
