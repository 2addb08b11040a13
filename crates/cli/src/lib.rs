//! The `finetune` command: flags become runs of the library, and their outcome becomes text and an
//! exit code.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod commands;
pub mod flags;
pub mod terminal;

use std::process::ExitCode;

use clap::Parser;
use finetune::machine::memory::keep_large_buffers;

use terminal::{exit, interrupt, output};

/// The `finetune` command: parse, call one function per command, turn its outcome into an exit code.
#[must_use]
pub fn command() -> ExitCode {
    use flags::{Cli, Command};

    keep_large_buffers();
    interrupt::listen();
    let typed = match flags::file::expand(std::env::args_os().collect()) {
        Ok(typed) => typed,
        Err(error) => return failed(&error),
    };
    let outcome = match Cli::parse_from(typed).command {
        Command::Compare(args) => commands::compare(&args.0),
        Command::Train(args) => commands::train(&args.0),
        Command::Evaluate(args) => commands::evaluate(&args),
        Command::Predict(args) => commands::predict(&args),
        Command::Merge(args) => commands::merge(&args),
        Command::Export(args) => commands::export(&args),
        Command::Inspect(args) => commands::inspect(&args.0),
        Command::Data(args) => commands::data(&args),
        Command::Pretrain(args) => commands::pretrain(&args),
        Command::Run(args) => commands::run_one(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<exit::Reported>() => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    output::note(&format!("error: {}", exit::line(error)));
    ExitCode::from(exit::code(error))
}
