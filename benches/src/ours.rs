//! Our side of a job: steps in a child process of this program (`finetune-bench child`), whole runs
//! with the `finetune` command.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::module::{Lora, Module, ParamGroup};
use burn::tensor::Device;
use finetune::config::defaults;
use finetune::data::embedded_signs;
use finetune::evaluation::Report;
use finetune::machine::threads::{use_threads, within};
use finetune::machine::{memory, precision};
use finetune::methods::{Adapted, Method, Scope, Targets, count_parameters, layers, parameters};
use finetune::model::{Architecture, Head, Network, WeightsFile};
use finetune::training::{FeatureCache, Observer, Optimizer, Recipe, Step, TrainingData, train};

use crate::job::{Job, Kind, Measured, Side};

/// Measures training steps in this process, with the training loop of the command.
pub(crate) fn steps(job: &Job, side: Side) -> Result<Measured> {
    memory::keep_large_buffers();
    use_threads(Some(job.threads))?;
    precision::apply(job.precision, "flex")?;
    within(|| measure(job, side))
}

fn measure(job: &Job, side: Side) -> Result<Measured> {
    let rest_bytes = memory::memory_bytes().unwrap_or(0);
    let architecture = Architecture::find(&job.model)?.at(job.size)?;
    let set = embedded_signs().train.take_per_class(job.per_class, 0);
    let images = set.decode(&architecture.preprocess())?;
    let device = Device::flex().autodiff();
    let mut file = WeightsFile::open(&job.weights)?;
    let network = file.load(&architecture, job.classes, Head::Stored, &device)?;
    let attached = attach(job, side, &architecture, network.network)?;
    let count = count_parameters(attached.model());
    let data = TrainingData {
        train: &images,
        valid: None,
        normalization: architecture.normalization,
    };
    // At every step, as PyTorch does it; whole runs compute the features of frozen layers once.
    let recipe = Recipe {
        epochs: 1,
        batch_size: job.batch,
        seed: job.seed,
        feature_cache: FeatureCache::Off,
        ..Recipe::new(Optimizer::Adam, job.learning_rate)
    };
    let mut watch = Watch {
        steps: job.steps,
        losses: Vec::new(),
    };
    let trained = train(attached, &data, &recipe, &device, &mut watch)?;
    Ok(Measured {
        step_seconds: trained.step_seconds,
        losses: watch.losses,
        trainable: count.trainable as u64,
        peak_bytes: memory::peak_memory_bytes().unwrap_or(0),
        rest_bytes,
        train_seconds: None,
        whole_seconds: None,
        accuracy: None,
        startup_seconds: None,
        versions: [("burn".to_owned(), "0.22.1".to_owned())].into(),
    })
}

struct Watch {
    steps: usize,
    losses: Vec<f64>,
}

impl Observer for Watch {
    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        self.losses.push(step.loss);
        if step.step < self.steps {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

fn attach(
    job: &Job,
    side: Side,
    architecture: &Architecture,
    network: Network,
) -> Result<Adapted<Network>> {
    let Some((mut method, _)) = defaults::method(&job.method) else {
        bail!("there is no method `{}`", job.method);
    };
    if let Method::Lora(lora) = &mut method {
        lora.rank = job.rank;
        lora.alpha = job.alpha;
    }
    let targets = if job.targets.is_empty() {
        Targets::parse(architecture.targets_of(&method)?)?
    } else {
        Targets::parse(&job.targets.join(","))?
    };
    if side == Side::Burn {
        let selected = layers(&network);
        let selected = targets.select(&selected, architecture.head)?;
        let adapted = ParamGroup::from_ids(
            selected
                .iter()
                .map(|layer| layer.weight)
                .collect::<Vec<_>>(),
        );
        let head = format!("{}.", architecture.head);
        let head = parameters(&network)
            .into_iter()
            .filter(|param| param.path.starts_with(&head))
            .map(|param| param.id);
        let head = ParamGroup::from_ids(head.collect::<Vec<_>>());
        let lora = Lora::new(job.rank, job.alpha).set_param_group(adapted);
        return Ok(Adapted::from(
            network.freeze().apply_lora(lora).unfreeze_group(head),
        ));
    }
    let scope = Scope::new(architecture.head, &targets, job.seed);
    Ok(method.attach(network, &scope)?)
}

/// Measures a whole run with the `finetune` command.
pub(crate) fn run(job: &Job, program: &Path, scratch: &Path) -> Result<Measured> {
    debug_assert_eq!(job.kind, Kind::Run);
    let out = tempfile::tempdir_in(scratch)?;
    let mut command = Command::new(program);
    command
        .args(["train", "--method", &job.method, "--model", &job.model])
        .arg("--data")
        .arg(&job.data)
        .arg("--weights")
        .arg(&job.weights)
        .args(["--schedule", "one-cycle", "--ui", "none", "--json"])
        // What the other side does as well: whole training set, no random changes, centre crops.
        .args([
            "--valid-fraction",
            "0",
            "--augment",
            "none",
            "--fit",
            "crop",
        ])
        .arg("--out")
        .arg(out.path());
    for (flag, value) in [
        ("--image-size", job.size.to_string()),
        ("--epochs", job.epochs.to_string()),
        ("--batch-size", job.batch.to_string()),
        ("--lr", job.learning_rate.to_string()),
        ("--seed", job.seed.to_string()),
        ("--threads", job.threads.to_string()),
        ("--precision", job.precision.name().to_owned()),
    ] {
        command.args([flag, &value]);
    }
    if job.method == "lora" {
        command.args(["--lora-rank", &job.rank.to_string()]);
        command.args(["--lora-alpha", &job.alpha.to_string()]);
    }
    reported(command)
}

/// Runs a `finetune` command that trains once, and reads its report.
pub(crate) fn reported(mut command: Command) -> Result<Measured> {
    let start = Instant::now();
    let output = command.output().context("cannot start `finetune`")?;
    let whole = start.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!(
            "`finetune` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let report: Report = serde_json::from_slice(&output.stdout)?;
    let Some(run) = report.runs.into_iter().next() else {
        bail!("`finetune` reported no run");
    };
    Ok(Measured {
        step_seconds: vec![run.seconds_per_step],
        losses: Vec::new(),
        trainable: run.trainable_parameters,
        peak_bytes: run.peak_memory_bytes.unwrap_or(0),
        rest_bytes: 0,
        train_seconds: Some(run.train_seconds),
        whole_seconds: Some(whole),
        accuracy: Some(run.accuracy),
        startup_seconds: run.startup_seconds,
        versions: [("burn".to_owned(), "0.22.1".to_owned())].into(),
    })
}
