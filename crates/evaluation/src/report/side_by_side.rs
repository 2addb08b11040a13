//! Runs that were done at the same time.

use serde::{Deserialize, Serialize};

/// How a run was done beside others at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SideBySide {
    /// The most runs at the same time, this one included.
    pub runs: usize,
    /// Number of threads of each.
    pub threads: usize,
}

impl SideBySide {
    /// How a run was done that was interrupted and resumed: its time is that of both parts.
    #[must_use]
    pub fn most(before: Option<Self>, after: Option<Self>) -> Option<Self> {
        let both = before.zip(after).map(|(before, after)| Self {
            runs: before.runs.max(after.runs),
            threads: before.threads.min(after.threads),
        });
        both.or(before).or(after)
    }
}

/// How times and memory were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measured {
    /// One run after the other.
    Alone,
    /// All runs with the same number of them at the same time.
    SideBySide(SideBySide),
    /// Not all runs in the same way.
    Differently,
}

impl Measured {
    /// In which of these ways, in which runs were done.
    pub(super) fn of<'a>(ways: impl IntoIterator<Item = &'a Option<SideBySide>>) -> Self {
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_unstable();
        ways.dedup();
        match ways.as_slice() {
            [] | [None] => Self::Alone,
            [Some(way)] => Self::SideBySide(*way),
            _ => Self::Differently,
        }
    }
}
