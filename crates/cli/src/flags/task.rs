//! The commands whose flags are in the table.

/// A command that configures runs. Each accepts the flags of the table that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// `finetune compare`.
    Compare,
    /// `finetune train`.
    Train,
    /// `finetune inspect`.
    Inspect,
}

impl Task {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Compare, Self::Train, Self::Inspect];

    /// The command's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Train => "train",
            Self::Inspect => "inspect",
        }
    }
}
