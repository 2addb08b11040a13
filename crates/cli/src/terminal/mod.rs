//! What happens at the terminal: progress, text, Ctrl-C, exit codes.

#[cfg(feature = "tui")]
pub mod dashboard;
pub mod exit;
pub mod heartbeat;
pub mod interrupt;
pub mod notes;
pub mod output;
pub mod process;
pub mod progress;
pub mod understood;
