//! Named points at which a test makes a process die, to show that nothing is lost and nothing done twice.
//!
//! `PIXTOLL_KILL_AT=after-put:3` sends SIGKILL to this very process when it passes `after-put` for the third time. A
//! release build has no such points.

/// Dies here if the environment says so; else does nothing.
#[inline]
pub fn kill_point(name: &str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let value = std::env::var("PIXTOLL_KILL_AT").ok()?;
        let (name, pass) = value.split_once(':').unwrap_or((&value, "1"));
        Some((name.to_owned(), pass.parse().ok()?))
    });
    static PASSES: AtomicU64 = AtomicU64::new(0);

    pub(super) fn pass(name: &str) {
        let Some((armed, pass)) = ARMED.as_ref() else { return };
        if name == armed && PASSES.fetch_add(1, Ordering::Relaxed) + 1 == *pass {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::thread::park(); // SIGKILL is on its way
        }
    }
}
