//! The process's memory: how it is kept, and how much it was.

use std::time::{Duration, SystemTime};

/// Keeps large buffers with the process, and must be called before the first one is made.
///
/// By default glibc maps every large buffer anew and returns it when it is freed, so that each
/// training step faults all its pages in again: the chapter's network takes 2.3 times as long.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_large_buffers() {
    const GIB: libc::c_int = 1 << 30;
    // SAFETY: `mallopt` takes two integers and changes the allocator's own settings under its own
    // lock; it reads and writes no memory of ours. Where it refuses a value it returns 0 and
    // leaves the default, which is slower and no less right.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIB);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

/// Keeps large buffers with the process: other systems' allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_large_buffers() {}

/// When the process was started, to 10 ms; now, where the system does not tell.
#[must_use]
pub fn started() -> SystemTime {
    let now = SystemTime::now();
    age().and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// How long the process has been there.
fn age() -> Option<Duration> {
    // Of the kernel's interface to programs, whatever its own clock does.
    const TICKS_PER_SECOND: f64 = 100.0;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold spaces; the 20th field behind it is the start.
    let ticks: f64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    Duration::try_from_secs_f64(uptime - ticks / TICKS_PER_SECOND).ok()
}

/// Resident memory of the process now, bytes; `None` where the system does not tell.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    of_status("VmRSS:")
}

/// High-water mark of the process's resident memory so far, bytes; `None` where the system does
/// not tell.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    // `VmHWM`, not `getrusage`: the latter starts at what the parent had when it forked.
    of_status("VmHWM:")
}

fn of_status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
