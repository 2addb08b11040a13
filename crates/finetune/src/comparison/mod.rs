//! Many runs and their report: [`Comparison`]. A [`Launcher`] does the runs, one after the other.

mod check;
mod definition;
mod few;
mod forecast;
mod launcher;
mod runs;
mod single;
mod tune;
mod understood;
mod weights;

pub use definition::{Comparison, Part};
pub use forecast::Forecast;
pub use launcher::{InProcess, Launcher, Position};
pub use single::train;
