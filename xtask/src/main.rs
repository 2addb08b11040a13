//! `cargo xtask COMMAND`: builds the `finetune` command with what the job needs, and runs it.
//!
//! It stays thin: no Burn, no logic of the product. What a person without a checkout needs is in
//! `finetune`.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Commands that are the `finetune` command's own.
const PASSED_ON: [&str; 9] = [
    "compare", "train", "evaluate", "predict", "merge", "export", "inspect", "data", "pretrain",
];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|command| command.to_str()) {
        Some(command) if PASSED_ON.contains(&command) => finetune(&args),
        Some("bench") => bench(&args[1..]),
        Some("--help" | "-h" | "help") | None => {
            say(std::io::stdout(), &help());
            ExitCode::SUCCESS
        }
        Some(other) => {
            let text = format!("error: there is no command `{other}`\n\n{}", help());
            say(std::io::stderr(), &text);
            ExitCode::from(2)
        }
    }
}

/// Nobody may be listening any more: `println!` would panic.
fn say(mut to: impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}

fn help() -> String {
    format!(
        "cargo xtask COMMAND [ARGS]: build `finetune` and run it\n\ncommands: {}\n\
         bench: measure speed and memory beside PyTorch and HF PEFT\n\
         `cargo xtask COMMAND --help` tells a command's arguments",
        PASSED_ON.join(", ")
    )
}

/// Builds `finetune`, with the GPU backend where the device asks for it, and runs it.
fn finetune(args: &[OsString]) -> ExitCode {
    let mut features = Vec::new();
    if wants_gpu(args) {
        features.push("finetune-cli/wgpu");
    }
    if wants_hub(args) {
        features.push("finetune-cli/hub");
    }
    build_and_run(&["finetune"], &features, args)
}

/// Builds the bench and the command that it measures, and runs it.
fn bench(args: &[OsString]) -> ExitCode {
    build_and_run(&["finetune-bench", "finetune"], &[], args)
}

/// Builds programs and runs the first of them.
fn build_and_run(programs: &[&str], features: &[&str], args: &[OsString]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace's features, so that this build is the one `cargo test` uses as well.
    let mut build = Command::new(&cargo);
    build.args(["build", "--quiet", "--workspace"]);
    for program in programs {
        build.args(["--bin", program]);
    }
    for feature in features {
        build.args(["--features", feature]);
    }
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        Into::into,
    );
    let program =
        folder
            .join("debug")
            .join(format!("{}{}", programs[0], std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let text = format!(
            "building {} for the first time: about ten minutes on two cores",
            programs[0]
        );
        say(std::io::stderr(), &text);
    }
    if !build.status().is_ok_and(|status| status.success()) {
        say(
            std::io::stderr(),
            &format!("error: building {} failed", programs[0]),
        );
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

/// Whether `--device gpu` or `--device wgpu` is among the arguments.
fn wants_gpu(args: &[OsString]) -> bool {
    let is_gpu = |name: &str| matches!(name, "gpu" | "wgpu");
    args.iter().enumerate().any(|(i, arg)| match arg.to_str() {
        Some("--device") => args
            .get(i + 1)
            .and_then(|name| name.to_str())
            .is_some_and(is_gpu),
        Some(arg) => arg.strip_prefix("--device=").is_some_and(is_gpu),
        None => false,
    })
}

/// Whether weights are named that are on the Hugging Face Hub.
fn wants_hub(args: &[OsString]) -> bool {
    args.iter()
        .filter_map(|arg| arg.to_str())
        .any(|arg| arg.starts_with("hf:") || arg.starts_with("--weights=hf:"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nobody_needs_to_listen() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        say(writer, &help());
    }

    #[test]
    fn the_gpu_backend_is_built_only_where_it_is_asked_for() {
        let wants =
            |line: &str| wants_gpu(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(wants("compare --device gpu") && wants("train --device=wgpu --epochs 1"));
        let hub = |line: &str| wants_hub(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(hub("train --weights hf:a/b") && hub("train --weights=hf:a/b"));
        assert!(!hub("train --weights half:a"));
        assert!(!wants("compare") && !wants("train --device cpu") && !wants("train --out gpu"));
    }
}
