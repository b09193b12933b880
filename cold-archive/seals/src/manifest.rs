//! What a seal lists.
//!
//! Offsets of one partition over three seals, half-open; the second had nothing new:
//!
//! | seal | `from` | `to` | `head_sha256` | files |
//! |---|---|---|---|---|
//! | 1 | 0 | 120 | segment that ends at 120 | [0, 80), [80, 120) |
//! | 2 | 120 | 120 | the same | none |
//! | 3 | 120 | 121 | segment that ends at 121 | [120, 121) |

use contract::footer::Clock;
use contract::layout;
use contract::{BrokerTime, Digest};
use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::key::SealKeyId;
use crate::partition::PartitionId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(rename = "type")]
    pub version: Version,
    /// Counts from 1.
    pub seq: u32,
    /// The sha256 of the whole file of seal `seq − 1`; none for the first.
    pub previous_sha256: Option<Digest>,
    #[serde(rename = "sealed_at_ms")]
    pub sealed_at: BrokerTime,
    pub key_id: SealKeyId,
    /// Every partition ever sealed or landed, in order.
    pub partitions: Vec<SealedPartition>,
    /// The final runs sealed here, in order.
    pub runs: Vec<SealedRun>,
    pub totals: Totals,
}

/// The type's name stands inside what is signed, so that no other document can be passed off as a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    #[serde(rename = "pixtoll.seal.v1")]
    V1,
}

/// A landed partition's offsets `[from, to)`: what was landed since the seal before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPartition {
    #[serde(flatten)]
    pub id: PartitionId,
    pub from: i64,
    pub to: i64,
    /// The sha256 of the landed segment that ends at `to`.
    pub head_sha256: Digest,
    /// They tile `[from, to)`, in order; none if nothing is new.
    pub files: Vec<LandedFile>,
}

/// A Parquet file of landed rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedFile {
    #[serde(flatten)]
    pub file: StoredFile,
    pub from: i64,
    pub to: i64,
    pub rows: u64,
    /// Records read from the log: `rows` and ticks.
    pub records: u64,
    /// Whose clock the times are by; `producers` if one segment's are.
    pub clock: Clock,
    #[serde(rename = "first_append_time_ms")]
    pub first_append_time: BrokerTime,
    #[serde(rename = "last_append_time_ms")]
    pub last_append_time: BrokerTime,
}

/// A file of the archive, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub path: String,
    pub bytes: u64,
    pub sha256: Digest,
}

impl StoredFile {
    pub fn of(bytes: &[u8], extension: &str) -> Self {
        let sha256 = Digest::of(bytes);
        Self { path: layout::sealed_file(&sha256, extension), bytes: bytes.len() as u64, sha256 }
    }
}

/// A final run and all that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRun {
    pub seq: u32,
    /// One of each kind, in the order of [`RunFileKind::ALL`].
    pub files: Vec<RunFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    pub kind: RunFileKind,
    #[serde(flatten)]
    pub file: StoredFile,
    /// Where it lay when it was sealed, in the working store.
    pub source: String,
    /// Rows of a Parquet file, lines of JSON lines; none for a single document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunFileKind {
    Run,
    Inputs,
    Bills,
    BillsTable,
    PriceBook,
}

impl RunFileKind {
    pub const ALL: [Self; 5] = [Self::Run, Self::Inputs, Self::Bills, Self::BillsTable, Self::PriceBook];

    pub const fn extension(self) -> &'static str {
        match self {
            Self::Run | Self::Inputs => "json",
            Self::Bills => "jsonl",
            Self::BillsTable => PARQUET,
            Self::PriceBook => "toml",
        }
    }
}

/// The extension of Parquet files.
pub const PARQUET: &str = "parquet";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
    /// Landed rows; what a run names is not counted.
    pub rows: u64,
}

impl Manifest {
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        document::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        document::decode(bytes)
    }

    pub fn landed_files(&self) -> impl Iterator<Item = &LandedFile> {
        self.partitions.iter().flat_map(|partition| &partition.files)
    }

    /// Every file with the extension that its name must have.
    pub fn files(&self) -> impl Iterator<Item = (&StoredFile, &'static str)> {
        let landed = self.landed_files().map(|landed| (&landed.file, PARQUET));
        let runs = self.runs.iter().flat_map(|run| &run.files);
        landed.chain(runs.map(|file| (&file.file, file.kind.extension())))
    }

    /// What `totals` must be; none if the numbers pass a u64.
    pub fn count(&self) -> Option<Totals> {
        let mut totals = Totals::default();
        for (file, _) in self.files() {
            totals.files += 1;
            totals.bytes = totals.bytes.checked_add(file.bytes)?;
        }
        totals.rows = self.landed_files().try_fold(0_u64, |sum, landed| sum.checked_add(landed.rows))?;
        Some(totals)
    }
}
