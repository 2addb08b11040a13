//! `run`: one run of a comparison, in this process. `train` and `compare` start it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use finetune::config::RunConfig;
use finetune::folder::RunFolder;
use finetune::machine::threads::use_threads;
use finetune::run::{Job, run};

use crate::flags::RunArgs;
use crate::terminal::exit;
use crate::terminal::progress::Progress;

/// `finetune run`.
///
/// # Errors
///
/// The run failed; the command that started it reads why from a file and reports it.
pub fn run_one(args: &RunArgs) -> Result<()> {
    let Err(error) = one(args) else {
        return Ok(());
    };
    std::fs::write(args.result.with_extension("error"), exit::line(&error))?;
    bail!(exit::Reported)
}

fn one(args: &RunArgs) -> Result<()> {
    let text = std::fs::read_to_string(&args.config).context("cannot read the run's config")?;
    let config: RunConfig = serde_json::from_str(&text)?;
    use_threads(config.threads)?;
    let data = config.images()?;
    let mut progress = Progress::new(args.ui, args.title.clone(), config.recipe.epochs);
    let started = args
        .started
        .map(|started| UNIX_EPOCH + Duration::from_micros(started));
    let job = Job {
        config: &config,
        folder: &RunFolder::new(&args.out, args.with_seed),
        started: started.unwrap_or_else(SystemTime::now),
    };
    let result = run(&job, &data, &mut progress)?;
    std::fs::write(&args.result, serde_json::to_vec(&result)?).context("cannot write the result")
}
