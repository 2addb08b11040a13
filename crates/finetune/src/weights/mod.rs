//! Where weights come from: a path, the Hugging Face Hub ([`locate`]), the program itself or the
//! cache folder ([`open`]), which network they are of
//! ([`identify`]), how they were understood ([`understand`]), training from random weights ([`Pretraining`]), or an adapter of HF PEFT ([`PeftAdapter`]).

mod hash;
mod hub;
mod identify;
mod locate;
mod metadata;
mod peft;
mod pretraining;
mod published;
mod source;
mod understand;
mod unrecognised;

pub use finetune_model::{OtherSet, Understood};
pub use hash::hash;
pub use hub::HubFile;
pub use identify::{Identity, identify};
pub use locate::locate;
pub use metadata::Metadata;
pub use peft::PeftAdapter;
pub use pretraining::Pretraining;
pub use published::{Preparation, Published};
pub use source::{cached, describe, is_made_on_demand, is_shipped, open};
pub use understand::{reasons, understand};
pub use unrecognised::unrecognised;
