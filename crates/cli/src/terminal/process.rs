//! The process: when it was started, and by whom.

use std::time::{Duration, SystemTime};

/// When the process was started, to 10 ms; the current time if the system does not tell.
#[must_use]
pub fn started() -> SystemTime {
    let now = SystemTime::now();
    age().and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// How long the process has been running.
fn age() -> Option<Duration> {
    // The unit of the kernel's interface, independent of its internal clock.
    const TICKS_PER_SECOND: f64 = 100.0;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may contain spaces; the 20th field after it is the start.
    let ticks: f64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    Duration::try_from_secs_f64(uptime - ticks / TICKS_PER_SECOND).ok()
}

/// The id of the process that started this one.
#[must_use]
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // as elsewhere
pub fn parent() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

/// The id of the process that started this one; unknown on this system.
#[must_use]
#[cfg(not(unix))]
pub fn parent() -> Option<u32> {
    None
}

/// Ends this process as soon as the process that started it is gone: somebody may resume what that one
/// was doing, and this one would write into the same folder.
pub fn end_with_parent() {
    const INTERVAL: Duration = Duration::from_millis(50);
    let started_by = parent();
    std::thread::spawn(move || {
        while parent() == started_by {
            std::thread::sleep(INTERVAL);
        }
        std::process::exit(1);
    });
}

/// Asks a process that this one started to stop.
#[cfg(unix)]
pub fn ask_to_stop(process: &std::process::Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let _ = kill_process(Pid::from_child(process), Signal::TERM);
}

/// Asks a process that this one started to stop; this system passes Ctrl-C on by itself.
#[cfg(not(unix))]
pub fn ask_to_stop(_: &std::process::Child) {}
