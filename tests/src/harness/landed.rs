//! What stands in the lake, as plain rows.

use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use arrow::array::{
    Array, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use contract::ids::{Conversion, Fingerprint};
use contract::layout::Topic;
use contract::usage::RequestPosition;
use contract::{BrokerTime, RequestId};
use segments::Chain;
use store::Store;

/// Where a landed record lay in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub epoch: u32,
    pub partition: i32,
    pub offset: i64,
}

/// A landed record.
#[derive(Debug, Clone)]
pub struct Row<T> {
    pub at: At,
    pub appended_at: BrokerTime,
    /// What it says, or the code of why it can't be read.
    pub value: Result<T, String>,
}

#[derive(Debug, Clone)]
pub struct RequestRow {
    pub conversion: Conversion,
}

#[derive(Debug, Clone)]
pub struct UsageRow {
    pub conversion: Conversion,
    pub request: RequestPosition,
    pub accepted_at: BrokerTime,
    /// The reason's name, where it was rejected.
    pub rejected: Option<String>,
    pub input_bytes: i64,
    pub output_bytes: i64,
    pub input_pixels: i64,
    pub output_pixels: i64,
    pub cpu_micros: i64,
}

#[derive(Debug, Clone)]
pub struct DeadLetterRow {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub reason: String,
}

#[derive(Debug, Clone)]
pub struct AccountRow {
    pub customer_id: String,
    pub version: i64,
}

/// The four landed topics, in the order of (epoch, partition, offset).
#[derive(Debug, Clone, Default)]
pub struct Landed {
    pub chains: Vec<Chain>,
    pub requests: Vec<Row<RequestRow>>,
    pub usage: Vec<Row<UsageRow>>,
    pub dead_letters: Vec<Row<DeadLetterRow>>,
    pub accounts: Vec<Row<AccountRow>>,
}

impl Landed {
    pub async fn read(store: &Store) -> Result<Self> {
        let mut landed = Self::default();
        for topic in Topic::LANDED {
            for chain in segments::read_chains(store, topic).await? {
                for segment in &chain.segments {
                    for batch in segments::read_rows(store, segment).await? {
                        landed.take(&chain, &batch).with_context(|| segment.path.clone())?;
                    }
                }
                landed.chains.push(chain);
            }
        }
        Ok(landed)
    }

    fn take(&mut self, chain: &Chain, batch: &RecordBatch) -> Result<()> {
        let batch = Batch { chain, batch };
        match chain.topic {
            Topic::Requests => batch.rows(&mut self.requests, request),
            Topic::Usage => batch.rows(&mut self.usage, usage),
            Topic::DeadLetters => batch.rows(&mut self.dead_letters, dead_letter),
            Topic::Accounts => batch.rows(&mut self.accounts, account),
            Topic::Totals => Ok(()),
        }
    }

    /// The readable usage events.
    pub fn answers(&self) -> impl Iterator<Item = (At, &UsageRow)> {
        self.usage.iter().filter_map(|row| Some((row.at, row.value.as_ref().ok()?)))
    }

    /// The readable dead letters of a topic.
    pub fn letters_of(&self, topic: Topic) -> impl Iterator<Item = &DeadLetterRow> {
        let readable = self.dead_letters.iter().filter_map(|row| row.value.as_ref().ok());
        readable.filter(move |letter| letter.topic == topic.name())
    }

    pub fn chain(&self, topic: Topic, partition: i32) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.topic == topic && chain.partition == partition)
    }
}

struct Batch<'a> {
    chain: &'a Chain,
    batch: &'a RecordBatch,
}

impl<'a> Batch<'a> {
    fn rows<T>(&self, rows: &mut Vec<Row<T>>, read: impl Fn(&Self, usize) -> Result<T>) -> Result<()> {
        for row in 0..self.batch.num_rows() {
            let (epoch, partition) = (self.chain.epoch, self.chain.partition);
            let value = match self.text("quarantine_reason", row)? {
                Some(reason) => Err(reason.to_owned()),
                None => Ok(read(self, row)?),
            };
            let at = At { epoch, partition, offset: self.int64("offset", row)? };
            rows.push(Row { at, appended_at: self.time("append_time", row)?, value });
        }
        Ok(())
    }

    fn column<A: Debug + 'static>(&self, name: &str) -> Result<&'a A> {
        let array = self.batch.column_by_name(name).with_context(|| format!("no column {name}"))?;
        array.as_any().downcast_ref().with_context(|| format!("{name} is of type {}", array.data_type()))
    }

    fn text(&self, name: &str, row: usize) -> Result<Option<&'a str>> {
        let column: &StringArray = self.column(name)?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    }

    fn required_text(&self, name: &str, row: usize) -> Result<String> {
        Ok(self.text(name, row)?.with_context(|| format!("{name} is null"))?.to_owned())
    }

    fn int32(&self, name: &str, row: usize) -> Result<i32> {
        let column: &Int32Array = self.column(name)?;
        ensure!(column.is_valid(row), "{name} is null");
        Ok(column.value(row))
    }

    fn int64(&self, name: &str, row: usize) -> Result<i64> {
        let column: &Int64Array = self.column(name)?;
        ensure!(column.is_valid(row), "{name} is null");
        Ok(column.value(row))
    }

    fn time(&self, name: &str, row: usize) -> Result<BrokerTime> {
        let column: &TimestampMillisecondArray = self.column(name)?;
        ensure!(column.is_valid(row), "{name} is null");
        Ok(BrokerTime::from_millis(column.value(row)))
    }

    fn bytes16(&self, name: &str, row: usize) -> Result<[u8; 16]> {
        let column: &FixedSizeBinaryArray = self.column(name)?;
        ensure!(column.is_valid(row), "{name} is null");
        Ok(column.value(row).try_into()?)
    }

    fn conversion(&self, row: usize) -> Result<Conversion> {
        Ok(Conversion {
            customer_id: self.required_text("customer_id", row)?.try_into()?,
            request_id: RequestId::from_bytes(self.bytes16("request_id", row)?)?,
            fingerprint: Fingerprint::from_bytes(self.bytes16("fingerprint", row)?),
        })
    }
}

fn request(batch: &Batch<'_>, row: usize) -> Result<RequestRow> {
    Ok(RequestRow { conversion: batch.conversion(row)? })
}

fn usage(batch: &Batch<'_>, row: usize) -> Result<UsageRow> {
    let outcome = batch.required_text("outcome", row)?;
    let reason = batch.text("reason", row)?.map(str::to_owned);
    ensure!((outcome == "rejected") == reason.is_some(), "outcome {outcome} with reason {reason:?}");
    Ok(UsageRow {
        conversion: batch.conversion(row)?,
        request: RequestPosition {
            partition: batch.int32("request_partition", row)?,
            offset: batch.int64("request_offset", row)?,
        },
        accepted_at: batch.time("accepted_at", row)?,
        rejected: reason,
        input_bytes: batch.int64("input_bytes", row)?,
        output_bytes: batch.int64("output_bytes", row)?,
        input_pixels: batch.int64("input_pixels", row)?,
        output_pixels: batch.int64("output_pixels", row)?,
        cpu_micros: batch.int64("cpu_micros", row)?,
    })
}

fn dead_letter(batch: &Batch<'_>, row: usize) -> Result<DeadLetterRow> {
    Ok(DeadLetterRow {
        topic: batch.required_text("letter_topic", row)?,
        partition: batch.int32("letter_partition", row)?,
        offset: batch.int64("letter_offset", row)?,
        reason: batch.required_text("letter_reason", row)?,
    })
}

fn account(batch: &Batch<'_>, row: usize) -> Result<AccountRow> {
    Ok(AccountRow { customer_id: batch.required_text("customer_id", row)?, version: batch.int64("version", row)? })
}
