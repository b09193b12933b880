//! What a check found wrong: which invariant, which file, what.

use std::fmt;

use serde::Serialize;

/// The archive's invariants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// Every byte of a sealed period is covered by its manifest; any flip, loss, reorder or rollback is detected.
    #[serde(rename = "ARCH-1")]
    Arch1,
    /// Seals tile the landed log: no record in none, no record in two.
    #[serde(rename = "ARCH-3")]
    Arch3,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arch1 => "ARCH-1",
            Self::Arch3 => "ARCH-3",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub invariant: Invariant,
    /// The file it is about, from the archive's root.
    pub path: String,
    /// What is wrong, for a person.
    pub problem: String,
}

impl Finding {
    pub fn arch_1(path: &str, problem: impl Into<String>) -> Self {
        Self { invariant: Invariant::Arch1, path: path.to_owned(), problem: problem.into() }
    }
    pub fn arch_3(path: &str, problem: impl Into<String>) -> Self {
        Self { invariant: Invariant::Arch3, path: path.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.invariant, self.path, self.problem)
    }
}
