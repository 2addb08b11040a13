//! One run: load the base weights, attach the method, train, evaluate, save.
//!
//! [`run`] is the whole story. [`prepare`] is its first part, for whoever wants the network itself.

mod augmented;
mod checkpoints;
mod confusion;
mod events;
mod execute;
mod job;
mod observer;
mod prepare;
mod recorder;
mod saved;
mod settings;
mod tested;

pub use confusion::confusion;
pub(crate) use execute::most_per_class;
pub use execute::run;
pub use job::{Job, Trial};
pub use observer::{Observer, Phase};
pub use prepare::{Prepared, attach, base, load, prepare};
pub(crate) use saved::read_checkpoint;
