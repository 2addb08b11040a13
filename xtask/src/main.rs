//! `cargo xtask COMMAND`: builds the `finetune` command with the cargo features that the arguments
//! need, and runs it.
//!
//! Every command is passed on, except `bench`. There is no logic of the product here: what works
//! without a checkout belongs into `finetune`.

mod cargo;

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, ExitCode};

/// What a first build takes: 17 to 23 minutes of CPU time, as measured, on two cores of two kinds.
const FIRST_BUILD: &str = "9 to 16 minutes on two cores";

/// Flags whose value decides about a cargo feature, the values that need it, and the feature.
const FEATURES: [(&str, &[&str], &str); 3] = [
    ("--device", &["gpu", "wgpu"], "finetune-cli/wgpu"),
    ("--device", &["ndarray"], "finetune-cli/ndarray"),
    ("--ui", &["tui"], "finetune-cli/tui"),
];

/// The feature for files on the Hugging Face Hub, and how their names begin.
const HUB: ([&str; 2], &str) = (["hf:", "timm:"], "finetune-cli/hub");

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|command| command.to_str()) {
        Some("--help" | "-h") | None => {
            say(std::io::stdout(), USAGE);
            ExitCode::SUCCESS
        }
        // The bench measures the command as well, which is built with it.
        Some("bench") => build_and_run(&["finetune-bench", "finetune"], &[], &args[1..]),
        Some(_) => build_and_run(&["finetune"], &features(&args), &args),
    }
}

const USAGE: &str = "\
cargo xtask COMMAND [ARGS]: build `finetune` and run `finetune COMMAND [ARGS]`

`cargo xtask help` lists the commands, `cargo xtask COMMAND --help` the arguments of one.
`cargo xtask bench` measures speed and memory beside PyTorch and HF PEFT.";

/// Writes a line. Unlike `println!`, it does not panic if the reader has gone.
fn say(mut to: impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}

/// The cargo features that the arguments need.
fn features(args: &[OsString]) -> Vec<&'static str> {
    let args: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let value_of = |flag: &str, at: usize| match args[at].strip_prefix(flag) {
        Some("") => args.get(at + 1).copied(),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    };
    let mut features: Vec<&str> = FEATURES
        .into_iter()
        .filter(|(flag, values, _)| {
            let mut given = (0..args.len()).filter_map(|at| value_of(flag, at));
            given.any(|value| values.contains(&value))
        })
        .map(|(_, _, feature)| feature)
        .collect();
    let (prefixes, feature) = HUB;
    let names_hub_file = |arg: &&str| {
        arg.rsplit('=')
            .next()
            .is_some_and(|it| prefixes.iter().any(|prefix| it.starts_with(prefix)))
    };
    if args.iter().any(names_hub_file) {
        features.push(feature);
    }
    features
}

/// Builds programs and runs the first of them.
fn build_and_run(programs: &[&str], features: &[&str], args: &[OsString]) -> ExitCode {
    let program = cargo::program(programs[0]);
    if !program.exists() {
        let text = format!("building {} for the first time: {FIRST_BUILD}", programs[0]);
        say(std::io::stderr(), &text);
    }
    if !cargo::build(programs, features) {
        let text = format!("error: building {} failed", programs[0]);
        say(std::io::stderr(), &text);
        return ExitCode::FAILURE;
    }
    match Command::new(&program).args(args).status() {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(1))
        }
        Err(error) => {
            let text = format!("error: cannot start {}: {error}", program.display());
            say(std::io::stderr(), &text);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_panic() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        say(writer, USAGE);
    }

    #[test]
    fn features_are_built_only_if_an_argument_needs_them() {
        let features =
            |line: &str| features(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(features("compare --device gpu"), ["finetune-cli/wgpu"]);
        assert_eq!(features("train --device=wgpu -q"), ["finetune-cli/wgpu"]);
        assert_eq!(features("x --device ndarray"), ["finetune-cli/ndarray"]);
        assert_eq!(features("train --ui tui"), ["finetune-cli/tui"]);
        assert_eq!(features("train --weights hf:a/b"), ["finetune-cli/hub"]);
        assert_eq!(features("train --weights=hf:a/b"), ["finetune-cli/hub"]);
        assert_eq!(features("train --weights timm:a"), ["finetune-cli/hub"]);
        for none in [
            "compare",
            "train --device cpu",
            "train --out gpu",
            "train --weights half:a",
            "train --device",
        ] {
            assert!(features(none).is_empty(), "{none}");
        }
    }
}
