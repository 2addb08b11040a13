//! Many runs and their report: [`Comparison`]. A [`Launcher`] does the runs, one after the other or several at
//! the same time.

mod check;
mod forecast;
mod launcher;
mod matching;
mod runs;
mod train;
mod trials;
mod tune;
mod understood;
mod weights;

pub use forecast::{Forecast, together};
pub use launcher::{InProcess, Launcher, Position, Queued};
pub use runs::Comparison;
pub use train::train;
