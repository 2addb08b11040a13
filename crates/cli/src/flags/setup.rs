//! Flags of the commands around training: `doctor`, `cache`, `init`, `completions` and `man`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use finetune::machine::kept::Part;

use super::shared::Printed;

/// `finetune doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Folder for runs, whose disk is examined
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// `finetune cache`.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub command: Option<CacheCommand>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// What to do with what is kept.
#[derive(Debug, Clone, Subcommand)]
pub enum CacheCommand {
    /// Remove what is kept, or say what would be removed
    Clean(CleanArgs),
}

/// `finetune cache clean`.
#[derive(Debug, Clone, Args)]
pub struct CleanArgs {
    /// Parts to remove [default: images and made, which come back by themselves]
    #[arg(value_name = "PART", value_enum)]
    pub parts: Vec<CachePart>,
    /// Remove it; otherwise the command only says what it would remove
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// A part of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CachePart {
    /// Decoded images
    Images,
    /// Weights that the program made itself
    Made,
    /// Weights that were put into the cache folder by hand
    Placed,
    /// Models in the cache of the Hugging Face Hub, which other programs share
    Hub,
}

impl CachePart {
    /// The part of the library.
    #[must_use]
    pub fn part(self) -> Part {
        match self {
            Self::Images => Part::Images,
            Self::Made => Part::Made,
            Self::Placed => Part::Placed,
            Self::Hub => Part::Hub,
        }
    }
}

/// `finetune init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Image folder [default: the only one in this folder]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// File to write; an existing one is not overwritten
    #[arg(long, value_name = "FILE", default_value = "finetune.toml")]
    pub out: PathBuf,
}

/// `finetune completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Shell that completes
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `finetune man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Folder for a page per command [default: print the first page]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
