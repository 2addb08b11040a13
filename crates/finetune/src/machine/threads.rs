//! The threads that compute.

use crate::error::Error;

/// The most threads that can be asked for.
pub const MOST_THREADS: usize = 1024;

/// Sets the number of threads that compute, for the whole process; `None` is one per core.
///
/// # Errors
///
/// There are none or more than [`MOST_THREADS`], the process already computes with another number of
/// threads, or they cannot be started.
pub fn use_threads(threads: Option<usize>) -> Result<(), Error> {
    let Some(threads) = threads else {
        return Ok(());
    };
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(Error::Usage(format!(
            "the number of threads is {threads}, but must be from 1 to {MOST_THREADS}"
        )));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    match pool.build_global() {
        Err(source) if rayon::current_num_threads() != threads => {
            Err(Error::Threads { threads, source })
        }
        _ => Ok(()),
    }
}
