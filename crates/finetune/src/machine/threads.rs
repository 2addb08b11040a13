//! The threads that compute.

use crate::error::Error;

/// The most threads that can be asked for.
pub const MOST_THREADS: usize = 1024;

/// Bytes of the stack of a thread that computes: those of a main thread, which [`within`] replaces.
const STACK: usize = 8 << 20;

/// Sets the number of threads that compute, for the whole process; `None` is one per core.
///
/// # Errors
///
/// There are none or more than [`MOST_THREADS`], the process already computes with another number of
/// threads, or they cannot be started.
pub fn use_threads(threads: Option<usize>) -> Result<(), Error> {
    if let Some(threads) = threads
        && !(1..=MOST_THREADS).contains(&threads)
    {
        return Err(Error::Usage(format!(
            "the number of threads is {threads}, but must be from 1 to {MOST_THREADS}"
        )));
    }
    // 0 is one thread per core.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .stack_size(STACK);
    match (pool.build_global(), threads) {
        (Err(source), Some(threads)) if rayon::current_num_threads() != threads => {
            Err(Error::Threads { threads, source })
        }
        _ => Ok(()),
    }
}

/// The threads of each of `runs` processes that compute at the same time, if those of this process are
/// divided among them.
#[must_use]
pub fn share(runs: usize) -> usize {
    (rayon::current_num_threads() / runs.max(1)).max(1)
}

/// Does something on one of the threads that compute, and waits for it.
///
/// A step of training consists of hundreds of short operations. Begun on one of these threads, an
/// operation starts at once; from any other, it first wakes one of them, and is waited for asleep.
pub fn within<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}
