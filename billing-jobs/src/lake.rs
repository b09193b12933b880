//! One region's landed log, up to a cut.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use contract::footer::Gap;
use contract::layout::Topic;
use contract::time::{DEFAULT_MAX_REQUEST_AGE_MS, MAX_CLOCK_AHEAD_MS};
use contract::{Month, Region};
use seals::PartitionId;
use seals::run::CutPart;
use segments::{Chain, ChainError, Segment, read_chains, read_chains_since, read_rows};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Store;

use crate::query::Table;
use crate::reconcile::BROKER_SKEW_MS;

const HOUR_MS: i64 = 3_600_000;

/// The landed chains of the four topics; every link was checked when they were read (LAND-1).
#[derive(Debug, Clone)]
pub(crate) struct Lake {
    pub(crate) region: Region,
    pub(crate) store: Store,
    pub(crate) chains: BTreeMap<PartitionId, Chain>,
}

/// A hole behind which an operator let the landing go on, and the epoch that it opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AcceptedGap {
    pub(crate) opened: PartitionId,
    pub(crate) gap: Gap,
}

impl Lake {
    /// Everything that is landed now.
    pub(crate) async fn read(store: &Store, region: Region) -> Result<Self, ChainError> {
        let mut chains = Vec::new();
        for topic in Topic::LANDED {
            chains.extend(read_chains(store, topic).await?);
        }
        Ok(Self::of(store, region, chains))
    }

    /// The part of it that events billed in `month` can stand in, found without reading what is older. Not for a cut: its
    /// chains begin somewhere.
    pub(crate) async fn read_for(store: &Store, region: Region, month: Month) -> Result<Self, ChainError> {
        // An id is minted up to so long before its request is accepted, its events appended no earlier than that.
        let since = month.start().plus_millis(-DEFAULT_MAX_REQUEST_AGE_MS - HOUR_MS - MAX_CLOCK_AHEAD_MS);
        let mut chains = Vec::new();
        for topic in Topic::LANDED {
            chains.extend(match topic {
                Topic::Usage => read_chains_since(store, topic, since, BROKER_SKEW_MS).await?,
                _ => read_chains(store, topic).await?,
            });
        }
        Ok(Self::of(store, region, chains))
    }

    fn of(store: &Store, region: Region, chains: Vec<Chain>) -> Self {
        let id = |chain: &Chain| PartitionId { topic: chain.topic, epoch: chain.epoch, partition: chain.partition };
        let chains = chains.into_iter().map(|chain| (id(&chain), chain)).collect();
        Self { region, store: store.clone(), chains }
    }

    /// What an earlier cut saw, segment for segment.
    pub(crate) fn at(mut self, cut: &[CutPart]) -> anyhow::Result<Self> {
        let ends: BTreeMap<PartitionId, &CutPart> = cut.iter().map(|part| (part.id, part)).collect();
        self.chains.retain(|id, _| ends.contains_key(id));
        for (id, part) in ends {
            let chain = self.chains.get_mut(&id).with_context(|| format!("the cut names {id}, which is not landed"))?;
            chain.segments.retain(|segment| segment.footer.next_offset <= part.next_offset);
            if chain.head().map(|head| head.sha256) != Some(part.head_sha256) {
                bail!("{id} up to offset {} is not what the cut saw", part.next_offset);
            }
        }
        Ok(self)
    }

    pub(crate) fn cut(&self) -> Vec<CutPart> {
        let part = |(id, chain): (&PartitionId, &Chain)| {
            let head = chain.head()?;
            let (lake, next_offset) = (self.region.clone(), head.footer.next_offset);
            Some(CutPart { lake, id: *id, next_offset, head_sha256: head.sha256 })
        };
        self.chains.iter().filter_map(part).collect()
    }

    pub(crate) fn gaps(&self) -> Vec<AcceptedGap> {
        let gap = |(id, chain): (&PartitionId, &Chain)| {
            let gap = chain.segments.first()?.footer.gap.clone()?;
            Some(AcceptedGap { opened: *id, gap })
        };
        self.chains.iter().filter_map(gap).collect()
    }

    /// The chains of a topic.
    pub(crate) fn topic(&self, topic: Topic) -> impl Iterator<Item = &Chain> {
        self.chains.values().filter(move |chain| chain.topic == topic)
    }

    /// The segments of a topic, in the order of epoch, partition and offset.
    pub(crate) fn segments(&self, topic: Topic) -> impl Iterator<Item = &Segment> {
        self.topic(topic).flat_map(|chain| &chain.segments)
    }

    /// Rows of segments of one topic, each read's digest checked, with columns `epoch` and `partition` added.
    pub(crate) async fn rows<'a>(
        &self,
        topic: Topic,
        segments: impl IntoIterator<Item = &'a Segment>,
    ) -> anyhow::Result<Table> {
        let landed = segments::schema(topic).with_context(|| format!("{} is not landed", topic.name()))?;
        let mut fields: Vec<Arc<Field>> = landed.fields().iter().cloned().collect();
        fields.extend(["epoch", "partition"].map(|name| Arc::new(Field::new(name, DataType::Int64, false))));
        let schema = Arc::new(Schema::new(fields));
        let mut rows = Vec::new();
        for segment in segments {
            for batch in read_rows(&self.store, segment).await? {
                let mut columns = batch.columns().to_vec();
                for value in [i64::from(segment.footer.epoch), i64::from(segment.footer.partition)] {
                    columns.push(Arc::new(Int64Array::from_value(value, batch.num_rows())));
                }
                let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
                rows.push(batch.with_context(|| format!("{} has not the columns of its topic", segment.path))?);
            }
        }
        Ok((schema, rows))
    }
}
