//! The real servers that tests run against: Apache Kafka and an S3 server, on loopback ports found free at the start.
//!
//! `with-servers -- COMMAND` starts one of each, tells COMMAND their addresses and stops them when it ends ([`run`]).
//! A wrapper does that, not a static in the tests: Rust's statics never drop, and a server must not outlive its tests.
//! A test that wants to stop and restart a broker starts one of its own: [`Kafka::start`].
//!
//! | variable | what COMMAND finds in it |
//! |---|---|
//! | `PIXTOLL_TEST_BROKERS` | Kafka's `host:port` |
//! | `PIXTOLL_TEST_S3_ENDPOINT`, `PIXTOLL_TEST_S3_BUCKET` | the S3 server's URL, and an empty bucket in it |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP` | the same server, as `object_store` reads it |
//!
//! No process is left behind, however the wrapper ends: a [`Kafka`] and an [`S3`] kill their process by its id when
//! dropped, and where nothing is dropped any more (SIGKILL) the kernel kills it with its parent. The data lies in
//! `target/servers/run`; what a killed wrapper left there is removed by the next one.

mod command;
mod kafka;
mod process;
mod run_folder;
mod s3;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

pub use command::run;
pub use kafka::Kafka;
pub use s3::S3;

use run_folder::RunFolder;

/// One Kafka and one S3 server with their data, all gone when dropped.
#[derive(Debug)]
pub struct Servers {
    // Dropped in this order: the processes before the folder that they write to.
    kafka: Kafka,
    s3: S3,
    _folder: RunFolder,
}

impl Servers {
    /// Starts both, saying so on stderr, and returns when both answer.
    pub fn start() -> Result<Self> {
        let folder = RunFolder::create(&servers_folder().join("run"))?;
        let s3 = timed("S3 server versitygw 1.8.0", || S3::start(&folder.subfolder("s3")?), S3::endpoint)?;
        let kafka = timed("Apache Kafka 4.3.1", || Kafka::start(&folder.subfolder("kafka")?), Kafka::brokers)?;
        Ok(Self { kafka, s3, _folder: folder })
    }

    /// What the command finds in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PIXTOLL_TEST_BROKERS", self.kafka.brokers().to_owned()),
            ("PIXTOLL_TEST_S3_ENDPOINT", self.s3.endpoint().to_owned()),
            ("PIXTOLL_TEST_S3_BUCKET", S3::BUCKET.to_owned()),
            ("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY.to_owned()),
            ("AWS_REGION", S3::REGION.to_owned()),
            ("AWS_ENDPOINT", self.s3.endpoint().to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }
}

fn timed<T>(what: &str, start: impl FnOnce() -> Result<T>, address: impl FnOnce(&T) -> &str) -> Result<T> {
    let begun = Instant::now();
    let server = start()?;
    say(&format!("started {what} on {} ({:.1} s)", address(&server), begun.elapsed().as_secs_f64()));
    Ok(server)
}

/// The wrapper's own words.
#[expect(clippy::print_stderr, reason = "progress of a command-line wrapper; stdout belongs to the command it runs")]
pub fn say(line: &str) {
    eprintln!("with-servers: {line}");
}

/// Where `make setup` puts the servers: in this checkout, wherever cargo's own target folder is.
fn servers_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("servers")
}

/// The folder of a server that `make setup` has fetched to the end.
pub fn installed(name: &str) -> Result<PathBuf> {
    let folder = servers_folder().join(name);
    ensure!(folder.join(".complete").is_file(), "{} is missing or unfinished: run `make setup`", folder.display());
    Ok(folder)
}

/// Ports that were free a moment ago. Another process may take one before its user binds it: see [`process::Start`].
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
