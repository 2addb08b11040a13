//! Where weights come from: a path, the Hugging Face Hub ([`locate`]), what is published for a model ([`Published`]), the program itself or the
//! cache folder ([`open`]), how they were understood ([`understand`]), training from random weights ([`Pretraining`]), or an adapter of HF PEFT ([`PeftAdapter`]).

mod hash;
mod hub;
#[cfg(feature = "hub")]
mod hub_client;
mod locate;
mod metadata;
mod peft;
mod pretraining;
mod progress;
mod published;
mod source;
mod understand;

pub use finetune_model::{OtherSet, Understood};
pub(crate) use hash::files_of;
pub use hash::hash;
pub use hub::HubFile;
pub use locate::{locate, locate_telling, verified};
pub use metadata::Metadata;
pub use peft::PeftAdapter;
pub use pretraining::Pretraining;
pub use progress::{OnProgress, Progress};
pub use published::Published;
pub use source::{cached, describe, has_own, is_made_on_demand, is_shipped, open};
pub use understand::{understand, unrecognised};
