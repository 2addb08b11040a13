//! What some methods choose by before they freeze a model.

use burn::module::ModuleDisplay;
use burn::tensor::Device;
use finetune_data::{Loader, Order};
use finetune_methods::{Importance, freeze_statistics};

use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::features::Input;
use crate::gradients::{How, pass};
use crate::recipe::Recipe;
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
    let how = How {
        criterion: &criterion,
        accumulate: 1,
        outer: false,
        dynamics: None,
    };
    while let Some(pass) = pass(&model, &mut batches, &how)? {
        importance.add(&model, &pass.gradients.whole);
    }
    Ok(importance)
}
