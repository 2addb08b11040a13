//! The `finetune` command, as it is.

fn main() -> std::process::ExitCode {
    finetune_cli::command()
}
