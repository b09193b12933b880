//! Calls of the store and the broker. Trouble that passes is waited out and never becomes a rejection: tried again after
//! growing, jittered pauses, within a budget for the whole process, and for the store behind a breaker.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::BrokerTime;
use log::LogError;
use service::backoff::{self, Budget, random};
use service::{Health, clock};
use store::StoreError;
use tokio::sync::Notify;

use crate::breaker::{Breaker, Pass};
use crate::careful;
use crate::metrics::Metrics;
use crate::watchdog::Progress;

/// One try of a store call. What takes longer counts as failed; a broker call has a limit of its own.
const STORE_TRY: Duration = Duration::from_secs(30);
/// While the breaker is open.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What kept an answer from being given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Child(#[from] careful::Died),
    #[error("no answer within {STORE_TRY:?}")]
    Silence,
    #[error("{what}: given up after {}: {last}", humantime::format_duration(*.after))]
    GivenUp { what: &'static str, after: Duration, last: String },
    /// The request's own deadline has passed while waiting.
    #[error("past the request's deadline")]
    Late,
    #[error("cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("impossible: {0}")]
    Impossible(String),
}

impl Trouble {
    fn passes(&self) -> bool {
        match self {
            Self::Store(error) => error.passes(),
            Self::Log(error) => error.passes(),
            Self::Silence => true,
            _ => false,
        }
    }
}

/// Shared by all answers.
pub(crate) struct Retries {
    breaker: Mutex<Breaker>,
    /// The breaker has closed.
    closed: Notify,
    budget: Mutex<Budget>,
    /// Trouble that lasts so long ends the process.
    give_up_after: Duration,
    progress: Arc<Progress>,
    health: Health,
    metrics: Metrics,
}

impl Retries {
    pub(crate) fn new(give_up_after: Duration, progress: Arc<Progress>, health: Health, metrics: Metrics) -> Self {
        Self {
            breaker: Mutex::default(),
            closed: Notify::new(),
            budget: Mutex::new(Budget::new(Instant::now())),
            give_up_after,
            progress,
            health,
            metrics,
        }
    }

    /// Runs `step` until it succeeds or fails for good, or `deadline` has passed.
    pub(crate) async fn store<T, F>(
        &self,
        what: &'static str,
        deadline: Option<BrokerTime>,
        mut step: impl FnMut() -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let _outside = self.progress.outside();
        let begun = Instant::now();
        self.budget().call();
        let mut retry = 0;
        loop {
            let pass = self.admission(deadline).await?;
            let trouble = match tokio::time::timeout(STORE_TRY, step()).await {
                Ok(Err(error)) => Trouble::from(error),
                Ok(Ok(done)) => {
                    self.store_answered();
                    return Ok(done);
                }
                Err(_) => Trouble::Silence,
            };
            if !trouble.passes() {
                self.store_answered();
                return Err(trouble);
            }
            self.store_failed(pass, &trouble);
            self.wait(what, begun, retry, deadline, trouble).await?;
            self.metrics.store_retries.inc();
            retry += 1;
        }
    }

    /// As [`Retries::store`], for the broker. librdkafka knows whether it is there; a breaker would add nothing.
    pub(crate) async fn broker<T, F>(&self, what: &'static str, mut step: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let _outside = self.progress.outside();
        let begun = Instant::now();
        self.budget().call();
        let mut retry = 0;
        loop {
            match step().await.map_err(Trouble::from) {
                Err(trouble) if trouble.passes() => self.wait(what, begun, retry, None, trouble).await?,
                outcome => return outcome,
            }
            self.metrics.broker_retries.inc();
            retry += 1;
        }
    }

    /// Whether new work would only wait for the store.
    pub(crate) fn holds(&self) -> bool {
        self.breaker().holds(Instant::now())
    }

    /// Waits until a retry may be made.
    async fn wait(
        &self,
        what: &'static str,
        begun: Instant,
        retry: u32,
        deadline: Option<BrokerTime>,
        trouble: Trouble,
    ) -> Result<(), Trouble> {
        if begun.elapsed() >= self.give_up_after {
            return Err(Trouble::GivenUp { what, after: self.give_up_after, last: whole(&trouble) });
        }
        tracing::warn!(trouble = whole(&trouble), retry, "{what}; trying again");
        sleep(backoff::pause(retry, random()), deadline).await?;
        loop {
            let taken = self.budget().take(Instant::now());
            match taken {
                Ok(()) => return Ok(()),
                Err(pause) => sleep(pause, deadline).await?,
            }
        }
    }

    async fn admission(&self, deadline: Option<BrokerTime>) -> Result<Pass, Trouble> {
        loop {
            let closed = self.closed.notified();
            let admitted = {
                let mut breaker = self.breaker();
                let admitted = breaker.admit(Instant::now());
                self.metrics.breaker.set(breaker.as_number());
                admitted
            };
            match admitted {
                Ok(pass) => return Ok(pass),
                Err(pause) => tokio::select! {
                    // Whose turn it is to probe may change: so each looks again now and then.
                    slept = sleep(pause.min(LOOK_AGAIN), deadline) => slept?,
                    () = closed => {}
                },
            }
        }
    }

    fn store_answered(&self) {
        let mut breaker = self.breaker();
        if breaker.succeeded() {
            tracing::info!("the store answers again");
            self.metrics.breaker.set(breaker.as_number());
            self.health.well("store");
            self.closed.notify_waiters();
        }
    }

    fn store_failed(&self, pass: Pass, trouble: &Trouble) {
        let mut breaker = self.breaker();
        if breaker.failed(pass, Instant::now(), random()) {
            self.metrics.breaker.set(breaker.as_number());
            self.metrics.breaker_opened.inc();
            let why = format!("its breaker is open, and work waits: {}", whole(trouble));
            tracing::error!("the store: {why}");
            self.health.problem("store", why);
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sleeps, but not past the deadline.
async fn sleep(pause: Duration, deadline: Option<BrokerTime>) -> Result<(), Trouble> {
    let left = deadline.map(time_left);
    tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
    if deadline.is_some_and(|deadline| time_left(deadline).is_zero()) { Err(Trouble::Late) } else { Ok(()) }
}

/// Until a deadline, by this machine's clock; zero once it has passed.
pub(crate) fn time_left(deadline: BrokerTime) -> Duration {
    let millis = deadline.as_millis().saturating_sub(clock::now().as_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// An error with all its causes. Some say their cause themselves.
pub(crate) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
