//! Ranges that several flags share.

use std::fmt::Display;

use anyhow::{Result, bail};

use crate::terminal::exit::Usage;

/// The value of a flag, which must not be 0.
pub(super) fn at_least_1<T: Display + Default + PartialEq>(flag: &str, value: T) -> Result<T> {
    if value == T::default() {
        bail!(Usage(format!("--{flag} is 0, but must be at least 1")));
    }
    Ok(value)
}
