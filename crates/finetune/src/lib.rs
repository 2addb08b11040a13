//! Fine-tune a pretrained vision model on an image folder: the parts together, and the command.
//!
//! Each part is a crate of its own and useful alone; they are re-exported here.
//!
//! ```no_run
//! use finetune::{defaults, run};
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

pub mod cli;
pub mod commands;
pub mod config;
pub mod defaults;
pub mod device;
pub mod events;
pub mod exit;
pub mod finished;
pub mod folder;
pub mod images;
pub mod interrupt;
pub mod keeper;
pub mod locate;
pub mod metadata;
pub mod options;
pub mod output;
pub mod process;
pub mod progress;
mod resolve;
pub mod resumed;
pub mod run;
pub mod settings;
mod shown;
pub mod weights;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

/// The `finetune` command: parse, call one function a command, turn its outcome into an exit code.
#[must_use]
pub fn command() -> ExitCode {
    use cli::{Cli, Command};
    use resumed::Typed;

    process::keep_large_buffers();
    interrupt::listen();
    let typed = match options::expand(std::env::args_os().collect()) {
        Ok(typed) => typed,
        Err(error) => return failed(&error),
    };
    let matches = Cli::command().get_matches_from(typed);
    let parsed = match Cli::from_arg_matches(&matches) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    let typed = |name: &str| {
        matches
            .subcommand_matches(name)
            .map(|typed| Typed::of(name, typed))
    };
    let outcome = match parsed.command {
        Command::Compare(args) => commands::compare(&args, typed("compare").as_ref()),
        Command::Train(args) => commands::train(&args, typed("train").as_ref()),
        Command::Evaluate(args) => commands::evaluate(&args),
        Command::Predict(args) => commands::predict(&args),
        Command::Merge(args) => commands::merge(&args),
        Command::Export(args) => commands::export(&args),
        Command::Inspect(args) => commands::inspect(&args),
        Command::Data(args) => commands::data(&args),
        Command::Pretrain(args) => commands::pretrain(&args),
        Command::Run(args) => commands::run_one(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<exit::Told>() => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    output::note(&format!("error: {}", exit::line(error)));
    ExitCode::from(exit::code(error))
}
