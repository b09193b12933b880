//! Whether the store is worth asking: a circuit breaker, as a state machine without IO that is told the time.
//!
//! | state | a call | ends by |
//! |---|---|---|
//! | closed | goes through | [`FAILURES`] calls in a row that failed: open |
//! | open | waits | its pause running out: half open |
//! | half open | one goes through, the others wait | that one: closed if it succeeds, else open for twice as long |
//!
//! What succeeds, whenever it was begun, closes it: the store has answered.

use std::time::{Duration, Instant};

/// So many failures in a row open the breaker.
const FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A probe that has told nothing for so long was dropped, and another may go.
const PROBE_LASTS: Duration = Duration::from_mins(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { until: Instant },
}

/// A call that may go through; its outcome is told with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    probe: bool,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Of the next opening, before jitter.
    pause: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 }, pause: FIRST_PAUSE }
    }
}

impl Breaker {
    /// Lets a call through, or says how long it waits before it asks again.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        match self.state {
            State::Closed { .. } => Ok(Pass { probe: false }),
            State::Open { until } | State::HalfOpen { until } if now < until => Err(until - now),
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: now + PROBE_LASTS };
                Ok(Pass { probe: true })
            }
        }
    }

    /// Answers whether that closed it.
    pub(crate) fn succeeded(&mut self) -> bool {
        let closed = matches!(self.state, State::Closed { .. });
        *self = Self::default();
        !closed
    }

    /// `random` is any number: it spreads the probes of many workers over half of the pause. Answers whether that
    /// opened it.
    pub(crate) fn failed(&mut self, pass: Pass, now: Instant, random: u64) -> bool {
        match &mut self.state {
            State::Closed { failures } if *failures + 1 < FAILURES => {
                *failures += 1;
                return false;
            }
            State::Closed { .. } => {}
            State::HalfOpen { .. } if pass.probe => {}
            // Begun before it opened.
            State::Open { .. } | State::HalfOpen { .. } => return false,
        }
        self.state = State::Open { until: now + self.pause / 2 + service::backoff::below(self.pause / 2, random) };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }

    /// Whether new work would only wait. Once the pause is over it would not: it may be what probes.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } | State::HalfOpen { until } => now < until,
        }
    }

    /// 0 closed, 1 half open, 2 open.
    pub(crate) fn as_number(&self) -> i64 {
        match self.state {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Pass = Pass { probe: false };
    const PROBE: Pass = Pass { probe: true };

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=FAILURES {
            assert_eq!(breaker.failed(CALL, now, 0), failure == FAILURES);
        }
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                assert!(!breaker.failed(CALL, now, 0));
            }
            assert!(!breaker.succeeded(), "it was closed");
        }
        assert_eq!((breaker.admit(now), breaker.holds(now)), (Ok(CALL), false));
        let mut breaker = opened(now);
        assert_eq!((breaker.admit(now), breaker.holds(now)), (Err(FIRST_PAUSE / 2), true));
    }

    #[test]
    fn one_probe_goes_through_and_decides() {
        let begun = Instant::now();
        let mut breaker = opened(begun);
        let later = begun + FIRST_PAUSE;
        assert!(!breaker.holds(later), "new work may probe");
        assert_eq!(breaker.admit(later), Ok(PROBE));
        assert_eq!(breaker.admit(later), Err(PROBE_LASTS));
        assert!(breaker.holds(later));

        assert!(!breaker.failed(CALL, later, 0), "a call from before says nothing new");
        assert_eq!(breaker.as_number(), 1);
        assert!(breaker.failed(PROBE, later, 0));
        assert_eq!(breaker.admit(later), Err(FIRST_PAUSE), "twice as long, and half of that without luck");

        assert_eq!(breaker.admit(later + 2 * FIRST_PAUSE), Ok(PROBE));
        assert!(breaker.succeeded());
        assert_eq!(breaker.admit(later + 2 * FIRST_PAUSE), Ok(CALL));
    }

    #[test]
    fn a_lost_probe_holds_nothing_up_for_good() {
        let begun = Instant::now();
        let mut breaker = opened(begun);
        let later = begun + FIRST_PAUSE;
        assert_eq!(breaker.admit(later), Ok(PROBE));
        assert_eq!(breaker.admit(later + PROBE_LASTS), Ok(PROBE));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_start_small_again() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut longest = Duration::ZERO;
        for random in 0..20 {
            let pause = breaker.admit(now).unwrap_err();
            longest = longest.max(pause);
            now += pause;
            let pass = breaker.admit(now).unwrap();
            breaker.failed(pass, now, random * 1_000_003);
        }
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&longest), "{longest:?}");
        breaker.succeeded();
        assert_eq!(opened(now).admit(now), Err(FIRST_PAUSE / 2));
    }
}
