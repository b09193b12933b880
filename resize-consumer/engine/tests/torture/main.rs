//! The torture test: whatever the bytes, the engine answers. It never panics, never takes longer or more memory than it
//! says, and never calls a fault its own.
//!
//! It runs in this process, so a decoder that crashes takes the test with it: `target/tmp/torture-now.txt` then names the
//! image. The corpus is fetched by `make setup`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test fails by panicking

mod bombs;
mod corpus;
#[path = "../../fuzz/parameters.rs"]
mod parameters;
mod reference;
mod regressions;
mod variants;
mod watch;
