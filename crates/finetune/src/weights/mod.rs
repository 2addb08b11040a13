//! Where weights come from: a path, the Hugging Face Hub ([`locate`]), the program itself or the
//! cache folder ([`open`]), or training from random weights ([`Pretraining`]).

mod hash;
mod hub;
mod locate;
mod metadata;
mod pretraining;
mod source;

pub use hash::hash;
pub use hub::HubFile;
pub use locate::locate;
pub use metadata::Metadata;
pub use pretraining::Pretraining;
pub use source::{cached, describe, is_made_on_demand, is_shipped, open};
