//! Finds what is wrong before anything is trained or written.

use finetune_methods::Importance;
use finetune_model::Network;

use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::machine::device::{check_fits, device};
use crate::run::{Observer, attach, base};
use crate::weights::{cached, describe, is_made_on_demand, is_shipped};

/// Checks that the runs can be done, and returns their images. All runs use the same images.
///
/// # Errors
///
/// The images cannot be used, or a run cannot be started.
pub(super) fn check(runs: &[RunConfig], observer: &mut impl Observer) -> Result<Decoded, Error> {
    let first = &runs[0];
    let data = first.images()?;
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
    let device = device(&first.device)?;
    let classes = data.train.classes.len();
    check_fits(&first.device, &first.architecture()?, classes)?;
    // All runs that start from weights start from the same ones, which are read once.
    let mut loaded = None;
    for config in runs.iter().filter(|run| run.seed == first.seed) {
        if is_made_on_demand(config) && !cached(&config.model)?.is_file() {
            continue;
        }
        let network = match &loaded {
            _ if config.from_scratch => base(config, classes, &device)?.0,
            Some(network) => Network::clone(network),
            None => {
                let (network, notes) = base(config, classes, &device)?;
                tell(config, &notes, observer);
                loaded.insert(network).clone()
            }
        };
        drop(attach(config, network, &Importance::default())?);
    }
    Ok(data)
}

/// Passes on what a user should know about the weights. That the shipped checkpoint gets a new head
/// is expected.
fn tell(config: &RunConfig, notes: &[String], observer: &mut impl Observer) {
    if !is_shipped(config) {
        for note in notes {
            observer.note(&format!("{}: {note}", describe(config)));
        }
    }
}
