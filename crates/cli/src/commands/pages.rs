//! `completions` and `man`: what a shell and `man` know about the command, made from its own definition.

use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use finetune::evaluation::{bytes, write_atomically};

use crate::flags::{Cli, CompletionsArgs, ManArgs};
use crate::terminal::output::say;

/// `finetune completions`.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "finetune", &mut script);
    say(String::from_utf8(script)?.trim_end())
}

/// `finetune man`.
///
/// # Errors
///
/// A page cannot be written.
pub fn man(args: &ManArgs) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.out else {
        return say(page(&command)?.trim_end());
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let mut pages = 0;
    let size = write(&command, folder, &mut pages)?;
    say(&format!(
        "{pages} pages in {} ({}); read one with `man {}`",
        folder.display(),
        bytes(size),
        folder.join("finetune.1").display()
    ))
}

/// Writes the page of a command, and those of its own commands; returns their size.
fn write(command: &Command, folder: &Path, pages: &mut usize) -> Result<u64> {
    let text = page(command)?;
    let name = command.get_display_name().unwrap_or(command.get_name());
    write_atomically(&folder.join(format!("{name}.1")), text.as_bytes())?;
    *pages += 1;
    let mut size = text.len() as u64;
    let visible = |one: &&Command| !one.is_hide_set() && one.get_name() != "help";
    for one in command.get_subcommands().filter(visible) {
        size += write(one, folder, pages)?;
    }
    Ok(size)
}

fn page(command: &Command) -> Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
