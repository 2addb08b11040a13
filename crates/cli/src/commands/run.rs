//! `run`: one run of a comparison, in this process. `train` and `compare` start it.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use finetune::Observer;
use finetune::folder::{Plan, RunFolder};
use finetune::machine::threads::{use_threads, within};
use finetune::run::{Job, Phase, Trial, run};

use crate::flags::RunArgs;
use crate::terminal::progress::Progress;
use crate::terminal::{bar, exit, interrupt, log};

/// `finetune run`.
///
/// # Errors
///
/// The run failed; the command that started it reads why from a file and reports it.
pub fn run_one(args: &RunArgs) -> Result<()> {
    let Err(error) = one(args) else {
        return Ok(());
    };
    // That it was stopped is no news to the command that stopped it.
    if !matches!(error.downcast_ref(), Some(finetune::Error::Stopped(_))) {
        std::fs::write(args.result.with_extension("error"), exit::line(&error))?;
    }
    bail!(exit::Reported)
}

fn one(args: &RunArgs) -> Result<()> {
    if args.beside {
        bar::relay();
        interrupt::stops_silently();
    }
    if let Some(path) = &args.log {
        log::join(path);
    }
    let plan = Plan::read_file(&args.config)?;
    use_threads(args.threads.or(plan.pick(None)?.threads))?;
    within(|| planned(args, &plan))
}

fn planned(args: &RunArgs, plan: &Plan) -> Result<()> {
    let config = plan.pick(None)?;
    let mut progress = Progress::new(args.ui, args.title.clone(), config.recipe.epochs);
    progress.on_phase(Phase::Images);
    let mut watch = |decoded, images| progress.on_images(decoded, images);
    let data = config.images_watched(&mut watch)?;
    let started = args
        .started
        .map(|started| UNIX_EPOCH + Duration::from_micros(started));
    let job = Job {
        config,
        folder: &RunFolder::new(&args.out, args.with_seed),
        started,
        inputs: &plan.inputs,
        // This process inherited it.
        lock: None,
        trial: match args.trial {
            Some(steps) => Some(Trial::Steps(steps)),
            None => args.validated.then_some(Trial::Validation),
        },
    };
    let result = run(&job, &data, &mut progress)?;
    std::fs::write(&args.result, serde_json::to_vec(&result)?).context("cannot write the result")
}
