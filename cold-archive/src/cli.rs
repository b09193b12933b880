//! Flags, and the configuration made of them: keys are read and stores opened here, once.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use seals::chain::Head;
use seals::{PublicKey, SigningKey};
use service::flags::StoreArgs;
use service::{BadUsage, CommonArgs};
use store::{Store, StoreError};

use crate::keys;

/// Seal the landed log and the final bills, and verify what was sealed
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cold-archive keygen --out seal.key
  cold-archive seal --store ./data --key seal.key
  cold-archive verify --archive ./data --public-key seal.key.pub
  cold-archive verify --archive s3://bucket/a --public-key seal.key.pub \\
    --expect-head 3:9f86d081…

seal.key stays secret; seal.key.pub goes to the auditors. verify prints the head
of the archive: who keeps it can tell a rollback.

Exit codes: 0 done, 1 failed or verification found something, 2 bad usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a new Ed25519 key: FILE, readable by its owner only, and FILE.pub
    Keygen(KeygenArgs),
    /// Seal what was landed and finalized since the last seal
    Seal(SealArgs),
    /// Check every byte of the archive against its signed manifests
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct KeygenArgs {
    /// Where to write the private key; neither it nor FILE.pub may exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct ArchiveArgs {
    /// The archive's object store, if it is another than --store
    #[arg(long, env = "PIXTOLL_ARCHIVE", value_name = "URL")]
    archive: Option<String>,
}

#[derive(Debug, Args)]
struct SealArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    archive: ArchiveArgs,
    /// The private key that signs, as keygen wrote it
    #[arg(long, env = "PIXTOLL_SIGNING_KEY", value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    archive: ArchiveArgs,
    /// The public key, from the operator and not from the archive
    #[arg(long, env = "PIXTOLL_PUBLIC_KEY", value_name = "FILE")]
    public_key: PathBuf,
    /// The head that an earlier verify printed: fails if the archive was rolled back
    #[arg(long, value_name = "SEQ:SHA256")]
    expect_head: Option<Head>,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What to do, ready to be done.
#[derive(Debug)]
pub enum Config {
    Keygen { out: PathBuf },
    Seal { working: Store, archive: Store, key: SigningKey },
    Verify { archive: Store, key: PublicKey, expect_head: Option<Head>, json: bool },
}

impl Cli {
    pub fn config(self) -> anyhow::Result<Config> {
        Ok(match self.command {
            Command::Keygen(args) => Config::Keygen { out: args.out },
            Command::Seal(args) => {
                let key = keys::read_signing_key(&args.key)?;
                let working = open(Store::open_read_only(&args.store.store))?;
                let archive = open(Store::open(args.archive.archive.as_ref().unwrap_or(&args.store.store)))?;
                Config::Seal { working, archive, key }
            }
            Command::Verify(args) => {
                let key = keys::read_public_key(&args.public_key)?;
                let url = args.archive.archive.unwrap_or(args.store.store);
                let archive = open(Store::open_read_only(&url))?;
                Config::Verify { archive, key, expect_head: args.expect_head, json: args.json }
            }
        })
    }
}

fn open(opened: Result<Store, StoreError>) -> anyhow::Result<Store> {
    match opened {
        Err(error @ StoreError::BadUrl { .. }) => Err(BadUsage(error.to_string()).into()),
        opened => opened.context("can't open the store"),
    }
}
