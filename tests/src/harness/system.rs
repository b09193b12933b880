//! One Pixtoll: its log, its store, and its processes' logs in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use store::Store;

use super::{Landed, Launch, Ledger, Publisher, Topics, bin, built_folder, wait_for};

#[derive(Debug)]
pub struct System {
    pub topics: Topics,
    pub store: Store,
    folder: PathBuf,
    launched: AtomicU32,
}

impl System {
    /// A system with its processes' logs in `folder`, which is there.
    pub fn new(topics: Topics, store_url: &str, folder: &Path) -> Result<Self> {
        let store = Store::open(store_url)?;
        Ok(Self { topics, store, folder: folder.to_owned(), launched: AtomicU32::new(0) })
    }

    /// For a test: all of it in a folder of that name beside the binaries, emptied first and left for a look.
    pub fn in_files(topics: Topics, test: &str) -> Result<Self> {
        let folder = test_folder(test)?;
        let store = folder.join("store");
        Self::new(topics, store.to_str().context("a folder whose name is not UTF-8")?, &folder)
    }

    /// For a test: objects in the S3 server that the tests run against.
    pub fn in_s3(topics: Topics, test: &str) -> Result<Self> {
        let variable = |name: &str| {
            let missing = || format!("{name} is not set: run it through `make test`, which starts the servers");
            std::env::var(name).with_context(missing)
        };
        let bucket = variable("PIXTOLL_TEST_S3_BUCKET")?;
        // `object_store` reads this one.
        variable("AWS_ENDPOINT")?;
        let url = format!("s3://{bucket}/{test}-{}-{}", std::process::id(), service::clock::now().as_millis());
        Self::new(topics, &url, &test_folder(test)?)
    }

    /// A binary; its log goes into the folder, numbered in the order of launches.
    pub fn tool(&self, name: &str) -> Result<Launch> {
        let turn = self.launched.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("{turn:02}-{name}.log"));
        Ok(Launch::new(name, bin(name)?, log))
    }

    /// A binary with this system's store.
    pub fn launch(&self, name: &str) -> Result<Launch> {
        Ok(self.tool(name)?.args(["--store", self.store.url()]))
    }

    /// A binary with this system's log and store.
    pub fn on_the_log(&self, name: &str) -> Result<Launch> {
        Ok(self.launch(name)?.args(self.topics.flags()))
    }

    pub fn worker(&self) -> Result<Launch> {
        Ok(self.on_the_log("resize-consumer")?.args(["--health", "127.0.0.1:0"]))
    }

    /// An aggregator that lands and ticks within a test's patience.
    pub fn aggregator(&self) -> Result<Launch> {
        self.aggregator_lingering("300ms")
    }

    pub fn aggregator_lingering(&self, linger: &str) -> Result<Launch> {
        let flags = ["--linger", linger, "--tick-after", "1s", "--health", "127.0.0.1:0"];
        Ok(self.on_the_log("aggregator")?.args(flags))
    }

    pub fn publisher(&self) -> Result<Publisher> {
        Publisher::new(&self.topics, self.store.clone())
    }

    /// Where its processes' logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What stands in the lake now.
    pub async fn landed(&self) -> Result<Landed> {
        Landed::read(&self.store).await
    }

    /// Waits until all of the ledger's requests and an answer to each are landed.
    pub async fn answered(&self, ledger: &Ledger, within: Duration) -> Result<Landed> {
        let mut open = Vec::new();
        let ask = async || {
            let landed = self.landed().await?;
            open = ledger.open(&landed);
            anyhow::Ok(open.is_empty().then_some(landed))
        };
        let landed = wait_for("all requests to be answered", within, ask).await;
        landed.with_context(|| format!("{} of {} are open: {open:?}", open.len(), ledger.requests.len()))
    }
}

fn test_folder(test: &str) -> Result<PathBuf> {
    let folder = built_folder()?.join("system-tests").join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
