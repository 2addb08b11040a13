//! `train` and `compare`.

use std::path::Path;

use anyhow::{Result, bail};
use finetune::Comparison;
use finetune::comparison::{Forecast, together};
use finetune::evaluation::format::{bytes as size, seconds};
use finetune::evaluation::{
    Failure, Report, fewer_images, finding, left_out, measured, recommendation, summarize, table,
    table_within,
};
use finetune::folder::{Plan, absolute};
use finetune::machine::health::BURN;
use finetune::machine::instruction_set;
use finetune::weights::locate;

use super::asked::{command, configured, few_by_default, new_folder, with_few};
use super::claims;
use super::jobs::at_once;
use super::launcher::Processes;
use crate::flags::{Process, Task, Typed};
use crate::terminal::notes::Notes;
use crate::terminal::output::{detail, note, say, say_document, say_json};
use crate::terminal::width;

/// `finetune compare`.
///
/// # Errors
///
/// A wrong call, or a run failed; the report of the others is written first.
pub fn compare(typed: &Typed) -> Result<()> {
    start("compare", typed)
}

/// `finetune train`.
///
/// # Errors
///
/// A wrong call, or the run failed.
pub fn train(typed: &Typed) -> Result<()> {
    start("train", typed)
}

/// Resumes runs, repeats those of a file, or starts those that were asked for.
fn start(command: &str, typed: &Typed) -> Result<()> {
    let process = typed.process();
    at_once(&process)?;
    if process.claims {
        return claims::measure(typed, &process);
    }
    if let Some(folder) = &process.resume {
        let mut comparison = Comparison::resume(folder)?;
        typed.check(comparison.plan(), folder)?;
        if let Some(weights) = typed.base().weights {
            comparison.move_weights(&absolute(&locate(&weights, None)?)?)?;
        }
        for run in comparison.left_mut() {
            typed.honour(run)?;
        }
        return finish(comparison, folder, &process);
    }
    let out = process.out.clone().unwrap_or_else(|| new_folder(command));
    let comparison = if let Some(file) = &process.config {
        Comparison::repeat(&out, Plan::read_file(file)?)
    } else {
        let runs = typed.runs()?;
        let few = (typed.task() == Task::Compare).then(|| few_by_default(&process, &runs));
        Comparison::new(&out, runs).few(few.flatten())
    };
    let comparison = with_few(comparison, &process)?.replace(process.force);
    finish(comparison, &out, &process)
}

/// Does the runs and shows their results.
fn finish(comparison: Comparison, folder: &Path, process: &Process) -> Result<()> {
    let ui = process.ui()?;
    describe();
    let (mut launcher, mut notes) = (
        Processes::new(ui, at_once(process)?)?,
        Notes::new(ui, folder),
    );
    let comparison = configured(comparison, process)?;
    if process.dry_run {
        return say_forecasts(
            &comparison.forecast(&mut launcher, &mut notes)?,
            process.json,
        );
    }
    let report = comparison
        .command(command())
        .run(&mut launcher, &mut notes)?;
    show(&report, process.json)?;
    if folder.exists() {
        note(&format!("results: {}", folder.display()));
    }
    if let Some(few) = report.few.as_ref().filter(|few| !few.failed.is_empty())
        && report.failed.is_empty()
    {
        let failed = failed(&few.failed);
        bail!("with {} images per class, {failed}", few.per_class);
    }
    match report.failed.as_slice() {
        [] if report.is_interrupted() => bail!(
            "stopped; the finished part is in {0}; `--resume {0}` continues",
            folder.display()
        ),
        [] => Ok(()),
        all => bail!(failed(all)),
    }
}

/// Says what was typed, and what does it, with `--verbose` and in the log.
fn describe() {
    detail(&format!("command: {}", command()));
    detail(&format!(
        "finetune {}, Burn {BURN}, {} kernels",
        env!("CARGO_PKG_VERSION"),
        instruction_set()
    ));
}

/// Which methods failed, and why the first one did.
fn failed(failures: &[Failure]) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for failure in failures {
        if !methods.contains(&failure.method.as_str()) {
            methods.push(&failure.method);
        }
    }
    let reason = failures.first().map_or("", |first| first.error.as_str());
    format!("{} failed: {reason}", methods.join(", "))
}

/// Says how long runs would take and how much memory they need.
#[allow(clippy::cast_precision_loss)]
fn say_forecasts(forecasts: &[Forecast], json: bool) -> Result<()> {
    if json {
        return say_json(&forecasts);
    }
    let mut images = forecasts.first().and_then(|first| first.train_per_class);
    for forecast in forecasts {
        if forecast.train_per_class != images
            && let Some(fewer) = forecast.train_per_class
        {
            images = Some(fewer);
            say(&format!("with {fewer} images per class:"))?;
        }
        let all = forecast.seconds * forecast.runs as f64;
        let runs = match forecast.runs {
            1 => String::new(),
            runs => format!(" ({runs} runs of {})", seconds(forecast.seconds)),
        };
        let memory = forecast.peak_memory_bytes;
        let memory =
            memory.map_or_else(String::new, |bytes| format!(", {} of memory", size(bytes)));
        say(&format!(
            "{:>10}: about {}{runs}{memory}",
            forecast.method,
            seconds(all)
        ))?;
    }
    let at_once = forecasts.iter().map(|forecast| forecast.at_once).max();
    let side_by_side = match at_once {
        Some(runs) if runs > 1 => {
            let memory = memory_together(forecasts, runs);
            let memory = memory.map(|bytes| format!(", up to {} of memory", size(bytes)));
            format!(", {runs} runs at a time{}", memory.unwrap_or_default())
        }
        _ => String::new(),
    };
    say(&format!(
        "{:>10}: about {}{side_by_side}",
        "together",
        seconds(together(forecasts))
    ))
}

/// The memory of the runs that need the most, of which so many are done at the same time.
fn memory_together(forecasts: &[Forecast], at_once: usize) -> Option<u64> {
    let runs = forecasts.iter();
    let runs = runs.flat_map(|one| std::iter::repeat_n(one.peak_memory_bytes, one.runs));
    let mut bytes: Vec<u64> = runs.collect::<Option<_>>()?;
    bytes.sort_unstable_by_key(|bytes| std::cmp::Reverse(*bytes));
    Some(bytes.iter().take(at_once).sum())
}

/// The results as a table, what to take, and what was found.
pub(super) fn results(report: &Report) -> String {
    let summaries = summarize(report);
    let table = match width::of_stdout() {
        Some(width) => table_within(report, width),
        None => table(report),
    };
    let recommended = recommendation(&summaries, report.prefer);
    let few = fewer_images(report, width::of_stdout());
    let parts = [
        Some(table),
        measured(&summaries),
        recommended,
        Some(finding(&summaries)),
        few,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn show(report: &Report, json: bool) -> Result<()> {
    if json {
        return say_document(&report.to_json()?);
    }
    if report.runs.is_empty() {
        return Ok(());
    }
    say(&results(report))?;
    match left_out(&report.dataset) {
        Some(sentence) => say(&sentence),
        None => Ok(()),
    }
}
