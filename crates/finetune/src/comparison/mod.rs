//! Many runs and their report: [`Comparison`]. A [`Launcher`] does the runs, one after the other.

mod check;
mod forecast;
mod launcher;
mod runs;
mod tune;
mod understood;
mod weights;

pub use forecast::Forecast;
pub use launcher::{InProcess, Launcher, Position};
pub use runs::{Comparison, train};
