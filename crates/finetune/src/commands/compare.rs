//! `compare` and `train`: runs, each in a process of its own, so that its peak memory is its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use finetune_evaluation::{
    DatasetInfo, Failure, Report, Run, SkippedImage, VERSION, finding, left_out, summarize, table,
};
use finetune_methods::Importance;
use finetune_model::Network;

use crate::cli::{Common, CompareArgs, RunArgs, TrainArgs};
use crate::config::{Decoded, RunConfig};
use crate::exit::Usage;
use crate::folder::{self, Plan};
use crate::output::{note, say};
use crate::progress::{Progress, Ui};
use crate::resumed::Typed;
use crate::{exit, interrupt, process, run, weights};

/// `finetune compare`; `typed` are the flags as they were typed, for `--resume`.
///
/// # Errors
///
/// A wrong call, or runs that failed; the report of the others is written before.
pub fn compare(args: &CompareArgs, typed: Option<&Typed>) -> Result<()> {
    if let Some(folder) = &args.common.resume {
        return go_on(folder, &args.common, typed);
    }
    if let Some(file) = &args.common.config {
        return execute(Plan::again(file)?, &args.common, "compare");
    }
    let mut runs = Vec::new();
    for seed in args.common.seed..args.common.seed + args.seeds.max(1) {
        for (index, method) in args.methods.iter().enumerate() {
            if !args.methods[..index].contains(method) {
                runs.push(args.common.resolve(method, seed)?);
            }
        }
    }
    execute(runs, &args.common, "compare")
}

/// `finetune train`; `typed` are the flags as they were typed, for `--resume`.
///
/// # Errors
///
/// A wrong call, or a run that failed.
pub fn train(args: &TrainArgs, typed: Option<&Typed>) -> Result<()> {
    if let Some(folder) = &args.common.resume {
        return go_on(folder, &args.common, typed);
    }
    if let Some(file) = &args.common.config {
        return execute(Plan::again(file)?, &args.common, "train");
    }
    let run = args.common.resolve(&args.method, args.common.seed)?;
    execute(vec![run], &args.common, "train")
}

/// One run of a comparison, in this process.
///
/// # Errors
///
/// Whatever keeps the run from being finished.
pub fn run_one(args: &RunArgs) -> Result<()> {
    let Err(error) = one(args) else {
        return Ok(());
    };
    // The command that started this one tells it.
    std::fs::write(args.result.with_extension("error"), exit::line(&error))?;
    bail!(exit::Told)
}

fn one(args: &RunArgs) -> Result<()> {
    let text = std::fs::read_to_string(&args.config).context("cannot read the run's config")?;
    let config: RunConfig = serde_json::from_str(&text)?;
    threads(&config)?;
    let data = config.images()?;
    let mut progress = Progress::new(args.ui, args.title.clone(), config.recipe.epochs);
    let mut result = run::run(&config, &data, &args.out, args.with_seed, &mut progress)?;
    let started = args
        .started
        .map(|started| UNIX_EPOCH + Duration::from_micros(started));
    if let (Some(started), Some(first)) = (started, progress.first_step()) {
        let startup = first.duration_since(started).ok();
        result.startup_seconds = startup.map(|startup| startup.as_secs_f64());
    }
    std::fs::write(&args.result, serde_json::to_vec(&result)?).context("cannot write the result")
}

fn threads(config: &RunConfig) -> Result<()> {
    if let Some(threads) = config.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .with_context(|| format!("cannot compute with {threads} threads"))?;
    }
    Ok(())
}

fn execute(runs: Vec<RunConfig>, common: &Common, command: &str) -> Result<()> {
    let mut plan = Plan::new(runs);
    threads(&plan.runs[0])?;
    let data = check(&plan)?;
    make_missing_weights(&plan, common.ui())?;
    for config in &mut plan.runs {
        pin(config)?;
    }
    let out = folder::create(common.out.as_deref(), command)?;
    let report = empty_report(&plan.runs[0], &data);
    drop(data);
    plan.begin(&out)?;
    finish(&plan, report, &out, common)
}

/// The rest of a run or comparison that was broken off.
fn go_on(folder: &Path, common: &Common, typed: Option<&Typed>) -> Result<()> {
    let mut plan = Plan::read_unfinished(folder)?;
    if let Some(typed) = typed {
        typed.check(&plan, folder)?;
    }
    let mut done = Vec::new();
    if folder.join("report.json").exists() {
        done = Report::read(&folder.join("report.json"))?.runs;
        // What was stopped goes on, what failed is tried again.
        done.retain(|run| !run.settings.contains_key(run::STOPPED));
    }
    let mut left = plan.clone();
    left.runs.clear();
    for run in plan.runs.iter_mut().filter(|run| !is_done(&done, run)) {
        if let Some(typed) = typed {
            typed.honour(run)?;
        }
        left.runs.push(run.clone());
    }
    if left.runs.is_empty() {
        left.runs.clone_from(&plan.runs);
    }
    threads(&left.runs[0])?;
    folder::sweep(folder)?;
    let data = check(&left)?;
    let mut report = empty_report(&left.runs[0], &data);
    drop(data);
    report.runs = done;
    finish(&plan, report, folder, common)
}

/// Whether a run is among finished ones.
fn is_done(runs: &[Run], config: &RunConfig) -> bool {
    let mut runs = runs.iter();
    runs.any(|run| run.method == config.method_name() && run.seed == config.seed)
}

/// Does the runs of a plan that the report lacks.
fn finish(plan: &Plan, mut report: Report, out: &Path, common: &Common) -> Result<()> {
    // The first run's start is the command's.
    let mut started = process::started();
    if !report.runs.is_empty() {
        // Whoever killed it may have come between two files.
        keep(plan, &report, out)?;
    }
    for (index, config) in plan.runs.iter().enumerate() {
        if is_done(&report.runs, config) {
            continue;
        }
        if interrupt::asked() {
            report.interrupted = true;
            break;
        }
        let title = format!(
            "[{}/{}] {}",
            index + 1,
            plan.runs.len(),
            config.method_name()
        );
        let outcome = child(config, plan, out, &title, common.ui(), started);
        started = SystemTime::now();
        match outcome {
            Ok(run) => report.runs.push(run),
            Err(error) => report.failed.push(Failure {
                method: config.method_name().to_owned(),
                seed: config.seed,
                error: format!("{error:#}"),
            }),
        }
        report.interrupted |= interrupt::asked();
        keep(plan, &report, out)?;
    }
    if !report.interrupted && report.failed.is_empty() {
        Plan::finish(out)?;
    }
    if common.json {
        say(&report.to_json()?)?;
    } else if !report.runs.is_empty() {
        say(&format!(
            "{}\n\n{}",
            table(&report),
            finding(&summarize(&report))
        ))?;
        if let Some(sentence) = left_out(&report.dataset) {
            say(&sentence)?;
        }
    }
    note(&format!("results: {}", out.display()));
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|failure| failure.method.clone())
        .collect();
    match failed.as_slice() {
        [] if report.interrupted => bail!(
            "stopped; what was done is in {0}, `--resume {0}` does the rest",
            out.display()
        ),
        [] => Ok(()),
        _ => bail!(
            "{} did not finish: {}",
            failed.join(", "),
            report.failed[0].error
        ),
    }
}

/// Writes what is known so far: the report, and the configuration of the runs that are done.
fn keep(plan: &Plan, report: &Report, out: &Path) -> Result<()> {
    folder::write_report(report, out)?;
    let runs = plan.runs.iter();
    let done = runs.filter(|config| is_done(&report.runs, config));
    Plan {
        runs: done.cloned().collect(),
        ..plan.clone()
    }
    .write(out)
}

/// Finds what is wrong before anything is trained or written.
fn check(plan: &Plan) -> Result<Decoded> {
    let first = &plan.runs[0];
    let data = first.images()?;
    data.tell();
    let chooses = |run: &RunConfig| run.recipe.needs_validation();
    if plan.runs.iter().any(chooses) && data.valid.is_none() {
        bail!(Usage(
            "--patience and --keep best choose by validation images, and there are none; hold some \
             out with --valid-fraction 0.2"
                .to_owned()
        ));
    }
    let device = crate::device::device(&first.device)?;
    let classes = data.train.classes.len();
    crate::device::check_fits(&first.device, &first.architecture()?, classes)?;
    // All runs that start from weights start from the same ones: they are read once.
    let mut loaded = None;
    for config in plan.runs.iter().filter(|run| run.seed == first.seed) {
        if weights::is_made_on_demand(config) && !weights::cached(&config.model)?.is_file() {
            continue;
        }
        let network = match &loaded {
            _ if config.from_scratch => run::base(config, classes, &device)?.0,
            Some(network) => Network::clone(network),
            None => {
                let (network, notes) = run::base(config, classes, &device)?;
                tell(config, &notes);
                loaded.insert(network).clone()
            }
        };
        drop(run::attach(config, network, &Importance::default())?);
    }
    Ok(data)
}

/// What a person should know of the weights; the shipped checkpoint's new head is no news.
fn tell(config: &RunConfig, notes: &[String]) {
    if weights::is_shipped(config) {
        return;
    }
    for text in notes {
        note(&format!("{}: {text}", weights::describe(config)));
    }
}

/// Pretrains the chapter's network where its checkpoint is not in the cache.
fn make_missing_weights(plan: &Plan, ui: Ui) -> Result<()> {
    let Some(config) = plan.runs.iter().find(|run| weights::is_made_on_demand(run)) else {
        return Ok(());
    };
    let path = weights::cached(&config.model)?;
    if path.is_file() {
        return Ok(());
    }
    note(&format!(
        "pretraining `{}` on the hands that show 5–9, once; its weights (about 260 MB) are kept in {}",
        config.model,
        path.display()
    ));
    let status = this_program()?
        .args(["pretrain", "--model", &config.model, "--out"])
        .arg(&path)
        .args(["--ui", ui.name()])
        .status()
        .context("cannot start the pretraining")?;
    if !status.success() {
        bail!("pretraining `{}` did not finish", config.model);
    }
    Ok(())
}

/// Makes a run's configuration mean the same from any folder and at any later time.
fn pin(config: &mut RunConfig) -> Result<()> {
    config.data.path = folder::pinned(std::mem::take(&mut config.data.path))?;
    if !config.from_scratch && config.weights.is_none() && !weights::is_shipped(config) {
        config.weights = Some(weights::cached(&config.model)?);
    }
    if let Some(path) = &config.weights {
        config.weights = Some(folder::absolute(path)?);
    }
    Ok(())
}

fn empty_report(config: &RunConfig, data: &Decoded) -> Report {
    Report {
        version: VERSION,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        dataset: DatasetInfo {
            path: data.name.clone(),
            classes: data.train.classes.clone(),
            train: data.train.len(),
            valid: data.valid.as_ref().map_or(0, finetune_data::Images::len),
            test: data.test.len(),
            skipped: skipped(data),
        },
        model: config.model.clone(),
        weights: weights::describe(config),
        device: config.device.clone(),
        threads: config.threads.unwrap_or_else(rayon::current_num_threads),
        runs: Vec::new(),
        failed: Vec::new(),
        interrupted: false,
    }
}

fn skipped(data: &Decoded) -> Vec<SkippedImage> {
    let skipped = data.skipped().into_iter().map(|broken| SkippedImage {
        image: broken.image,
        reason: broken.reason,
    });
    skipped.collect()
}

fn child(
    config: &RunConfig,
    plan: &Plan,
    out: &Path,
    title: &str,
    ui: Ui,
    started: SystemTime,
) -> Result<Run> {
    let scratch = tempfile::tempdir().context("cannot create a temporary folder")?;
    let (config_file, result) = (scratch.path().join("config"), scratch.path().join("result"));
    std::fs::write(&config_file, serde_json::to_vec(config)?)?;
    let mut command = this_program()?;
    command
        .args(["run", "--ui", ui.name(), "--title", title])
        .arg("--config")
        .arg(&config_file)
        .arg("--out")
        .arg(out)
        .arg("--result")
        .arg(&result);
    if plan.with_seed {
        command.arg("--with-seed");
    }
    if let Ok(since) = started.duration_since(UNIX_EPOCH) {
        command.args(["--started", &since.as_micros().to_string()]);
    }
    let finished = command
        .stdout(if ui == Ui::Tui {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .spawn()
        .and_then(|mut child| child.wait())
        .context("cannot start the run")?;
    if !finished.success() {
        match std::fs::read_to_string(result.with_extension("error")) {
            Ok(error) => bail!(error),
            Err(_) => bail!("the run ended with {finished}"),
        }
    }
    Ok(serde_json::from_slice(
        &std::fs::read(&result).context("the run left no result")?,
    )?)
}

fn this_program() -> Result<Command> {
    let program: PathBuf = std::env::current_exe().context("cannot find this program's file")?;
    Ok(Command::new(program))
}
