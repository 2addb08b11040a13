//! `cache`: what is kept on this machine, how large it is, and removing it.

use anyhow::{Result, bail};
use finetune::evaluation::bytes;
use finetune::machine::kept::{Kept, Part, kept};
use serde::Serialize;

use crate::flags::{CacheArgs, CacheCommand, CleanArgs};
use crate::terminal::output::{note, say, say_json};

/// `finetune cache`.
///
/// # Errors
///
/// There is no cache folder, or something cannot be removed; the rest is removed first.
pub fn cache(args: &CacheArgs) -> Result<()> {
    let all = kept()?;
    match &args.command {
        Some(CacheCommand::Clean(clean_args)) => {
            let json = args.printed.json || clean_args.printed.json;
            clean(&all, clean_args, json)
        }
        None => list(&all, args.printed.json),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    bytes: u64,
    parts: Vec<Listed>,
    kept: &'a [Kept],
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    description: &'static str,
    folder: std::path::PathBuf,
    bytes: u64,
}

fn sum<'a>(kept: impl IntoIterator<Item = &'a Kept>) -> u64 {
    kept.into_iter().map(|one| one.bytes).sum()
}

fn list(all: &[Kept], json: bool) -> Result<()> {
    let of = |part: Part| all.iter().filter(move |one| one.part == part);
    if json {
        let parts = Part::ALL.into_iter().map(|part| {
            Ok(Listed {
                name: part.name(),
                description: part.description(),
                folder: part.folder()?,
                bytes: sum(of(part)),
            })
        });
        return say_json(&Document {
            bytes: sum(all),
            parts: parts.collect::<Result<_>>()?,
            kept: all,
        });
    }
    for part in Part::ALL {
        say(&format!(
            "{:<7} {:>9}  {}\n{:19}{}",
            part.name(),
            bytes(sum(of(part))),
            part.description(),
            "",
            part.folder()?.display()
        ))?;
        for one in of(part) {
            say(&format!("{:8}{:>9}    {}", "", bytes(one.bytes), one.name))?;
        }
    }
    say(&format!(
        "{:<7} {:>9}  `finetune cache clean` says what it would remove",
        "all",
        bytes(sum(all))
    ))
}

#[derive(Serialize)]
struct Cleaned {
    removed: bool,
    bytes: u64,
    kept: Vec<Kept>,
    in_use: Vec<Kept>,
}

fn clean(all: &[Kept], args: &CleanArgs, json: bool) -> Result<()> {
    let mut parts: Vec<Part> = args.parts.iter().map(|part| part.part()).collect();
    if parts.is_empty() {
        parts = Part::ALL
            .into_iter()
            .filter(|part| part.comes_back())
            .collect();
    }
    let chosen: Vec<&Kept> = all.iter().filter(|one| parts.contains(&one.part)).collect();
    let (mut gone, mut in_use, mut failed) = (Vec::new(), Vec::new(), 0);
    for one in chosen {
        if !args.yes {
            gone.push(one.clone());
            continue;
        }
        match one.remove() {
            Ok(true) => gone.push(one.clone()),
            Ok(false) => in_use.push(one.clone()),
            Err(error) => {
                failed += 1;
                note(&finetune::error::one_line(&error));
            }
        }
    }
    let freed = sum(&gone);
    if json {
        say_json(&Cleaned {
            removed: args.yes,
            bytes: freed,
            kept: gone,
            in_use,
        })?;
    } else {
        let verb = if args.yes { "removed" } else { "would remove" };
        for one in &gone {
            let part = one.part.name();
            say(&format!(
                "{verb} {part} {} ({})",
                one.name,
                bytes(one.bytes)
            ))?;
        }
        for one in &in_use {
            say(&format!("in use, stays: {} {}", one.part.name(), one.name))?;
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
        let names = names.join(", ");
        say(&match (args.yes, gone.len()) {
            (true, _) => format!("{} freed", bytes(freed)),
            (false, 0) => format!("nothing to remove in: {names}"),
            (false, _) => format!("{} would be freed; remove it with --yes", bytes(freed)),
        })?;
    }
    if failed > 0 {
        bail!("{failed} of the files could not be removed");
    }
    Ok(())
}
