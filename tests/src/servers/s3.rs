//! An S3 server: versitygw over a folder. It honors `If-None-Match`, on which every commit of ours rests.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::{PORT_ATTEMPTS, Process, Start, tied};
use super::{free_ports, installed};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A running S3 server; its process is killed when dropped, its data stays for whoever owns the folder.
#[derive(Debug)]
pub struct S3 {
    endpoint: String,
    _process: Process,
}

impl S3 {
    /// An empty bucket that is there from the start.
    pub const BUCKET: &'static str = "pixtoll-test";
    /// The key of a server that listens on loopback for the length of a test run: no secret.
    pub const ACCESS_KEY: &'static str = "pixtoll-test";
    /// Belongs to [`S3::ACCESS_KEY`].
    pub const SECRET_KEY: &'static str = "pixtoll-test-secret";
    /// What clients sign for.
    pub const REGION: &'static str = "us-east-1";

    /// Starts a server with its data in `dir`, an empty folder, and returns when it answers.
    pub fn start(dir: &Path) -> Result<Self> {
        let program = installed("versitygw-v1.8.0")?.join("versitygw");
        let buckets = dir.join("buckets");
        // To this server a folder is a bucket.
        fs::create_dir_all(buckets.join(Self::BUCKET))
            .with_context(|| format!("cannot make a bucket in {}", dir.display()))?;
        for _ in 0..PORT_ATTEMPTS {
            let [port] = free_ports()?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            // A path that no other server has: on a port that somebody else took it is somebody else who answers.
            let health = format!("/health-{}-{port}", std::process::id());
            let mut server = tied("KILL", &program);
            server
                .args(["--quiet", "--region", Self::REGION, "--health", &health])
                .args(["--port", &address.to_string(), "posix"])
                .arg(&buckets)
                .env("ROOT_ACCESS_KEY", Self::ACCESS_KEY)
                .env("ROOT_SECRET_KEY", Self::SECRET_KEY);
            let mut process = Process::spawn("versitygw", server, &dir.join("server.log"))?;
            if process.wait_until(START_TIMEOUT, |_| is_ok(address, &health).unwrap_or(false))? == Start::Answers {
                return Ok(Self { endpoint: format!("http://{address}"), _process: process });
            }
        }
        bail!("versitygw found its port taken {PORT_ATTEMPTS} times running");
    }

    /// The server's URL; buckets are the first part of the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// Whether a GET of `path` is answered with 200.
fn is_ok(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    connection.set_read_timeout(Some(PROBE_TIMEOUT))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut status_line = [0; "HTTP/1.1 200".len()];
    connection.read_exact(&mut status_line)?;
    Ok(&status_line == b"HTTP/1.1 200")
}
