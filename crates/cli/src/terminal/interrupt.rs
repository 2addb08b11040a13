//! Ctrl-C: the first one lets the current step finish, the second one ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that Ctrl-C ended, as in shells: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Starts listening. If that fails, Ctrl-C ends the program at once, as it does by default.
pub fn listen() {
    let _ = ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    });
}

/// Whether the user pressed Ctrl-C.
#[must_use]
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
