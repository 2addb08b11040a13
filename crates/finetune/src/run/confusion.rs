//! How a network is tested.

use burn::module::Module;
use burn::tensor::Device;
use finetune_data::Images;
use finetune_evaluation::Confusion;
use finetune_model::Network;
use finetune_training::{Predictions, evaluate};

use crate::config::RunConfig;
use crate::error::Error;

/// The confusion matrix of a run's network on images.
///
/// # Errors
///
/// An image cannot be read.
pub fn confusion(
    network: &Network,
    images: &Images,
    config: &RunConfig,
    device: &Device,
) -> Result<Confusion, Error> {
    counted(images, &predictions(network, images, config, device)?)
}

/// The predictions of a run's network for images.
pub(super) fn predictions(
    network: &Network,
    images: &Images,
    config: &RunConfig,
    device: &Device,
) -> Result<Predictions, Error> {
    let normalization = config.architecture()?.normalization;
    let size = config.recipe.batch_size;
    let seen = evaluate(&network.valid(), images, normalization, size, device)?;
    Ok(seen)
}

pub(super) fn counted(images: &Images, seen: &Predictions) -> Result<Confusion, Error> {
    let classes = images.classes.len();
    Ok(Confusion::from_predictions(
        classes,
        &seen.truth,
        &seen.predicted,
    )?)
}
