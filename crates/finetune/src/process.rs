//! The process's memory: how it is kept, and how much it was.

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

/// High-water mark of the process's resident memory so far, bytes; `None` where the system does
/// not tell.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    // `VmHWM`, not `getrusage`: the latter starts at what the parent had when it forked.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
