//! What happens at the terminal: progress, text, Ctrl-C, exit codes.

pub mod bar;
#[cfg(feature = "tui")]
pub mod dashboard;
pub mod decoding;
pub mod download;
pub mod exit;
pub mod heartbeat;
pub mod interrupt;
pub mod log;
pub mod notes;
pub mod output;
pub mod phase;
pub mod process;
pub mod progress;
mod recipe_line;
pub mod relay;
pub mod understood;
pub mod verbosity;
pub mod width;
