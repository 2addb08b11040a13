//! What some methods choose by before they freeze a model.

use burn::module::ModuleDisplay;
use burn::tensor::Device;
use finetune_data::{Loader, Order};
use finetune_methods::Importance;
use finetune_methods::inspect::freeze_statistics;

use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::features::Input;
use crate::gradients::{Passes, pass};
use crate::recipe::Recipe;
use crate::segments::Draws;
use crate::train::TrainingData;

/// The gradients of a model whose weights all train, summed over the first batches of an epoch:
/// what some methods choose by before they freeze it.
///
/// # Errors
///
/// A recipe out of range, or an image that cannot be read.
pub fn importance<M: Classifier + ModuleDisplay>(
    model: &M,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
) -> Result<Importance, TrainingError> {
    const BATCHES: usize = 16;
    recipe.check()?;
    let criterion = data.criterion(recipe, device);
    let order = Order::Shuffled {
        seed: recipe.seed,
        epoch: 0,
    };
    let loader = Loader::new(data.train, recipe.batch_size, order)
        .normalization(data.normalization)
        .device(device);
    let mut batches = Input::all(None, loader, recipe.batch_size, device).take(BATCHES);
    let mut importance = Importance::default();
    let model = freeze_statistics(model.clone());
    let passes = Passes {
        accumulate: 1,
        criterion: &criterion,
        outer: false,
        segments: recipe.segments(&model),
        draws: Draws::new(device, recipe.seed),
    };
    while let Some(pass) = pass(&model, &mut batches, 0, &passes, None)? {
        importance.add(&model, &pass.gradients.whole);
    }
    Ok(importance)
}
