//! The whole-system tests' own machinery.

pub mod servers;
