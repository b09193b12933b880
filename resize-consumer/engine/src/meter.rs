//! The calling thread's CPU clock: what a conversion costs, whatever else the machine does.
//!
//! Only `CLOCK_THREAD_CPUTIME_ID` is fine enough: `getrusage` counts in ticks of milliseconds. It sees this thread
//! alone, so no codec may start threads of its own.

use contract::units::CpuMicros;
use rustix::time::{ClockId, Timespec, clock_gettime};

#[derive(Debug)]
pub(crate) struct CpuMeter {
    start: Timespec,
}

impl CpuMeter {
    pub(crate) fn start() -> Self {
        Self { start: clock_gettime(ClockId::ThreadCPUTime) }
    }

    /// [`Self::elapsed`], and starts anew.
    pub(crate) fn lap(&mut self) -> CpuMicros {
        let elapsed = self.elapsed();
        *self = Self::start();
        elapsed
    }

    /// CPU time since the start; at least 1 µs, since no work is free.
    pub(crate) fn elapsed(&self) -> CpuMicros {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let nanos = (now.tv_sec - self.start.tv_sec) * 1_000_000_000 + (now.tv_nsec - self.start.tv_nsec);
        // A thread's CPU clock does not run backwards, and 1 or more always fits.
        CpuMicros::new((nanos / 1_000).max(1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_waiting_does_not() {
        let meter = CpuMeter::start();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let slept = meter.elapsed().get();
        assert!((1..25_000).contains(&slept), "{slept} µs for sleeping");

        let wall = std::time::Instant::now();
        while wall.elapsed().as_millis() < 200 {
            std::hint::black_box((0..1_000).fold(0_u64, |a, b| a ^ b));
        }
        let worked = meter.elapsed().get() - slept;
        assert!((1_000..1_000_000).contains(&worked), "{worked} µs for working");
    }
}
