//! Compares speed and memory with PyTorch and HF PEFT: the same weights, images, batches and threads,
//! one process per measurement, both sides alternately. `cargo xtask bench` builds and runs it.

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
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use finetune::evaluation::write_atomically;
use finetune::machine::precision::Precision;

use crate::job::{Job, Side};
use crate::results::Results;

/// Compare speed and memory of training with PyTorch and HF PEFT
///
/// Prints a Markdown page, and writes it with its picture and numbers into `target/bench`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    child: Option<Child>,
    #[command(flatten)]
    args: Args,
}

/// What is measured, how often, and where the results go.
///
/// Defaults of lists are written as they are typed, `a,b,c`; clap splits them like arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Parts to measure
    #[arg(
        long,
        value_enum,
        value_name = "PART,…",
        value_delimiter = ',',
        default_value = "startup,steps,threads,runs",
        help_heading = "Measurements"
    )]
    pub(crate) parts: Vec<Part>,
    /// Models of the training steps
    #[arg(
        long,
        value_name = "MODEL,…",
        value_delimiter = ',',
        default_value = "resnet8-64,chapter,resnet18,mobilenet_v2,vit_tiny_patch16_224,dinov2_small,convnext_tiny",
        help_heading = "Measurements"
    )]
    pub(crate) models: Vec<String>,
    /// Methods
    #[arg(
        long,
        value_name = "METHOD,…",
        value_delimiter = ',',
        default_value = "sft,lora,peft,linear",
        help_heading = "Measurements"
    )]
    pub(crate) methods: Vec<String>,
    /// Side lengths of the steps' images in pixels; `chapter` and `resnet8-64` always use 64, the
    /// transformers and ConvNeXt 224
    #[arg(
        long,
        value_name = "PIXELS,…",
        value_delimiter = ',',
        default_value = "64,96,224",
        help_heading = "Measurements"
    )]
    pub(crate) sizes: Vec<usize>,
    /// Side length of the whole runs' images in pixels
    #[arg(
        long,
        value_name = "PIXELS",
        default_value_t = 96,
        help_heading = "Measurements"
    )]
    pub(crate) run_size: usize,
    /// Epochs of the whole runs
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        help_heading = "Measurements"
    )]
    pub(crate) run_epochs: usize,
    /// Processes per number
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        help_heading = "Repetitions"
    )]
    pub(crate) repetitions: usize,
    /// Whole runs per number [default: the value of --repetitions]
    #[arg(long, value_name = "N", help_heading = "Repetitions")]
    pub(crate) run_repetitions: Option<usize>,
    /// Measure for a few minutes only: the first of the sizes, two processes per number, two epochs
    #[arg(long, help_heading = "Repetitions")]
    pub(crate) quick: bool,
    /// Threads that compute, on both sides [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Environment")]
    pub(crate) threads: Option<usize>,
    /// Precision of matrix products and convolutions: f32 or bf16; PyTorch is tried with its ways to do that
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(["f32", "bf16"]).map(precision),
        default_value = "f32",
        help_heading = "Environment"
    )]
    pub(crate) precision: Precision,
    /// Also try PyTorch with `torch.compile`
    #[arg(long, help_heading = "Environment")]
    pub(crate) compile: bool,
    /// Python interpreter with the packages of `benches/requirements.txt` [default: a virtual
    /// environment in the cache folder, which is created if it is missing]
    #[arg(long, value_name = "FILE", help_heading = "Environment")]
    pub(crate) python: Option<PathBuf>,
    /// Also write the page and picture into `docs` and the numbers into `benches/history`
    #[arg(long, alias = "keep", help_heading = "Output")]
    pub(crate) publish: bool,
    /// Write the page of these results (a file of `benches/history`) instead of measuring
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) results: Option<PathBuf>,
}

/// The precision of that name, `f32` or `bf16`.
#[allow(clippy::needless_pass_by_value)] // as clap calls it
fn precision(name: String) -> Precision {
    if name == Precision::Bf16.name() {
        Precision::Bf16
    } else {
        Precision::F32
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Time from the start of the command to its first training step
    Startup,
    /// Training steps
    Steps,
    /// Training steps with one thread
    Threads,
    /// Whole runs of MobileNetV2 on 1000 images
    Runs,
}

#[derive(Debug, Subcommand)]
enum Child {
    /// Measure our side of a step job, which is read from stdin
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
    let folder = root().join("target/bench");
    let results = if let Some(path) = &args.results {
        let results = read(path)?;
        write(&results, &folder)?;
        results
    } else {
        plan::all(&args, &|results| write(results, &folder))?
    };
    println!("{}", table::markdown(&results));
    if args.publish {
        let history = root().join("benches/history");
        publish(&results, &root().join("docs"), &history)?;
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

fn read(path: &Path) -> Result<Results> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not a file of results", path.display()))
}

/// Writes the results so far: numbers, page and picture.
fn write(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    write_atomically(
        &folder.join("speed.json"),
        &serde_json::to_vec_pretty(results)?,
    )?;
    let name = results.page();
    write_atomically(
        &folder.join(format!("{name}.md")),
        table::markdown(results).as_bytes(),
    )?;
    if let Some(picture) = picture::svg(results)? {
        write_atomically(&folder.join(format!("{name}.svg")), picture.as_bytes())?;
    }
    Ok(())
}

/// Writes the page and picture into `docs`, and the numbers into `history`.
fn publish(results: &Results, docs: &Path, history: &Path) -> Result<()> {
    std::fs::create_dir_all(history)
        .with_context(|| format!("cannot create {}", history.display()))?;
    let name = results.started.replace(':', "-");
    let file = history.join(format!("{name}.json"));
    write_atomically(&file, &serde_json::to_vec_pretty(results)?)?;
    let page = results.page();
    let file = docs.join(format!("{page}.md"));
    write_atomically(&file, table::markdown(results).as_bytes())?;
    if let Some(picture) = picture::svg(results)? {
        write_atomically(&docs.join(format!("{page}.svg")), picture.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn defaults_of_lists_are_shown_as_they_are_typed() {
        let help = Cli::command().render_long_help().to_string();
        for default in [
            "startup,steps,threads,runs",
            "resnet8-64,chapter,resnet18,mobilenet_v2,vit_tiny_patch16_224,dinov2_small,convnext_tiny",
            "sft,lora,peft,linear",
            "64,96,224",
        ] {
            assert!(help.contains(&format!("[default: {default}]")), "{help}");
        }
        let args = Cli::parse_from(["bench"]).args;
        assert_eq!(args.sizes, [64, 96, 224]);
        assert_eq!(args.parts.len(), 4);
        let typed = ["bench", "--sizes", "64,96,224", "--parts", "startup,steps"];
        let args = Cli::parse_from(typed).args;
        assert_eq!(args.sizes, [64, 96, 224]);
        assert_eq!(args.parts, [Part::Startup, Part::Steps]);
    }

    /// After a change of the page: `cargo xtask bench --results benches/history/….json --publish`.
    #[test]
    fn docs_show_the_newest_results() {
        let history = std::fs::read_dir(root().join("benches/history")).unwrap();
        let mut files: Vec<_> = history.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        // The newest of each page.
        let pages: BTreeMap<String, Results> = files
            .iter()
            .map(|file| read(file).unwrap())
            .map(|results| (results.page(), results))
            .collect();
        assert!(pages.contains_key("speed"));
        for (name, results) in pages {
            let docs = root().join("docs");
            let page = std::fs::read_to_string(docs.join(format!("{name}.md"))).unwrap();
            assert_eq!(table::markdown(&results), page);
            let picture = std::fs::read_to_string(docs.join(format!("{name}.svg"))).unwrap();
            assert_eq!(picture::svg(&results).unwrap().unwrap(), picture);
        }
    }
}
