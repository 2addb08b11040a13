//! The threads that compute.

use crate::error::Error;

/// Sets the number of threads that compute, for the whole process; `None` is one per core.
///
/// # Errors
///
/// The process already computes with another number of threads, or they cannot be started.
pub fn use_threads(threads: Option<usize>) -> Result<(), Error> {
    let Some(threads) = threads else {
        return Ok(());
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    match pool.build_global() {
        Err(source) if rayon::current_num_threads() != threads => {
            Err(Error::Threads { threads, source })
        }
        _ => Ok(()),
    }
}
