//! The `finetune` command: flags become runs of the library, and their outcome becomes text and an
//! exit code.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod commands;
pub mod flags;
pub mod terminal;

use std::process::ExitCode;

use clap::Parser;
use finetune::machine::memory::keep_large_buffers;

use terminal::interrupt::Role;
use terminal::{exit, interrupt, output, process};

/// The `finetune` command: parse, call one function per command, turn its outcome into an exit code.
#[must_use]
pub fn command() -> ExitCode {
    use flags::{Cli, Command};

    keep_large_buffers();
    let typed = match flags::file::expand(std::env::args_os().collect()) {
        Ok(typed) => typed,
        Err(error) => return failed(&error),
    };
    let Cli { command, said } = match Cli::try_parse_from(typed) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    said.verbosity().choose();
    match &command {
        Command::Compare(_) | Command::Train(_) => interrupt::listen(Role::Command),
        Command::Pretrain(args) if !args.part => interrupt::listen(Role::Command),
        Command::Pretrain(_) | Command::Run(_) => {
            process::obey_parent(interrupt::request);
            interrupt::listen(Role::Part);
        }
        // They save nothing that could be half done: a signal ends them at once.
        _ => {}
    }
    let outcome = match command {
        Command::Compare(args) => commands::compare(&args.0),
        Command::Train(args) => commands::train(&args.0),
        Command::Evaluate(args) => commands::evaluate(&args),
        Command::Predict(args) => commands::predict(&args),
        Command::Merge(args) => commands::merge(&args),
        Command::Export(args) => commands::export(&args),
        Command::Inspect(args) => commands::inspect(&args.0),
        Command::Models(args) => commands::models(&args),
        Command::Data(args) => commands::data(&args),
        Command::Pretrain(args) => commands::pretrain(&args),
        Command::Init(args) => commands::init(&args),
        Command::Doctor(args) => commands::doctor(&args),
        Command::Cache(args) => commands::cache(&args),
        Command::Completions(args) => commands::completions(&args),
        Command::Man(args) => commands::man(&args),
        Command::Runs(args) => commands::runs(&args),
        Command::Report(args) => commands::report(&args),
        Command::Run(args) => commands::run_one(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<exit::Reported>() => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

/// Shows help, the version, or what is wrong with the arguments. If that quotes characters that do not
/// print, they are escaped, and there are no colours.
fn not_parsed(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let prints = |line: &str| finetune_files::visible(line) == line;
    if !error.use_stderr() || text.lines().all(prints) {
        let _ = error.print();
    } else {
        for line in text.lines() {
            output::alert(line);
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    output::alert(&format!("error: {}", exit::line(error)));
    ExitCode::from(interrupt::code().unwrap_or_else(|| exit::code(error)))
}
