//! `ingest publish`, in steps: plan, journal, upload, send, and, if asked for, collect.
//!
//! The journal is on disk before anything is sent. So however a run ends, the same command with that journal asks for
//! the same work by the same ids, and nothing is billed twice.

mod answers;
mod config;
mod images;
mod journal;
mod plan;
mod screen;
mod size;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use contract::ids::Conversion;
use contract::layout::{self, Topic};
use contract::request::{Attempt, Source};
use contract::time::DEFAULT_MAX_REQUEST_AGE_MS;
use contract::usage::Outcome;
use contract::{CustomerId, RequestId, ResizeRequest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use log::Producer;
use service::{BadUsage, Shutdown, clock};
use store::{Put, Store};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use self::answers::Unanswered;
use self::config::Wait;
pub(crate) use self::config::{Args, Config};
use self::journal::{Journal, Planned};
use self::plan::Item;
use self::screen::{Answer, Screen};
use crate::{random, reading};

/// What a worker takes inside a request, unless a deployment says otherwise.
const MAX_INLINE_BYTES: u64 = 256 << 10;
const UPLOADS_AT_ONCE: usize = 8;
const SENDS_AT_ONCE: usize = 64;
const SAVES_AT_ONCE: usize = 8;

struct Run {
    config: Config,
    items: Vec<Item>,
    journal: Journal,
    store: Option<Store>,
    producer: Producer,
    screen: Screen,
    sent: usize,
    answered: usize,
}

pub(crate) async fn run(config: Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut run = Run::prepare(config).await?;
    let outcome = tokio::select! {
        outcome = run.steps() => outcome,
        () = shutdown.requested() => Err(anyhow!("stopped")),
    };
    run.screen.clear();
    let counts = run.counts();
    match outcome {
        Ok(()) => {
            run.screen.note(&counts);
            Ok(())
        }
        Err(error) => Err(anyhow!(
            "{error:#} ({counts}); to go on, nothing done twice, run the same command with --journal {}",
            run.journal.path().display()
        )),
    }
}

impl Run {
    /// All that can be refused is refused here, before the journal; nothing is sent yet.
    async fn prepare(config: Config) -> anyhow::Result<Self> {
        let wish = config.wish.clone();
        let items = spawn_blocking(move || plan::plan(&wish)).await.context("the reading thread")??;
        let store = if config.wait.is_some() || items.iter().any(|item| !is_inlined(&config, item)) {
            Some(Store::open(&config.store).map_err(|e| BadUsage(format!("--store: {e}")))?)
        } else {
            None
        };
        if let Some(Wait { out, .. }) = &config.wait {
            std::fs::create_dir_all(out).map_err(|e| BadUsage(format!("--out {}: {e}", out.display())))?;
        }
        let kafka = config.kafka.clone();
        spawn_blocking(move || reading::check(&kafka, Topic::Requests)).await.context("the reading thread")??;
        let producer = Producer::new(&config.kafka)?;
        let screen = Screen::new(config.json);
        let journal = open_journal(&config, &items).await?;
        screen.note(&format!("journal: {}", journal.path().display()));
        Ok(Self { config, items, journal, store, producer, screen, sent: 0, answered: 0 })
    }

    async fn steps(&mut self) -> anyhow::Result<()> {
        self.upload().await?;
        self.send().await?;
        match self.config.wait.clone() {
            Some(wait) => self.collect(&wait).await,
            None => Ok(()),
        }
    }

    fn counts(&self) -> String {
        let sent = format!("{} of {} sent", self.sent, self.items.len());
        if self.config.wait.is_some() { format!("{sent}, {} answered", self.answered) } else { sent }
    }

    /// Whether the request at this place of the plan is on the log already, and may stay as it is.
    fn is_settled(&self, index: usize) -> bool {
        !self.config.resend && self.journal.acked.contains(&self.journal.planned[index].request_id)
    }

    /// Each distinct image once, named by its content.
    async fn upload(&mut self) -> anyhow::Result<()> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let mut sources = BTreeMap::new();
        for (index, item) in self.items.iter().enumerate() {
            if !self.is_settled(index) && !is_inlined(&self.config, item) {
                sources.insert(item.work.sha256, item.clone());
            }
        }
        self.screen.phase("uploading", sources.len())?;
        let customer_id = &self.config.customer_id;
        let uploads = sources.into_values().map(|item| upload(&store, customer_id, item));
        let mut uploads = stream::iter(uploads).buffer_unordered(UPLOADS_AT_ONCE);
        while uploads.try_next().await?.is_some() {
            self.screen.step();
        }
        Ok(())
    }

    /// Sends what is not yet on the log, and tells all ids in the plan's order.
    async fn send(&mut self) -> anyhow::Result<()> {
        self.screen.phase("sending", self.items.len())?;
        let settled: Vec<bool> = (0..self.items.len()).map(|index| self.is_settled(index)).collect();
        let Self { config, items, journal, producer, screen, sent, .. } = self;
        let planned = journal.planned.clone();
        let all = items.iter().zip(&planned).zip(settled);
        let sends = all.map(|((item, planned), settled)| send(config, producer, item, planned, settled));
        let mut sends = stream::iter(sends).buffered(SENDS_AT_ONCE);
        while let Some(planned) = sends.try_next().await? {
            journal.ack(planned.request_id)?;
            *sent += 1;
            screen.step();
            screen.sent(planned.request_id, &planned.work)?;
        }
        Ok(())
    }

    /// Waits for the answers and saves the images.
    async fn collect(&mut self, wait: &Wait) -> anyhow::Result<()> {
        let store = self.store.clone().context("no store to fetch from")?;
        self.screen.phase("waiting", self.items.len())?;
        let conversions = self.conversions()?;
        let unanswered = Unanswered::new(conversions.iter().cloned());
        let (tell, mut told) = mpsc::channel(SAVES_AT_ONCE);
        let (kafka, from, timeout) = (self.config.kafka.clone(), self.journal.answers_from.clone(), wait.timeout);
        let reader = spawn_blocking(move || answers::read(&kafka, from, unanswered, timeout, &tell));
        let answers = stream::poll_fn(move |context| told.poll_recv(context));
        let (items, planned) = (&self.items, &self.journal.planned);
        let settled = answers.map(|(index, outcome)| {
            let (store, item, conversion) = (&store, &items[index], &conversions[index]);
            async move { (index, settle(store, &wait.out, item, conversion, outcome).await) }
        });
        let mut settled = settled.buffer_unordered(SAVES_AT_ONCE);
        let mut done = 0;
        while let Some((index, answer)) = settled.next().await {
            self.answered += 1;
            done += usize::from(matches!(answer, Answer::Done { .. }));
            self.screen.step();
            self.screen.answered(planned[index].request_id, &items[index], &answer)?;
        }
        reader.await.context("the reading thread")??;
        let (not_done, silent) = (self.answered - done, items.len() - self.answered);
        match (not_done, silent) {
            (0, 0) => Ok(()),
            (_, 0) => bail!("{not_done} not done; once the cause is mended, add --resend to ask for them again"),
            _ => bail!("{silent} not answered within {}", humantime::format_duration(wait.timeout)),
        }
    }

    fn conversions(&self) -> anyhow::Result<Vec<Conversion>> {
        let customer_id = &self.config.customer_id;
        let conversion = |planned: &Planned| {
            let fingerprint = request(customer_id, planned, None).fingerprint()?;
            Ok(Conversion { customer_id: customer_id.clone(), request_id: planned.request_id, fingerprint })
        };
        self.journal.planned.iter().map(conversion).collect()
    }
}

fn is_inlined(config: &Config, item: &Item) -> bool {
    config.inline && item.source_bytes <= MAX_INLINE_BYTES
}

/// The journal named, if it is of this very run; else a new one with new ids.
async fn open_journal(config: &Config, items: &[Item]) -> anyhow::Result<Journal> {
    if let Some(path) = config.journal.as_ref().filter(|path| path.exists()) {
        let mut journal = Journal::open(path)?;
        journal.check(&config.customer_id, items.iter().map(|item| &item.work))?;
        if config.resend && config.wait.is_some() {
            journal.resend(answers_end(config).await?)?;
        }
        warn_of_age(config, &journal);
        return Ok(journal);
    }
    let minted_at = config.as_of.unwrap_or_else(clock::now);
    let mint = |item: &Item| {
        let request_id = RequestId::from_parts(minted_at, random::bytes()?);
        Ok(Planned { request_id, work: item.work.clone() })
    };
    let planned = items.iter().map(mint).collect::<anyhow::Result<Vec<_>>>()?;
    let answers_from = if config.wait.is_some() { answers_end(config).await? } else { Vec::new() };
    let path = match (&config.journal, planned.first()) {
        (Some(path), _) => path.clone(),
        (None, Some(first)) => PathBuf::from(format!("pixtoll-publish-{}.jsonl", first.request_id)),
        (None, None) => bail!("nothing to publish"),
    };
    Journal::create(&path, config.customer_id.clone(), planned, answers_from)
}

async fn answers_end(config: &Config) -> anyhow::Result<Vec<i64>> {
    let kafka = config.kafka.clone();
    let ends = spawn_blocking(move || reading::ends(&kafka, Topic::Usage)).await.context("the reading thread")?;
    ends.context("cannot look where the answers end")
}

/// Workers refuse an id past its age, so such a journal can no longer be gone on with.
fn warn_of_age(config: &Config, journal: &Journal) {
    let oldest_taken = clock::now().plus_millis(-DEFAULT_MAX_REQUEST_AGE_MS);
    let is_old = |p: &Planned| p.request_id.minted_at() < oldest_taken && !journal.acked.contains(&p.request_id);
    let old = journal.planned.iter().filter(|planned| is_old(planned)).count();
    if old > 0 && config.as_of.is_none() {
        tracing::warn!(requests = old, "ids older than 24h are refused by default; a new journal makes new ones");
    }
}

async fn upload(store: &Store, customer_id: &CustomerId, item: Item) -> anyhow::Result<()> {
    let path = layout::source(customer_id, &item.work.sha256);
    match store.create(&path, read(item).await?).await? {
        Put::Created | Put::AlreadySame => Ok(()),
        Put::AlreadyOther => bail!("{path} in the store holds other bytes than its name says"),
    }
}

async fn read(item: Item) -> anyhow::Result<Bytes> {
    spawn_blocking(move || item.read()).await.context("the reading thread")?
}

/// Puts one request on the log, unless it is there; answers it when the broker has acknowledged it.
async fn send<'a>(
    config: &Config,
    producer: &Producer,
    item: &Item,
    planned: &'a Planned,
    settled: bool,
) -> anyhow::Result<&'a Planned> {
    if settled {
        return Ok(planned);
    }
    let inline = if is_inlined(config, item) { Some(STANDARD.encode(read(item.clone()).await?)) } else { None };
    let millis = |deadline: Duration| i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX / 2);
    let deadline = config.deadline.map(|deadline| clock::now().plus_millis(millis(deadline)));
    let attempt = Attempt { key_id: config.key_id.clone(), deadline };
    let record = request(&config.customer_id, planned, inline).to_record(&attempt)?;
    let sent = producer.send_to(Topic::Requests, None, config.as_of, &record).await;
    sent.with_context(|| format!("{} of {}", planned.request_id, planned.work.file))?;
    Ok(planned)
}

fn request(customer_id: &CustomerId, planned: &Planned, inline: Option<String>) -> ResizeRequest {
    ResizeRequest {
        customer_id: customer_id.clone(),
        request_id: planned.request_id,
        source: Source { inline, ..Source::stored(planned.work.sha256) },
        resize: planned.work.resize.clone(),
    }
}

/// What an answer comes to: the image saved, or why not.
async fn settle(store: &Store, out: &Path, item: &Item, conversion: &Conversion, outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Rejected { reason, detail } => Answer::Rejected { reason, detail },
        Outcome::Done { location, width, height } => match save(store, out, item, conversion, &location).await {
            Ok(saved) => Answer::Done { saved, width, height },
            Err(error) => Answer::NotSaved { detail: format!("{error:#}") },
        },
    }
}

async fn save(
    store: &Store,
    out: &Path,
    item: &Item,
    conversion: &Conversion,
    location: &str,
) -> anyhow::Result<PathBuf> {
    let path = layout::result(conversion);
    if location != path {
        bail!("the answer names another place: {location:?}, not {path}");
    }
    let image = store.get(&path).await?;
    let image =
        image.with_context(|| format!("there is no {path} in {}; do the workers use that store?", store.url()))?;
    let (out, name) = (out.to_owned(), item.image_name.clone());
    let saved = spawn_blocking(move || images::save(&out, &name, &image)).await.context("the writing thread")?;
    saved.with_context(|| format!("cannot save into {}", item.image_name))
}
