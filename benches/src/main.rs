//! Speed and memory beside PyTorch and HF PEFT: the same weights, images, batches and threads, one
//! process a measurement, both sides in turns. `cargo xtask bench` builds and runs it.

mod job;
mod machine;
mod measure;
mod ours;
mod picture;
mod plan;
mod python;
mod results;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use finetune::evaluation::write_atomically;

use crate::job::{Job, Side};
use crate::results::Results;

/// Measure training beside PyTorch and HF PEFT.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    child: Option<Child>,
    #[command(flatten)]
    args: Args,
}

/// What is measured, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Parts, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Startup, Part::Steps, Part::Threads, Part::Runs])]
    pub(crate) parts: Vec<Part>,
    /// Models of the steps
    #[arg(long, value_delimiter = ',', default_values = ["chapter", "resnet18", "mobilenet_v2"])]
    pub(crate) models: Vec<String>,
    /// Methods
    #[arg(long, value_delimiter = ',', default_values = ["sft", "lora", "peft", "linear"])]
    pub(crate) methods: Vec<String>,
    /// Sides of the steps' images, pixels; the chapter's network has its own
    #[arg(long, value_delimiter = ',', default_values_t = [64, 96, 224])]
    pub(crate) sizes: Vec<usize>,
    /// Processes for each number
    #[arg(long, default_value_t = 5)]
    pub(crate) repetitions: usize,
    /// Whole runs for each number [default: as `--repetitions`]
    #[arg(long)]
    pub(crate) run_repetitions: Option<usize>,
    /// Side of the whole runs' images, pixels
    #[arg(long, default_value_t = 96)]
    pub(crate) run_size: usize,
    /// Epochs of the whole runs
    #[arg(long, default_value_t = 10)]
    pub(crate) run_epochs: usize,
    /// Threads that compute, on either side [default: one a core]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// A few minutes: 64 pixels, two processes a number, two epochs
    #[arg(long)]
    pub(crate) quick: bool,
    /// A Python that has what `benches/requirements.txt` says [default: one is made]
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// Put the table and picture into `docs` and the numbers into `benches/history`; they are in
    /// `target/bench` in any case
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// From the start of the command to the first training step
    Startup,
    /// Training steps
    Steps,
    /// The same with one thread
    Threads,
    /// Whole runs of MobileNetV2 on 1000 images
    Runs,
}

#[derive(Debug, Subcommand)]
enum Child {
    /// Our side of a job: reads it from stdin
    #[command(hide = true)]
    Child {
        #[arg(long)]
        burn: bool,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(Child::Child { burn }) = cli.child {
        let job: Job = serde_json::from_reader(std::io::stdin())?;
        let side = if burn { Side::Burn } else { Side::Ours };
        let measured = ours::steps(&job, side)?;
        println!("{}", serde_json::to_string(&measured)?);
        return Ok(());
    }
    let mut args = cli.args;
    if args.quick {
        args.sizes.truncate(1);
        args.repetitions = args.repetitions.min(2);
        args.run_epochs = 2;
    }
    if args.repetitions == 0 || args.run_epochs == 0 || args.threads == Some(0) {
        bail!("--repetitions, --run-epochs and --threads must be at least 1");
    }
    let results = plan::all(&args, &|results| {
        write(results, &root().join("target/bench"))
    })?;
    println!("{}", table::markdown(&results));
    if args.keep {
        let history = root().join("benches/history");
        keep(&results, &root().join("docs"), &history)?;
    }
    match results.failed.as_slice() {
        [] => Ok(()),
        failed => bail!(
            "{} measurements failed: {}",
            failed.len(),
            failed.join("; ")
        ),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes all that there is so far.
fn write(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    write_atomically(
        &folder.join("speed.json"),
        &serde_json::to_vec_pretty(results)?,
    )?;
    write_atomically(
        &folder.join("speed.md"),
        table::markdown(results).as_bytes(),
    )?;
    if let Some(picture) = picture::svg(results)? {
        write_atomically(&folder.join("speed.svg"), picture.as_bytes())?;
    }
    Ok(())
}

fn keep(results: &Results, docs: &Path, history: &Path) -> Result<()> {
    std::fs::create_dir_all(history)
        .with_context(|| format!("cannot create {}", history.display()))?;
    let name = results.started.replace(':', "-");
    let file = history.join(format!("{name}.json"));
    write_atomically(&file, &serde_json::to_vec_pretty(results)?)?;
    write_atomically(&docs.join("speed.md"), table::markdown(results).as_bytes())?;
    if let Some(picture) = picture::svg(results)? {
        write_atomically(&docs.join("speed.svg"), picture.as_bytes())?;
    }
    Ok(())
}
