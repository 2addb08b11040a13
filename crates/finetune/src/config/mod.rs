//! What a run is: [`RunConfig`] and its defaults.

mod check;
mod data;
pub mod defaults;
mod format;
mod mirror;
mod run;
mod save;
pub mod settings;
mod suggestion;

pub use data::{DataConfig, Decoded, EMBEDDED, Watch};
pub use format::Format;
pub use mirror::Mirror;
pub use run::RunConfig;
pub use save::Save;
pub use suggestion::{Suggested, Suggestion};
