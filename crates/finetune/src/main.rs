//! The `finetune` command: parse, call one function a command, turn its outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use finetune::cli::{Cli, Command};
use finetune::{commands, exit, interrupt, process};

fn main() -> ExitCode {
    process::keep_large_buffers();
    interrupt::listen();
    let outcome = match Cli::parse().command {
        Command::Compare(args) => commands::compare(&args),
        Command::Train(args) => commands::train(&args),
        Command::Evaluate(args) => commands::evaluate(&args),
        Command::Predict(args) => commands::predict(&args),
        Command::Merge(args) => commands::merge(&args),
        Command::Inspect(args) => commands::inspect(&args),
        Command::Pretrain(args) => commands::pretrain(&args),
        Command::Run(args) => commands::run_one(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", exit::line(&error));
            ExitCode::from(exit::code(&error))
        }
    }
}
