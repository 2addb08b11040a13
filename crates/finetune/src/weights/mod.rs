//! Where weights come from: a path, the Hugging Face Hub ([`locate`]), the program itself or the
//! cache folder ([`open`]), how they were understood ([`understand`]), training from random weights ([`Pretraining`]), or an adapter of HF PEFT ([`PeftAdapter`]).

mod hash;
mod hub;
mod locate;
mod metadata;
mod peft;
mod pretraining;
mod source;
mod understand;

pub use finetune_model::{OtherSet, Understood};
pub use hash::hash;
pub use hub::HubFile;
pub use locate::locate;
pub use metadata::Metadata;
pub use peft::PeftAdapter;
pub use pretraining::Pretraining;
pub use source::{cached, describe, is_made_on_demand, is_shipped, open};
pub use understand::{understand, unrecognised};
