//! Gradients that some methods choose parameters by before they freeze the model.

use burn::module::ModuleDisplay;
use burn::tensor::Device;
use finetune_methods::Importance;
use finetune_methods::inspect::freeze_statistics;

use super::draws::Draws;
use super::loss::CrossEntropy;
use super::pass::{Passes, pass};
use super::segments::Segments;
use crate::classifier::Classifier;
use crate::data::TrainingData;
use crate::error::TrainingError;
use crate::features::image_batches;
use crate::recipe::Recipe;

/// Sums the gradients of a model whose weights all train over the first 16 batches of an epoch.
///
/// Some methods choose by these gradients what they will train. The model itself is not changed.
///
/// # Errors
///
/// [`TrainingError::Setting`] if the recipe is out of range, [`TrainingError::Data`] if an image
/// cannot be read.
pub fn importance<M: Classifier + ModuleDisplay>(
    model: &M,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
) -> Result<Importance, TrainingError> {
    const BATCHES: usize = 16;
    /// Runs count their epochs from 1, so that this order is none of theirs.
    const EPOCH: usize = 0;
    recipe.check()?;
    let criterion = CrossEntropy::of(recipe, data, device);
    let mut batches = image_batches(data.shuffled(recipe, EPOCH, device)).take(BATCHES);
    let mut importance = Importance::default();
    let model = freeze_statistics(model.clone());
    // What a method chooses should not depend on what is left out at random.
    let recipe = &Recipe {
        drop_path: 0.0,
        head_dropout: 0.0,
        ..recipe.clone()
    };
    let passes = Passes {
        accumulate: 1,
        criterion: &criterion,
        outer: false,
        segments: Segments::for_recipe(recipe, &model),
        draws: Draws::new(device, recipe),
    };
    while let Some(pass) = pass(&model, &mut batches, 0, &passes, None)? {
        importance.add(&model, &pass.gradients.whole);
    }
    Ok(importance)
}
