//! `runs`: what has been trained; `report`: the results of finished runs once more, side by side.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use finetune::error::one_line;
use finetune::evaluation::format::tenths;
use finetune::evaluation::{Report, Summary, html, summarize, summarize_runs, write_atomically};
use finetune::folder::{Plan, RunFolder, write_pages};
use finetune_files::{quoted_path, shortened, visible};
use serde::Serialize;

use super::train::results;
use crate::flags::{ReportArgs, RunsArgs};
use crate::terminal::exit::Usage;
use crate::terminal::output::{note, say, say_document, say_json};

/// Characters of a path that are listed.
const PATH: usize = 40;

#[derive(Serialize)]
struct Listed {
    folder: PathBuf,
    model: String,
    data: String,
    /// `finished`, `stopped` or `failed`.
    state: &'static str,
    methods: Vec<Method>,
    /// The same with fewer images.
    #[serde(skip_serializing_if = "Option::is_none")]
    few: Option<ListedFew>,
}

#[derive(Serialize)]
struct ListedFew {
    per_class: usize,
    methods: Vec<Method>,
}

#[derive(Serialize)]
struct Method {
    name: String,
    seeds: usize,
    accuracy: f64,
}

/// `finetune runs`.
///
/// # Errors
///
/// The folder cannot be read.
pub fn runs(args: &RunsArgs) -> Result<()> {
    let mut listed = Vec::new();
    for folder in folders(&args.folder)? {
        match Report::read(&RunFolder::new(&folder, false).report()) {
            Ok(report) => listed.push(of(folder, &report)),
            Err(error) => note(&format!("left out: {}", one_line(&error))),
        }
    }
    if args.printed.json {
        return say_json(&listed);
    }
    if listed.is_empty() {
        let folder = quoted_path(&args.folder);
        return say(&format!("no finished runs in {folder}"));
    }
    for run in &listed {
        let state = match run.state {
            "finished" => String::new(),
            other => format!(" ({other})"),
        };
        say(&format!(
            "{}{state}\n    {} on {}: {}",
            visible(&run.folder.display().to_string()),
            run.model,
            shortened(&run.data, PATH),
            listed_methods(&run.methods)
        ))?;
        if let Some(few) = &run.few {
            say(&format!(
                "    with {} images per class: {}",
                few.per_class,
                listed_methods(&few.methods)
            ))?;
        }
    }
    Ok(())
}

fn listed_methods(methods: &[Method]) -> String {
    let methods: Vec<String> = methods.iter().map(Method::line).collect();
    methods.join(", ")
}

impl Method {
    fn line(&self) -> String {
        let seeds = match self.seeds {
            1 => String::new(),
            seeds => format!(" ({seeds} seeds)"),
        };
        format!("{} {}{seeds}", self.name, tenths(self.accuracy))
    }
}

fn of(folder: PathBuf, report: &Report) -> Listed {
    let method = |summary: &Summary| Method {
        name: summary.method.clone(),
        seeds: summary.seeds,
        accuracy: summary.accuracy.mean,
    };
    Listed {
        folder,
        model: report.model.clone(),
        data: report.dataset.path.clone(),
        state: if report.failures().next().is_some() {
            "failed"
        } else if report.is_interrupted() {
            "stopped"
        } else {
            "finished"
        },
        methods: summarize(report).iter().map(method).collect(),
        few: report.few.as_ref().map(|few| ListedFew {
            per_class: few.per_class,
            methods: summarize_runs(&few.runs).iter().map(method).collect(),
        }),
    }
}

/// The folders in a folder that have a report, and the folder itself if it has one, by name.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot read the folder {}", quoted_path(folder));
    let mut folders = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        folders.push(entry.with_context(failed)?.path());
    }
    folders.retain(|folder| RunFolder::new(folder, false).report().is_file());
    folders.sort();
    Ok(folders)
}

/// `finetune report`.
///
/// # Errors
///
/// A folder holds no report, or the page cannot be written.
pub fn report(args: &ReportArgs) -> Result<()> {
    let mut reports = Vec::new();
    for folder in &args.folders {
        let file = RunFolder::new(folder, false).report();
        if !file.is_file() {
            bail!(Usage(format!(
                "{} holds no finished run: it has no report.json",
                quoted_path(folder)
            )));
        }
        reports.push((name(folder, &args.folders), Report::read(&file)?));
    }
    let same = same_tests(&args.folders, &reports);
    if !same {
        note(
            "the reports are about different test images: their accuracies cannot be compared image by \
             image",
        );
    }
    let Some(mut all) = Report::beside(reports, same) else {
        return Ok(());
    };
    all.prefer = args.prefer.unwrap_or(all.prefer);
    if let Some(out) = &args.out {
        write(&all, out)?;
    }
    if args.printed.json {
        return say_document(&all.to_json()?);
    }
    say(&results(&all))
}

/// Writes a report as a page if that is what the path names, otherwise as a folder of page, Markdown and
/// pictures.
fn write(report: &Report, out: &Path) -> Result<()> {
    let is_page = |ending: &OsStr| ending.eq_ignore_ascii_case("html");
    if out.extension().is_some_and(is_page) {
        return Ok(write_atomically(out, html(report)?.as_bytes())?);
    }
    let folder = RunFolder::new(out, false);
    if out.exists() && !out.is_dir() {
        bail!(Usage(format!(
            "--out {} is a file; name a folder, or a page that ends in .html",
            quoted_path(out)
        )));
    }
    if folder.report().exists() {
        bail!(Usage(format!(
            "--out {} is the folder of a run, whose own report would be lost; name another one",
            quoted_path(out)
        )));
    }
    Ok(write_pages(report, &folder)?)
}

/// The name of a report among others: that of its folder, or its path if another one has that name.
fn name(folder: &Path, all: &[PathBuf]) -> String {
    let short = |folder: &Path| folder.file_name().map(ToOwned::to_owned);
    let alike = all.iter().filter(|other| short(other) == short(folder));
    match short(folder) {
        Some(name) if alike.count() == 1 => name.to_string_lossy().into_owned(),
        _ => folder.display().to_string(),
    }
}

/// Whether reports are about the same test images: by what their plans say of them, or, if one says
/// nothing, by the data set's path and the number of images.
fn same_tests(folders: &[PathBuf], reports: &[(String, Report)]) -> bool {
    let test = |folder: &PathBuf| {
        let plan = Plan::read_file(&RunFolder::new(folder, false).config()).ok()?;
        let data = plan.inputs.data?;
        let part = data.parts.into_iter().find(|part| part.name == "test")?;
        Some((data.classes, part))
    };
    let known: Option<Vec<_>> = folders.iter().map(test).collect();
    if let Some(known) = known {
        return known.windows(2).all(|pair| pair[0] == pair[1]);
    }
    reports.windows(2).all(|pair| {
        let [a, b] = [&pair[0].1.dataset, &pair[1].1.dataset];
        (&a.path, &a.classes, a.test) == (&b.path, &b.classes, b.test)
    })
}
