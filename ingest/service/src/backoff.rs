//! How long to wait before a retry, and whether one may be made at all: pure, told the time and the luck.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Exponential backoff with full jitter: any time up to a bound that doubles with each retry. `retry` counts from 0.
pub fn pause(retry: u32, random: u64) -> Duration {
    below(FIRST.saturating_mul(1 << retry.min(10)).min(LONGEST), random)
}

/// A time below `most`, or zero.
pub fn below(most: Duration, random: u64) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % most.max(1))
}

/// Different in every process and call; nothing stored may depend on it.
pub fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8)
}

/// A token bucket for all retries of the process, in tenths of a retry: a tenth for each call made, and one retry a
/// second besides, so that a trickle of calls is retried too. When everything fails, retries are so at most a tenth of
/// the load, and a store that comes back is not met by a storm.
#[derive(Debug)]
pub struct Budget {
    tenths: u64,
    filled: Instant,
}

const RETRY: u64 = 10;
const MOST: u64 = 100 * RETRY;
const EACH_TENTH: Duration = Duration::from_millis(100);

impl Budget {
    /// With a few retries to begin with.
    pub fn new(now: Instant) -> Self {
        Self { tenths: 10 * RETRY, filled: now }
    }

    /// A first try of anything was made.
    pub fn call(&mut self) {
        self.tenths = (self.tenths + 1).min(MOST);
    }

    /// Takes a retry, or says how long to wait before asking again.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.filled);
        let tenths = u64::try_from(since.as_millis() / EACH_TENTH.as_millis()).unwrap_or(MOST).min(MOST);
        self.tenths = (self.tenths + tenths).min(MOST);
        // What is less than a tenth is kept for the next time.
        self.filled = if tenths == MOST { now } else { self.filled + EACH_TENTH * u32::try_from(tenths).unwrap_or(0) };
        match self.tenths.checked_sub(RETRY) {
            Some(rest) => {
                self.tenths = rest;
                Ok(())
            }
            None => Err(EACH_TENTH * u32::try_from(RETRY - self.tenths).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_anything_below_a_bound_that_doubles() {
        let cases = [(0, 100), (1, 200), (3, 800), (7, 10_000), (u32::MAX, 10_000)];
        for (retry, most_ms) in cases {
            let most = Duration::from_millis(most_ms);
            let micros = u64::try_from(most.as_micros()).unwrap();
            assert_eq!(pause(retry, micros - 1).as_micros() + 1, most.as_micros(), "{retry}");
            assert_eq!(pause(retry, micros), Duration::ZERO, "{retry}");
        }
    }

    /// Takes until it is refused.
    fn drain(budget: &mut Budget, now: Instant) -> usize {
        (0..1_000).take_while(|_| budget.take(now).is_ok()).count()
    }

    #[test]
    fn retries_are_a_tenth_of_calls_and_one_a_second() {
        let mut now = Instant::now();
        let mut budget = Budget::new(now);
        assert_eq!(drain(&mut budget, now), 10);
        assert_eq!(budget.take(now), Err(Duration::from_secs(1)));
        for _ in 0..250 {
            budget.call();
        }
        assert_eq!(drain(&mut budget, now), 25);
        // Asked every 30 ms for a minute, no part of a tenth is lost or won.
        let mut taken = 0;
        for _ in 0..2_000 {
            now += Duration::from_millis(30);
            taken += drain(&mut budget, now);
        }
        assert_eq!(taken, 60);
        assert_eq!(drain(&mut budget, now + Duration::from_hours(1)), 100, "no more are saved up");
    }
}
