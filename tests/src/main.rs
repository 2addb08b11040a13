//! The `finetune` command, as it is.

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: finetune::kernels::allocator::Keeping =
    finetune::kernels::allocator::Keeping::new();

fn main() -> std::process::ExitCode {
    finetune::command()
}
