//! Fine-tune a pretrained vision model on an image folder: the parts together, and the command.
//!
//! Each part is a crate of its own and useful alone; they are re-exported here.
//!
//! ```no_run
//! use finetune::{config::DataConfig, defaults, run};
//! # fn main() -> anyhow::Result<()> {
//! # let config: finetune::config::RunConfig = todo!();
//! let data = config.data.decode(config.seed)?;
//! let result = run::run(&config, &data, "out".as_ref(), false, &mut ())?;
//! println!("{:.2} %", 100.0 * result.accuracy);
//! # Ok(())
//! # }
//! ```

pub use finetune_data as data;
pub use finetune_evaluation as evaluation;
pub use finetune_methods as methods;
pub use finetune_model as model;
pub use finetune_training as training;

pub mod cli;
pub mod commands;
pub mod config;
pub mod defaults;
pub mod device;
pub mod exit;
pub mod folder;
pub mod interrupt;
pub mod metadata;
pub mod process;
pub mod progress;
pub mod run;
pub mod weights;
