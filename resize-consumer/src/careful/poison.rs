//! Images that do to a decoder what a test wants, told by their digest.
//!
//! `PIXTOLL_TEST_POISON=abort=HEX,spin=HEX` in the worker's environment; a release build knows none.
//!
//! | word | in the pool and in a child alike |
//! |---|---|
//! | `abort` | aborts |
//! | `segv` | SIGSEGV |
//! | `exit` | exits, as a C library may |
//! | `spin` | computes for ever |
//! | `hang` | sleeps for ever |
//! | `eat` | takes all the memory that it gets |
//! | `slow` | takes a second longer, then goes well |
//! | `later` | goes well, but leaves behind what the next image in the same process dies of |

/// What a child's environment has of it.
#[cfg(debug_assertions)]
pub(super) fn environment() -> Option<(&'static str, String)> {
    Some((armed::VARIABLE, std::env::var(armed::VARIABLE).ok()?))
}

#[cfg(not(debug_assertions))]
pub(super) fn environment() -> Option<(&'static str, String)> {
    None
}

/// Does what the environment says of this image; else nothing.
#[inline]
pub(crate) fn taste(image: &[u8]) {
    #[cfg(debug_assertions)]
    armed::taste(image);
    #[cfg(not(debug_assertions))]
    let _ = image;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use contract::Digest;

    pub(super) const VARIABLE: &str = "PIXTOLL_TEST_POISON";

    static ARMED: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
        let value = std::env::var(VARIABLE).unwrap_or_default();
        value.split(',').filter_map(|one| one.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    });

    static LEFT_BEHIND: AtomicBool = AtomicBool::new(false);

    pub(super) fn taste(image: &[u8]) {
        if ARMED.is_empty() {
            return;
        }
        if LEFT_BEHIND.load(Ordering::Relaxed) {
            std::process::abort();
        }
        let digest = Digest::of(image).to_string();
        match ARMED.iter().find(|(_, poison)| *poison == digest).map(|(what, _)| what.as_str()) {
            Some("abort") => std::process::abort(),
            Some("exit") => std::process::exit(1),
            Some("segv") => loop {
                // The first is caught by the runtime, which looks for stack overflows.
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::SEGV);
            },
            Some("spin") => loop {
                std::hint::spin_loop();
            },
            Some("hang") => loop {
                std::thread::sleep(Duration::from_hours(1));
            },
            Some("eat") => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(vec![1_u8; 1 << 20]);
                }
            }
            Some("later") => LEFT_BEHIND.store(true, Ordering::Relaxed),
            Some("slow") => std::thread::sleep(Duration::from_secs(1)),
            _ => {}
        }
    }
}
