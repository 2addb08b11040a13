//! The `finetune` command.

fn main() -> std::process::ExitCode {
    finetune_cli::command()
}
