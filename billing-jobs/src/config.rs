//! Flags and subcommands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use contract::{CustomerId, Digest, Month, Region};
use service::flags::{CommonArgs, StoreArgs};

use crate::rollup::Resources;

/// From landed usage to final bills: rollup, draft, show, reconcile, finalize.
///
/// Everything is computed from the landed segments up to a cut, and everything that led to a bill is listed beside it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Closing a month:
  billing-jobs price-book publish prices.toml
  billing-jobs draft --month 2026-10
  billing-jobs show --month 2026-10
  billing-jobs reconcile --month 2026-10
  billing-jobs finalize --month 2026-10 --operator kim"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish and list price books; only published ones bill
    #[command(subcommand)]
    PriceBook(PriceBookCommand),
    /// Deduplicate and add up landed usage per id-hour; what is there already is reused
    Rollup(RollupArgs),
    /// Compute a month's bills at a new cut
    Draft(MonthArgs),
    /// Print a month's bills: the final ones, else the furthest draft
    Show(ShowArgs),
    /// Print every invariant with its numbers; exit code 1 if one is broken
    Reconcile(DraftArgs),
    /// Make a month's draft final: once, for ever
    Finalize(FinalizeArgs),
}

#[derive(Debug, Subcommand)]
pub enum PriceBookCommand {
    /// Check a price book and put it into the store, never over another one
    #[command(after_help = "Example:\n  billing-jobs price-book publish prices.toml --store s3://pixtoll")]
    Publish {
        /// The price book, TOML
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Name every mistake of a price book, as file:line: reason; exit code 1 if there is one
    #[command(after_help = "Example:\n  billing-jobs price-book check prices.toml")]
    Check {
        /// The price book, TOML
        file: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the JSON Schema of a price book, for an editor that checks TOML
    Schema,
    /// Show who would pay more for a month by another price book, and by how much
    #[command(after_help = "\
Examples:
  billing-jobs price-book diff 3 prices.toml --month 2026-10
  billing-jobs price-book diff 3 4 --month 2026-10 --json")]
    Diff {
        /// The version of a published price book, or a file
        old: String,
        /// The version of a published price book, or a file
        new: String,
        #[command(flatten)]
        month: MonthArgs,
    },
    /// List the published price books
    List {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  billing-jobs rollup --month 2026-10\n  billing-jobs draft --month 2026-10 --store s3://pixtoll"
)]
pub struct MonthArgs {
    /// The month, in UTC
    #[arg(long, value_name = "YYYY-MM")]
    pub month: Month,
    /// The region whose lake the store holds
    #[arg(long, env = "PIXTOLL_REGION", default_value = "local")]
    pub region: Region,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What a machine gives to rolling up.
#[derive(Debug, Clone, Args)]
pub struct ResourceArgs {
    /// Hold at most so much of the usage in memory; more input is gone through in parts, with the same result
    #[arg(long, env = "PIXTOLL_MEMORY_MIB", value_name = "MIB", default_value = "1024", value_parser = clap::value_parser!(u32).range(16..))]
    pub memory_mib: u32,
    /// Roll up so many id-hours at once; as many as there are cores when absent
    #[arg(long, env = "PIXTOLL_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl ResourceArgs {
    pub(crate) fn resources(&self) -> Resources {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or_else(cores, usize::from);
        Resources { memory_bytes: (self.memory_mib as usize) << 20, threads }
    }
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  billing-jobs rollup --month 2026-10
  billing-jobs rollup --month 2026-10 --shard 3/8 --store s3://pixtoll    # one of eight machines
  JOB_COMPLETION_INDEX=3 billing-jobs rollup --month 2026-10 --shard /8   # in a Kubernetes Indexed Job")]
pub struct RollupArgs {
    #[command(flatten)]
    pub month: MonthArgs,
    /// Do a share of the id-hours: the I-th of N, from 0; /N takes I from JOB_COMPLETION_INDEX
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    pub shard: String,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  billing-jobs reconcile --month 2026-10 --json")]
pub struct DraftArgs {
    #[command(flatten)]
    pub month: MonthArgs,
    /// The draft, by the id that `draft` printed; the final one, else the furthest, when absent
    #[arg(long, value_name = "SHA256")]
    pub draft: Option<Digest>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  billing-jobs show --month 2026-10 --customer acme")]
pub struct ShowArgs {
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Only this customer's bill, line by line
    #[arg(long)]
    pub customer: Option<CustomerId>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  billing-jobs finalize --month 2026-10 --operator kim
  billing-jobs finalize --month 2026-10 --operator kim --exception 'partition 3 was lost with its disk'")]
pub struct FinalizeArgs {
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Who decides this; recorded in the run
    #[arg(long, env = "PIXTOLL_OPERATOR")]
    pub operator: String,
    /// Finalize although the month can't be closed, for this reason; recorded in the run
    #[arg(long, value_name = "REASON")]
    pub exception: Option<String>,
    /// Development only: finalize a month that was landed with producers' times
    #[arg(long, env = "PIXTOLL_PRODUCER_TIMES")]
    pub producer_times: bool,
}
