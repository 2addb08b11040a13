//! The memory of the process: how it is allocated, and how much is used.

/// Makes the allocator reuse large buffers. A program must call this before it allocates the first
/// one.
///
/// By default, glibc maps every large buffer anew and unmaps it when it is freed, so that each
/// training step faults in all its pages again: the chapter's network takes 2.3 times as long. All
/// threads allocate from one arena, because only the first one can hold buffers of more than 64 MiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_large_buffers() {
    const GIB: libc::c_int = 1 << 30;
    // SAFETY: `mallopt` takes two integers and changes the allocator's settings under the
    // allocator's lock; it does not access memory of the program. If it rejects a value, it returns
    // 0 and the default remains, which is slower but correct.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIB);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Does nothing: the allocators of other systems need no settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_large_buffers() {}

/// The memory of the machine, or what the system allows this process (a container's limit), bytes; `None` if
/// the system does not tell.
#[must_use]
pub fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let all = kibibytes * 1024;
    // Version 2 of control groups, and version 1. Without a limit, there is no number or a huge one.
    let limits = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = limits.into_iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        text.trim().parse::<u64>().ok()
    });
    Some(limits.fold(all, u64::min))
}

/// The current resident memory of the process, bytes; `None` if the system does not tell.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    status_field("VmRSS:")
}

/// The peak resident memory of the process so far, bytes; `None` if the system does not tell.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    // `VmHWM` instead of `getrusage`, which starts at what the parent had when it forked.
    status_field("VmHWM:")
}

fn status_field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
