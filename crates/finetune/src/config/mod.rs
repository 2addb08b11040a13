//! What a run is: [`RunConfig`] and its defaults.

mod check;
mod data;
pub mod defaults;
mod format;
mod mirror;
mod run;
pub mod settings;

pub use data::{DataConfig, Decoded, EMBEDDED, Watch};
pub use format::Format;
pub use mirror::Mirror;
pub use run::RunConfig;
