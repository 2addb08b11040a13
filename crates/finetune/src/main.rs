//! The `finetune` command.

fn main() -> std::process::ExitCode {
    finetune::command()
}
