//! The whole-system tests' own machinery.

pub mod bench;
pub mod demo;
pub mod harness;
pub mod servers;
