//! How a network is tested.

use burn::module::Module;
use burn::tensor::Device;
use finetune_data::Images;
use finetune_evaluation::Confusion;
use finetune_model::Network;
use finetune_training::evaluate;

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
    let normalization = config.architecture()?.normalization;
    let size = config.recipe.batch_size;
    let seen = evaluate(&network.valid(), images, normalization, size, device)?;
    Ok(Confusion::from_predictions(
        images.classes.len(),
        &seen.truth,
        &seen.predicted,
    )?)
}
