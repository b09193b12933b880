//! Flags that every binary has, by the same names.

mod resize;

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

pub use resize::{ResizeArgs, word};

#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// How logs on stderr look
    #[arg(
        long,
        global = true,
        env = "PIXTOLL_LOG_FORMAT",
        value_enum,
        default_value = "text",
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels per module ("info,rdkafka=debug")
    #[arg(long, global = true, env = "PIXTOLL_LOG", default_value = "info", help_heading = "Logging")]
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// For the long-running binaries.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Serve /healthz, /readyz and /metrics on this address; off when absent
    #[arg(long, env = "PIXTOLL_HEALTH", value_name = "ADDR:PORT")]
    pub health: Option<SocketAddr>,
}

/// For all that reads or writes objects.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The object store: a folder, file:///…, s3://bucket/prefix, gs://… or az://…
    #[arg(long, env = "PIXTOLL_STORE", value_name = "URL", default_value = "./data")]
    pub store: String,
}
