//! Trouble that passes: tried again with growing, jittered pauses. It is never a rejection that a customer sees.

use std::future::Future;
use std::time::Duration;

use log::LogError;
use store::StoreError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After so many tries (about two minutes of pauses) the process ends, and its work goes to another.
const TRIES: u32 = 18;

/// What kept an answer from being given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("impossible: {0}")]
    Impossible(String),
}

impl Trouble {
    fn passes(&self) -> bool {
        matches!(self, Self::Store(StoreError::Failed { .. }) | Self::Log(LogError::NotDelivered { .. }))
    }
}

/// Runs `step` until it succeeds, fails for good, or has been tried often enough.
pub(crate) async fn retry<T, F>(what: &str, mut step: impl FnMut() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        match step().await {
            Err(trouble) if trouble.passes() && attempt < TRIES => {
                tracing::warn!(%trouble, attempt, "{what}; trying again");
                tokio::time::sleep(pause / 2 + jitter(pause / 2)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
    Err(Trouble::Impossible("tries ran out".to_owned()))
}

/// Up to `most`, different in every process and call; nothing stored depends on it.
fn jitter(most: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(0_u8);
    Duration::from_millis(random % u64::try_from(most.as_millis()).unwrap_or(1).max(1))
}
