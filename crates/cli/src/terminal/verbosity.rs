//! How much the command says on stderr.

use std::sync::atomic::{AtomicU8, Ordering};

/// How much is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verbosity {
    /// Results and errors.
    Quiet,
    /// What a user should know.
    #[default]
    Normal,
    /// How it is done as well.
    Verbose,
}

static CHOSEN: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

impl Verbosity {
    /// Chooses it for the whole process.
    pub fn choose(self) {
        CHOSEN.store(self as u8, Ordering::Relaxed);
    }

    /// What was chosen.
    #[must_use]
    pub fn chosen() -> Self {
        match CHOSEN.load(Ordering::Relaxed) {
            0 => Self::Quiet,
            1 => Self::Normal,
            _ => Self::Verbose,
        }
    }

    /// The flag that chooses it, for a process that this one starts.
    #[must_use]
    pub fn flag(self) -> Option<&'static str> {
        match self {
            Self::Quiet => Some("--quiet"),
            Self::Normal => None,
            Self::Verbose => Some("--verbose"),
        }
    }
}
