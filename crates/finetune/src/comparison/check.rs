//! Finds what is wrong before anything is trained or written.

use finetune_evaluation::understood::Understood;
use finetune_methods::inspect::ParameterCount;
use finetune_methods::{Importance, count_parameters};
use finetune_model::{Network, Understood as Recognized};

use super::understood::{Found, understood};
use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::identity::{DataIdentity, Inputs, WeightsIdentity};
use crate::machine::device::{check_fits, device};
use crate::machine::precision;
use crate::run::{Observer, Phase, attach, base, load};
use crate::weights::{cached, is_made_on_demand, is_shipped, open, reasons};

/// What was found.
pub(super) struct Checked {
    /// The images of the runs.
    pub(super) data: Decoded,
    pub(super) understood: Understood,
}

/// Checks that the runs can be done, and returns their images. All runs use the same images, which
/// must be the recorded ones if `inputs` has some, as must the base weights.
///
/// # Errors
///
/// The images cannot be used or are others, or a run cannot be started.
pub(super) fn check(
    runs: &[RunConfig],
    inputs: &Inputs,
    observer: &mut impl Observer,
) -> Result<Checked, Error> {
    let Some(first) = runs.first() else {
        return Err(Error::Usage("there are no runs to compare".to_owned()));
    };
    for run in runs {
        run.check()?;
    }
    // What trains can be told only on a device with autodiff.
    let device = device(&first.device)?.autodiff();
    for run in runs {
        precision::check(run.precision, &run.device)?;
    }
    let architecture = first.architecture()?;
    same_weights(runs, inputs)?;
    observer.on_phase(Phase::Images);
    let whole = first.data.whole()?;
    let other = |difference| Error::OtherData {
        path: first.data.path.clone(),
        difference,
    };
    // What can be told without decoding is told before.
    if let Some(expected) = &inputs.data
        && let Some(difference) = expected.difference(&DataIdentity::of(&whole)?)
    {
        return Err(other(difference));
    }
    let preprocess = first.data.preprocess(&architecture);
    let augment = &first.recipe.augment;
    let mut watch = |decoded, images| observer.on_images(decoded, images);
    let data = (first.data).decode(whole, first.seed, &preprocess, augment, &mut watch)?;
    if let Some(expected) = &inputs.data
        && let Some(difference) = first.data.other_contents(expected, &data.identity)
    {
        return Err(other(difference));
    }
    for note in data.notes() {
        observer.note(&note);
    }
    let selects = |run: &RunConfig| run.recipe.needs_validation();
    if runs.iter().any(selects) && data.valid.is_none() {
        return Err(Error::Usage(
            "--patience and --keep best need validation images, and there are none; hold some out \
             with --valid-fraction 0.2"
                .to_owned(),
        ));
    }
    observer.on_phase(Phase::Weights);
    let classes = data.train.classes.len();
    check_fits(&first.device, &architecture, classes)?;
    let mut found = Found::default();
    // All runs that start from weights start from the same ones, which are read once.
    let mut loaded = None;
    for (index, config) in runs.iter().enumerate() {
        if runs[..index]
            .iter()
            .any(|other| differ_in_seed(other, config))
        {
            continue;
        }
        let network = match &loaded {
            _ if config.from_scratch => base(config, classes, &device)?.0,
            // They are made after this check.
            _ if is_made_on_demand(config) && !cached(&config.model)?.is_file() => {
                architecture.build(classes, config.seed, &device)
            }
            Some(network) => Network::clone(network),
            None => {
                let mut file = open(config)?;
                let (network, notes) = load(config, &mut file, classes, &device)?;
                if !is_shipped(config) {
                    // That the shipped checkpoint gets a new head is expected.
                    let own = config.weights.is_some();
                    let recognized = own.then(|| file.understand_as(&config.model)).flatten();
                    found.notes = recognized.iter().map(Recognized::recognition).collect();
                    found.notes.extend(reasons(config, &file));
                    found.notes.extend(notes);
                }
                loaded.insert(network).clone()
            }
        };
        let attached = attach(config, network, &Importance::default())?;
        if let Some(fit) = attached.fit() {
            fit.check(data.train.len())?;
        }
        let count: ParameterCount = count_parameters(attached.model());
        found.counts.push((config, count));
    }
    let toy = |run: &RunConfig| !run.from_scratch && is_shipped(run);
    if !first.data.is_named() && runs.iter().any(toy) {
        found.notes.push(
            "it knows hand signs only and profits other images little; --weights \
             hf:timm/resnet18.a1_in1k, or a file of torchvision's or timm's, starts from ImageNet"
                .to_owned(),
        );
    }
    let understood = understood(runs, &data, &found)?;
    Ok(Checked { data, understood })
}

/// Checks that the base weights are the recorded ones.
fn same_weights(runs: &[RunConfig], inputs: &Inputs) -> Result<(), Error> {
    let Some(weights) = &inputs.weights else {
        return Ok(());
    };
    let mut runs = runs.iter().filter(|run| !run.from_scratch);
    runs.try_for_each(|run| weights.verify(run))
}

/// The inputs of runs whose weights exist.
///
/// # Errors
///
/// The weights cannot be read.
pub(super) fn inputs(runs: &[RunConfig], data: &Decoded) -> Result<Inputs, Error> {
    let first = runs.iter().find(|run| !run.from_scratch);
    let weights = first.map(WeightsIdentity::of).transpose()?;
    Ok(Inputs {
        weights: weights.flatten(),
        data: Some(data.identity.clone()),
    })
}

/// Whether two runs are the same but for the seed.
fn differ_in_seed(one: &RunConfig, other: &RunConfig) -> bool {
    one.clone().seed(other.seed) == *other
}
