//! The intake: one thread that polls, hands out work, and commits what is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::layout::Topic;
use contract::{DeadLetter, ResizeRequest};
use log::{Consumer, Polled, Reset};
use service::{Health, Shutdown, kill_point};

use crate::answer::{Answerer, Work};
use crate::config::Config;
use crate::owned::{Owned, Ticket};
use crate::retry::{Trouble, whole};
use crate::watchdog::Guard;

const GROUP: &str = "resize-consumer";
const POLL: Duration = Duration::from_millis(50);
/// While records that were read wait for room.
const SHORT_POLL: Duration = Duration::from_millis(5);
const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// So long without a free place before the partitions are paused, so that polling can go on.
const PAUSE_AFTER: Duration = Duration::from_secs(5);
/// How long a shutdown waits for what is in work; the watchdog ends what takes longer all in all.
const DRAIN: Duration = Duration::from_secs(15);

struct Intake<'a> {
    config: &'a Config,
    answerer: &'a Arc<Answerer>,
    consumer: Consumer,
    owned: Arc<Owned>,
    last_commit: Instant,
    full_since: Option<Instant>,
}

/// Takes requests until shutdown, then finishes what is in work, commits, and leaves the group.
pub(crate) fn take_in(
    config: &Config,
    answerer: &Arc<Answerer>,
    health: &Health,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let owned = Arc::new(Owned::new(answerer.metrics.clone()));
    let owner = Arc::clone(&owned) as Arc<dyn log::Owner>;
    let consumer = Consumer::subscribe(&config.kafka, GROUP, &[Topic::Requests], Reset::Earliest, owner)?;
    let mut intake = Intake { config, answerer, consumer, owned, last_commit: Instant::now(), full_since: None };
    health.problem("log", "no partition assigned yet");
    while !shutdown.is_requested() {
        intake.turn()?;
        if !intake.owned.is_empty() {
            health.well("log");
        }
    }
    intake.drain()?;
    intake.consumer.close();
    answerer.progress.intake_ended();
    Ok(())
}

impl Intake<'_> {
    fn turn(&mut self) -> anyhow::Result<()> {
        self.answerer.progress.intake_turned();
        self.check()?;
        if self.last_commit.elapsed() >= COMMIT_EVERY || self.owned.wants_commit() {
            self.commit();
        }
        while !self.is_full()
            && let Some((ticket, work)) = self.owned.next_waiting()
        {
            self.begin(ticket, work);
        }
        let hold = self.must_hold();
        let (pause, resume) = self.owned.pauses(hold);
        if !pause.is_empty() {
            self.consumer.pause(&pause)?;
        }
        if !resume.is_empty() {
            self.consumer.resume(&resume)?;
        }
        if !hold && self.is_full() {
            self.owned.wait_for_an_end(POLL, || self.is_full());
            return Ok(());
        }
        match self.consumer.poll(if self.owned.has_waiting() { SHORT_POLL } else { POLL }) {
            None => Ok(()),
            Some(Ok(polled)) => {
                if let Some((ticket, work)) = self.owned.offer(polled.at, polled.offset, work(&polled)) {
                    self.begin(ticket, work);
                }
                Ok(())
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn is_full(&self) -> bool {
        self.answerer.progress.in_work() >= self.config.in_flight
    }

    /// While all places are taken nothing is read; if that lasts, the partitions are paused, so that polling, and with
    /// it the membership in the group, goes on. So they are, at once, while the store is away.
    fn must_hold(&mut self) -> bool {
        if self.is_full() {
            let since = *self.full_since.get_or_insert_with(Instant::now);
            since.elapsed() >= PAUSE_AFTER || self.answerer.retries.holds()
        } else {
            self.full_since = None;
            self.answerer.retries.holds()
        }
    }

    /// Trouble that would not pass ends the process; the record stays uncommitted and goes to another.
    fn check(&self) -> anyhow::Result<()> {
        let Some((ticket, trouble)) = self.owned.take_failure() else { return Ok(()) };
        anyhow::bail!("{} offset {}: {}", ticket.at, ticket.offset, whole(&trouble))
    }

    /// Waits for the broker's word: only what it has committed makes room for more.
    fn commit(&mut self) {
        self.last_commit = Instant::now();
        let offsets = self.owned.committable();
        if offsets.is_empty() {
            return;
        }
        kill_point("before-commit");
        match self.consumer.commit_and_wait(&offsets) {
            Ok(()) => self.owned.committed(&offsets),
            Err(error) => tracing::warn!(%error, "offsets not committed; trying again"),
        }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.owned.in_flight() > 0 {
            self.answerer.progress.intake_turned();
            self.check()?;
            if begun.elapsed() >= DRAIN {
                tracing::warn!(in_flight = self.owned.in_flight(), "not all was finished; it will be done again");
                break;
            }
            self.owned.wait_for_an_end(POLL, || true);
        }
        self.commit();
        Ok(())
    }

    /// Hands a record's work out.
    fn begin(&self, ticket: Ticket, work: Work) {
        let (answerer, owned) = (Arc::clone(self.answerer), Arc::clone(&self.owned));
        let answer = Answer { ticket, owned, outcome: None, place: Some(answerer.progress.work()) };
        self.answerer.pool.spawn(async move {
            answer.end(answerer.answer(work, ticket.careful).await);
        });
    }
}

/// A record's answer, on its way.
struct Answer {
    ticket: Ticket,
    owned: Arc<Owned>,
    outcome: Option<Result<(), Trouble>>,
    /// Held also by those of partitions that are ours no more: so memory stays bounded.
    place: Option<Guard>,
}

impl Answer {
    fn end(mut self, outcome: Result<(), Trouble>) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Answer {
    /// Without an outcome it has panicked, which ends the process, instead of leaving this offset open for ever.
    fn drop(&mut self) {
        drop(self.place.take());
        let panicked = || Err(Trouble::Impossible("the answer panicked".to_owned()));
        self.owned.end(self.ticket, self.outcome.take().unwrap_or_else(panicked));
    }
}

fn work(polled: &Polled<'_>) -> Work {
    let record = polled.record();
    if record.is_tick() {
        return Work::Tick;
    }
    let (partition, offset, at) = (polled.at.partition, polled.offset, polled.appended_at);
    match ResizeRequest::from_record(&record) {
        Ok(received) => Work::Request { received: Box::new(received), partition, offset, accepted_at: at },
        Err(error) => {
            tracing::warn!(partition, offset, %error, "undecodable request, to the dead letters");
            Work::DeadLetter(DeadLetter::wrap(&record, Topic::Requests.name(), partition, offset, at, &error))
        }
    }
}
