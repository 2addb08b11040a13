//! Many runs and their report: [`Comparison`]. A [`Launcher`] does the runs, one after the other or several at
//! the same time.

mod check;
mod definition;
mod few;
mod forecast;
mod launcher;
mod matching;
mod runs;
mod single;
mod trials;
mod tune;
mod understood;
mod weights;

pub use definition::{Comparison, Part};
pub use forecast::{Forecast, together};
pub use launcher::{InProcess, Launcher, Position, Queued};
pub use single::train;
