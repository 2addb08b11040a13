//! Fine-tune a pretrained vision model on an image folder with several methods, and compare them.
//!
//! A [`RunConfig`] says what to run; [`train`] does it and writes a folder with the model, the
//! adapter and a report:
//!
//! ```
//! use finetune::RunConfig;
//! use finetune::methods::Method;
//!
//! # let out = tempfile::tempdir()?;
//! # let out = out.path().join("run");
//! let config = RunConfig::new(Method::Linear)
//!     .data("embedded")
//!     .image_size(32)
//!     .train_per_class(2)
//!     .epochs(1);
//! let run = finetune::train(&config, &out, &mut ())?;
//! println!("{:.2} % with {} parameters", 100.0 * run.accuracy, run.trainable_parameters);
//! # assert!(out.join("adapter_linear.safetensors").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Comparison`] does several runs on the same images and writes one report. A
//! [`Launcher`](comparison::Launcher) does each run: here in the same process, in the command each in
//! a process of its own. An [`Observer`] (here `()`) watches the runs and may stop them:
//!
//! ```
//! use finetune::comparison::{Comparison, InProcess};
//! use finetune::methods::{LoraConfig, Method};
//! use finetune::{RunConfig, evaluation};
//!
//! # let out = tempfile::tempdir()?;
//! # let out = out.path().join("comparison");
//! let methods = [Method::Linear, Method::Lora(LoraConfig::default())];
//! let runs = methods.map(|method| {
//!     RunConfig::new(method).image_size(32).train_per_class(2).epochs(1)
//! });
//! let report = Comparison::new(&out, runs).run(&mut InProcess, &mut ())?;
//! println!("{}", evaluation::table(&report));
//! # assert_eq!((report.runs.len(), report.failed.len()), (2, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`FinishedRun`] loads a run from its folder. The parts are crates of their own, which are
//! useful alone and re-exported here. This crate prints nothing and handles no signals.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub use finetune_data as data;
pub use finetune_evaluation as evaluation;
pub use finetune_kernels as kernels;
pub use finetune_methods as methods;
pub use finetune_model as model;
pub use finetune_onnx as onnx;
pub use finetune_training as training;

pub mod comparison;
pub mod config;
pub mod error;
pub mod folder;
pub mod identity;
pub mod machine;
pub mod run;
pub mod weights;

pub use comparison::{Comparison, train};
pub use config::RunConfig;
pub use error::Error;
pub use finetune_evaluation::understood::Understood;
pub use folder::FinishedRun;
pub use run::Observer;
