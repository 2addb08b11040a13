//! Ranges that several flags share.

use std::fmt::Display;

use anyhow::{Result, bail};
use finetune::machine::threads::MOST_THREADS;

use crate::terminal::exit::Usage;

/// The number of threads that a flag asks for.
pub(super) fn threads(flag: &str, threads: usize) -> Result<usize> {
    if !(1..=MOST_THREADS).contains(&threads) {
        bail!(Usage(format!(
            "--{flag} is {threads}, but must be from 1 to {MOST_THREADS}"
        )));
    }
    Ok(threads)
}

/// The value of a flag, which must not be 0.
pub(super) fn at_least_1<T: Display + Default + PartialEq>(flag: &str, value: T) -> Result<T> {
    if value == T::default() {
        bail!(Usage(format!("--{flag} is 0, but must be at least 1")));
    }
    Ok(value)
}
