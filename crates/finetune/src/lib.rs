//! Fine-tune a pretrained vision model on an image folder: the parts together.
//!
//! Each part is a crate of its own and useful alone; they are re-exported here.
//!
//! ```no_run
//! use finetune::run;
//! # fn main() -> anyhow::Result<()> {
//! # let config: finetune::config::RunConfig = todo!();
//! let data = config.images()?;
//! let result = run::run(&config, &data, "out".as_ref(), false, &mut ())?;
//! println!("{:.2} %", 100.0 * result.accuracy);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub use finetune_data as data;
pub use finetune_evaluation as evaluation;
pub use finetune_kernels as kernels;
pub use finetune_methods as methods;
pub use finetune_model as model;
pub use finetune_training as training;

pub mod config;
pub mod error;
pub mod folder;
pub mod machine;
pub mod run;
pub mod weights;
