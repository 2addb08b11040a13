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
