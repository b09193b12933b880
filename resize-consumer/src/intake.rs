//! The intake: one thread that polls, hands out work, and commits what is done.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use contract::layout::Topic;
use contract::{DeadLetter, ResizeRequest};
use log::{Consumer, LogError, Partition, Polled, Reset};
use service::{Health, Shutdown, kill_point};
use tokio::runtime::Handle;

use crate::answer::{Answerer, Work};
use crate::config::Config;
use crate::owned::{Owned, Ticket};
use crate::retry::Trouble;

const GROUP: &str = "resize-consumer";
const POLL: Duration = Duration::from_millis(50);
const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// So long without a free place before the partitions are paused, so that polling can go on.
const PAUSE_AFTER: Duration = Duration::from_secs(5);
/// How long a shutdown waits for what is in work.
const DRAIN: Duration = Duration::from_secs(20);

/// [`Consumer::commit`], or the one that waits.
type Commit = fn(&Consumer, &[(Partition, i64)]) -> Result<(), LogError>;
type Finished = (Ticket, Result<(), Trouble>);

struct Intake<'a> {
    config: &'a Config,
    answerer: &'a Arc<Answerer>,
    consumer: Consumer,
    owned: Arc<Owned>,
    finish: Sender<Finished>,
    finished: Receiver<Finished>,
    last_commit: Instant,
    paused: bool,
    /// Held by each answer in work, also by those of partitions that are ours no more: so memory stays bounded.
    in_work: Arc<()>,
}

/// Takes requests until shutdown, then finishes what is in work, commits, and leaves the group.
pub(crate) fn take_in(
    config: &Config,
    answerer: &Arc<Answerer>,
    health: &Health,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let owned = Arc::new(Owned::default());
    let owner = Arc::clone(&owned) as Arc<dyn log::Owner>;
    let consumer = Consumer::subscribe(&config.kafka, GROUP, &[Topic::Requests], Reset::Earliest, owner)?;
    let (finish, finished) = channel();
    let last_commit = Instant::now();
    let mut intake = Intake {
        config,
        answerer,
        consumer,
        owned,
        finish,
        finished,
        last_commit,
        paused: false,
        in_work: Arc::default(),
    };
    health.problem("log", "no partition assigned yet");
    while !shutdown.is_requested() {
        intake.turn()?;
        if !intake.owned.partitions().is_empty() {
            health.well("log");
        }
    }
    intake.drain()?;
    intake.consumer.close();
    Ok(())
}

impl Intake<'_> {
    fn turn(&mut self) -> anyhow::Result<()> {
        while let Ok(finished) = self.finished.try_recv() {
            self.settle(finished)?;
        }
        if self.last_commit.elapsed() >= COMMIT_EVERY {
            self.last_commit = Instant::now();
            self.commit(Consumer::commit);
        }
        self.wait_for_room()?;
        match self.consumer.poll(POLL) {
            None => Ok(()),
            Some(Ok(polled)) => {
                begin(&self.owned, self.answerer, &self.finish, &self.in_work, &polled);
                self.paused = false; // if it was, a rebalance has lifted the pause
                Ok(())
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn in_work(&self) -> usize {
        Arc::strong_count(&self.in_work) - 1
    }

    /// While all places are taken nothing is read; if that lasts, the partitions are paused, so that polling, and with
    /// it the membership in the group, goes on.
    fn wait_for_room(&mut self) -> anyhow::Result<()> {
        let full = |intake: &Self| intake.in_work() >= intake.config.in_flight;
        let until = Instant::now() + PAUSE_AFTER;
        while full(self) && !self.paused {
            match self.finished.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(finished) => self.settle(finished)?,
                Err(RecvTimeoutError::Timeout) => {
                    self.consumer.pause(&self.owned.partitions())?;
                    self.paused = true;
                }
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the workers are gone"),
            }
        }
        if self.paused && !full(self) {
            self.consumer.resume(&self.owned.partitions())?;
            self.paused = false;
        }
        Ok(())
    }

    /// Trouble that would not pass ends the process; the record stays uncommitted and goes to another.
    fn settle(&self, (ticket, outcome): Finished) -> anyhow::Result<()> {
        outcome.map_err(|e| anyhow::Error::new(e).context(format!("{} offset {}", ticket.at, ticket.offset)))?;
        self.owned.done(ticket);
        Ok(())
    }

    fn commit(&self, by: Commit) {
        let offsets = self.owned.take_committable();
        if offsets.is_empty() {
            return;
        }
        kill_point("before-commit");
        if let Err(error) = by(&self.consumer, &offsets) {
            tracing::warn!(%error, "offsets not committed; their records may be answered again");
        }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + DRAIN;
        while self.owned.in_flight() > 0 {
            let Ok(finished) = self.finished.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                tracing::warn!(in_flight = self.owned.in_flight(), "not all was finished; it will be done again");
                break;
            };
            self.settle(finished)?;
        }
        self.commit(Consumer::commit_and_wait);
        Ok(())
    }
}

/// Hands a record's work out.
fn begin(owned: &Owned, answerer: &Arc<Answerer>, finish: &Sender<Finished>, in_work: &Arc<()>, polled: &Polled<'_>) {
    let Some(ticket) = owned.take(polled.at, polled.offset) else { return };
    let record = polled.record();
    if record.is_tick() {
        return owned.done(ticket);
    }
    let (partition, offset, at) = (polled.at.partition, polled.offset, polled.appended_at);
    let work = match ResizeRequest::from_record(&record) {
        Ok(received) => Work::Request { received: Box::new(received), partition, offset, accepted_at: at },
        Err(error) => {
            tracing::warn!(partition, offset, %error, "undecodable request, to the dead letters");
            Work::DeadLetter(DeadLetter::wrap(&record, Topic::Requests.name(), partition, offset, at, &error))
        }
    };
    let (answerer, finish) = (Arc::clone(answerer), finish.clone());
    let in_work = Arc::clone(in_work);
    Handle::current().spawn(async move {
        // A panic ends the process, too, instead of leaving this offset open for ever.
        let answered = tokio::spawn(async move { answerer.answer(work).await }).await;
        let outcome = answered.unwrap_or_else(|panic| Err(Trouble::Impossible(panic.to_string())));
        drop(in_work);
        let _ = finish.send((ticket, outcome)); // the intake is gone only when the process ends
    });
}
