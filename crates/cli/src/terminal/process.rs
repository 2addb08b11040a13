//! Processes: when this one was started, and how one that was started by another is told to stop.

use std::io::{Read, Write};
use std::process::ChildStdin;
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

/// Listens to the process that started this one, which holds the other end of this one's stdin: calls
/// `stop` as soon as that process asks this one to stop ([`ask_to_stop`]), and ends this one as soon as
/// that process is gone. Somebody may then resume what it was doing, and this one would write into the
/// same folder.
pub fn obey_parent(stop: impl Fn() + Send + 'static) {
    std::thread::spawn(move || {
        let mut byte = [0];
        while let Ok(1) = std::io::stdin().read(&mut byte) {
            stop();
        }
        std::process::exit(1);
    });
}

/// Asks a process that this one started to stop.
pub fn ask_to_stop(stdin: &mut ChildStdin) {
    // If that fails, the process has ended.
    let _ = stdin.write_all(b"\n");
}
