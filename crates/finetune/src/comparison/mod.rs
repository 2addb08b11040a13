//! Many runs and their report: [`Comparison`]. A [`Launcher`] does the runs, one after the other.

mod check;
mod launcher;
mod runs;
mod weights;

pub use launcher::{InProcess, Launcher, Ticket};
pub use runs::{Comparison, train};
