//! Signals that ask the process to end: Ctrl-C (SIGINT), SIGTERM, and SIGHUP when the terminal is
//! closed.
//!
//! A command that trains stops after the current step and saves what is done. The second signal ends
//! it at once. Its runs are processes of their own, which it tells to stop and which end with it. They
//! may receive the same signals, as they do from a terminal, and leave them to the command.
//! One of them says so if it is the only one, and the command if several are done at the same time.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::output::alert;

/// The first signal; 0 before there is one.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// Whether there is something to save.
static SAVES: AtomicBool = AtomicBool::new(false);

/// Whether another process is told to stop.
static PASSES_ON: AtomicBool = AtomicBool::new(false);

/// Whether the command that started this process says that it stops.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Who a process is to the signals that it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It was started by a person or a script.
    Command,
    /// It was started by a command, which passes signals on and decides when to end it.
    Part,
}

/// Starts listening. If that fails, signals end the program at once, as they do by default.
pub fn listen(role: Role) {
    #[cfg(unix)]
    if let Ok(signals) = signal_hook::iterator::Signals::new(signals()) {
        std::thread::spawn(move || {
            let mut signals = signals;
            for signal in signals.forever() {
                on_signal(signal, role);
            }
        });
    }
    #[cfg(not(unix))]
    {
        const SIGINT: i32 = 2;
        let _ = ctrlc::set_handler(move || on_signal(SIGINT, role));
    }
}

/// The signals to listen to: not SIGHUP if it is ignored, as after `nohup`.
#[cfg(unix)]
fn signals() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether the process was started with a signal ignored, as far as the system tells.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn on_signal(signal: i32, role: Role) {
    if role == Role::Part {
        request();
        return;
    }
    let first = RECEIVED.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err() || !SAVES.load(Ordering::Relaxed) {
        alert("stopped");
        std::process::exit(code_of(signal));
    }
    // A run that is told to stop says so itself: only it can write above its progress bar.
    if !PASSES_ON.load(Ordering::Relaxed) {
        acknowledge();
    }
}

fn acknowledge() {
    alert("stopping after the current step and saving what is done (once more ends at once)");
}

/// Leaves it to the command that started this process to say that it stops.
pub fn stops_silently() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Asks the process to end as SIGTERM does.
pub fn request() {
    const SIGTERM: i32 = 15;
    let first = RECEIVED.compare_exchange(0, SIGTERM, Ordering::Relaxed, Ordering::Relaxed);
    if !SAVES.load(Ordering::Relaxed) {
        std::process::exit(code_of(SIGTERM));
    }
    if first.is_ok() && !SILENT.load(Ordering::Relaxed) {
        acknowledge();
    }
}

/// Says that from now on there is something to save before the process ends, and that the only process
/// that saves it is told to stop.
pub fn passes_on() {
    something_is_to_be_saved();
    PASSES_ON.store(true, Ordering::Relaxed);
}

/// Says that from now on there is something to save before the process ends. Until then, the first
/// signal ends it at once.
pub fn something_is_to_be_saved() {
    SAVES.store(true, Ordering::Relaxed);
}

/// Whether the process was asked to end.
#[must_use]
pub fn requested() -> bool {
    RECEIVED.load(Ordering::Relaxed) != 0
}

/// The exit code if the process was asked to end, as in shells: 128 + the signal's number.
#[must_use]
pub fn code() -> Option<u8> {
    let signal = RECEIVED.load(Ordering::Relaxed);
    (signal != 0).then(|| u8::try_from(code_of(signal)).unwrap_or(1))
}

fn code_of(signal: i32) -> i32 {
    128 + signal
}
