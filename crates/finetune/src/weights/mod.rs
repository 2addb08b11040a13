//! Where weights come from: a path, the Hugging Face Hub ([`locate`]), what is published for a model
//! ([`Published`]), the program itself or the cache folder ([`open`]); which network they are of
//! ([`identify`]) and how they were understood ([`understand`]); training from random weights
//! ([`Pretraining`]), or an adapter of HF PEFT ([`PeftAdapter`]).

mod base_name;
mod described;
mod hash;
mod hub;
#[cfg(feature = "hub")]
mod hub_client;
mod identify;
mod locate;
mod metadata;
mod peft;
mod pretraining;
mod progress;
mod published;
mod source;
mod understand;
mod unrecognised;

pub use base_name::BaseName;
pub use described::{Described, Preparation};
pub use finetune_model::{OtherSet, Understood};
pub(crate) use hash::files_of;
pub use hash::hash;
pub use hub::HubFile;
pub use identify::{Identity, identify};
pub use locate::{locate, locate_telling, verified};
pub use metadata::Metadata;
pub use peft::PeftAdapter;
pub use pretraining::Pretraining;
pub use progress::{OnProgress, Progress};
pub use published::Published;
pub use source::{cached, describe, has_own, is_made_on_demand, is_shipped, open};
pub use understand::{reasons, understand};
pub use unrecognised::unrecognised;
