//! `compare --claims`: the same methods on training sets of several sizes, and what that says about common
//! claims.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use finetune::Comparison;
use finetune::comparison::Part;
use finetune::config::RunConfig;
use finetune::evaluation::claims::{claims_page, judge};
use finetune::evaluation::{Report, write_atomically};

use super::asked::{command, configured, new_folder};
use super::launcher::Processes;
use crate::flags::{Process, Typed};
use crate::terminal::exit::Usage;
use crate::terminal::notes::Notes;
use crate::terminal::output::{note, say, say_json};

/// Images per class, besides all that there are.
const SIZES: [usize; 4] = [10, 25, 50, 100];

/// Seeds if none are asked for: the range of five numbers contains their median with 94 %.
const SEEDS: u64 = 5;

/// Compares on all images and on fewer of them, and judges the claims. What the folder has already is not
/// done again.
pub(super) fn measure(typed: &Typed, process: &Process) -> Result<()> {
    for (given, flag) in [
        (process.config.is_some(), "--config"),
        (process.dry_run, "--dry-run"),
    ] {
        if given {
            bail!(Usage(format!(
                "--claims does several comparisons, and {flag} is about one; leave one of them out"
            )));
        }
    }
    let runs = typed.runs_of(SEEDS)?;
    let limited = runs.iter().any(|run| run.data.train_per_class.is_some());
    for (given, flag) in [
        (limited, "--train-per-class"),
        (process.few.is_some(), "--few"),
    ] {
        if given {
            bail!(Usage(format!(
                "--claims takes training sets of several sizes; leave out {flag}"
            )));
        }
    }
    let out = process.out.clone().unwrap_or_else(|| new_folder("claims"));
    let mut reports = vec![part(&out, None, &runs, process)?];
    let found = reports[0].runs.iter();
    let most = found.filter_map(|run| run.train_per_class_found).max();
    for images in SIZES.into_iter().rev() {
        if most.is_some_and(|most| images < most) {
            reports.push(part(&out, Some(images), &runs, process)?);
        }
    }
    let page = claims_page(&reports);
    write_atomically(&out.join("claims.md"), page.as_bytes())?;
    if process.json {
        say_json(&judge(&reports))?;
    } else {
        say(page.trim_end())?;
    }
    note(&format!("results: {}", out.display()));
    Ok(())
}

/// The comparison on so many images per class, which may have been done or begun before.
fn part(
    out: &Path,
    images: Option<usize>,
    runs: &[RunConfig],
    process: &Process,
) -> Result<Report> {
    let name = images.map_or_else(|| "all".to_owned(), |images| format!("{images:03}"));
    let folder: PathBuf = out.join(name);
    let mut runs = runs.to_vec();
    for run in &mut runs {
        run.data.train_per_class = images;
    }
    let comparison = if process.force {
        Comparison::new(&folder, runs).replace(true)
    } else {
        match Comparison::part(&folder, runs)? {
            Part::Left(comparison) => *comparison,
            Part::Done(report) => {
                note(&format!("{} was finished before", folder.display()));
                return Ok(*report);
            }
        }
    };
    let ui = process.ui()?;
    let comparison = configured(comparison, process)?.command(command());
    let report = comparison.run(&mut Processes::new(ui, 1)?, &mut Notes::new(ui, &folder))?;
    if report.interrupted {
        bail!(
            "stopped; the same command with --out {} continues",
            out.display()
        );
    }
    if let [first, ..] = report.failed.as_slice() {
        bail!("{} failed: {}", first.method, first.error);
    }
    Ok(report)
}
