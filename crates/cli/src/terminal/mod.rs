//! What is seen on the terminal: progress, text, Ctrl-C, exit codes.

pub mod exit;
pub mod interrupt;
pub mod output;
pub mod progress;
