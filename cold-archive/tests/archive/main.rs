//! The archive on real segments and real folders: sealing, whatever can be done to a sealed file, and the binary.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod binary;
mod content;
mod lake;
mod sealing;
mod tampering;
