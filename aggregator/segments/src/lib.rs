//! Landed segments: what they hold, how one is written, and how a chain of them is read and checked. No Kafka here.
//!
//! A partition of the log becomes a chain of Parquet files under `landing/`. Each file's footer names the sha256 of the
//! file before it, so the head of a chain vouches for all of it.
//!
//! ```text
//!   records ──push──▶ Pending ──build──▶ Built ──create-only put──▶ the next link
//!   landing/ ──read_chains──▶ Chain (LAND-1 checked) ──read_rows, rows_of_id_hours──▶ Arrow batches
//! ```

mod chain;
mod columns;
mod encoding;
mod footers;
mod id_hours;
mod read;
mod rows;
mod usage;
mod write;

pub use chain::{Chain, ChainError, check_link, read_chains, read_head};
pub use footers::read_chains_since;
pub use id_hours::{IdHourRows, rows_of_id_hours};
pub use read::{ReadError, Segment, read_bytes, read_rows};
pub use rows::schema;
pub use write::{Built, Link, Pending, WriteError, build_gap};
