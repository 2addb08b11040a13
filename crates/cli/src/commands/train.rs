//! `train` and `compare`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use finetune::Comparison;
use finetune::config::RunConfig;
use finetune::evaluation::{Report, finding, left_out, summarize, table};
use finetune::folder::Plan;

use super::launcher::Processes;
use crate::flags::resume::Typed;
use crate::flags::{Common, CompareArgs, TrainArgs};
use crate::terminal::notes::Notes;
use crate::terminal::output::{note, say};
use crate::terminal::process;

/// `finetune compare`; `typed` are the flags as typed, for `--resume`.
///
/// # Errors
///
/// A wrong call, or a run failed; the report of the others is written first.
pub fn compare(args: &CompareArgs, typed: Option<&Typed>) -> Result<()> {
    start("compare", &args.common, typed, || {
        let mut runs = Vec::new();
        for seed in args.common.seed..args.common.seed + args.seeds.max(1) {
            for (index, method) in args.methods.iter().enumerate() {
                if !args.methods[..index].contains(method) {
                    runs.push(args.common.resolve(method, seed)?);
                }
            }
        }
        Ok(runs)
    })
}

/// `finetune train`; `typed` are the flags as typed, for `--resume`.
///
/// # Errors
///
/// A wrong call, or the run failed.
pub fn train(args: &TrainArgs, typed: Option<&Typed>) -> Result<()> {
    start("train", &args.common, typed, || {
        Ok(vec![args.common.resolve(&args.method, args.common.seed)?])
    })
}

/// Resumes runs, repeats those of a file, or starts those that were asked for.
fn start(
    command: &str,
    common: &Common,
    typed: Option<&Typed>,
    runs: impl FnOnce() -> Result<Vec<RunConfig>>,
) -> Result<()> {
    if let Some(folder) = &common.resume {
        let mut comparison = Comparison::resume(folder)?;
        if let Some(typed) = typed {
            typed.check(comparison.plan(), folder)?;
            for run in comparison.left_mut() {
                typed.honour(run)?;
            }
        }
        return finish(comparison, folder, common);
    }
    let runs = match &common.config {
        Some(file) => Plan::read_file(file)?.runs,
        None => runs()?,
    };
    let out = common.out.clone().unwrap_or_else(|| new_folder(command));
    finish(Comparison::new(&out, runs), &out, common)
}

/// `runs/TIME-COMMAND`.
fn new_folder(command: &str) -> PathBuf {
    let time = jiff::ZonedDateTime::now();
    Path::new("runs").join(format!("{}-{command}", time.strftime("%Y-%m-%d-%H%M%S")))
}

/// Does the runs and shows their results.
fn finish(comparison: Comparison, folder: &Path, common: &Common) -> Result<()> {
    let command: Vec<String> = std::env::args().collect();
    let report = comparison
        .command(command.join(" "))
        .started(process::started())
        .run(&mut Processes::new(common.ui())?, &mut Notes)?;
    show(&report, common.json)?;
    note(&format!("results: {}", folder.display()));
    match report.failed.as_slice() {
        [] if report.interrupted => bail!(
            "stopped; the finished part is in {0}; `--resume {0}` continues",
            folder.display()
        ),
        [] => Ok(()),
        [first, ..] => {
            let methods = report.failed.iter();
            let methods: Vec<_> = methods.map(|failure| failure.method.as_str()).collect();
            bail!("{} failed: {}", methods.join(", "), first.error)
        }
    }
}

fn show(report: &Report, json: bool) -> Result<()> {
    if json {
        return say(&report.to_json()?);
    }
    if report.runs.is_empty() {
        return Ok(());
    }
    say(&format!(
        "{}\n\n{}",
        table(report),
        finding(&summarize(report))
    ))?;
    match left_out(&report.dataset) {
        Some(sentence) => say(&sentence),
        None => Ok(()),
    }
}
