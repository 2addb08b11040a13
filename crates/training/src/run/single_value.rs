//! A `BatchNorm` that would see a single value per channel in training.
//!
//! The mean of one value is the value and its variance is 0, so that the layer's output would be its
//! shift, whatever the image. `PyTorch` rejects such a batch ("Expected more than 1 value per channel
//! when training"); here the run is rejected before its first step.

use burn::tensor::Device;
use finetune_methods::parameters;
use finetune_model::{Features, Staged};

use crate::classifier::Classifier;
use crate::data::{TrainingData, in_order};
use crate::error::TrainingError;
use crate::recipe::Recipe;

/// Rejects a run in which a batch of one image reaches a `BatchNorm` that uses the batch's own
/// statistics as maps of 1×1.
///
/// The sizes of the maps come from a pass of one image, which runs only if there is such a batch and
/// such a `BatchNorm`. A model that is no sequence of stages is not checked.
///
/// # Errors
///
/// [`TrainingError::SingleValue`], and [`TrainingError::Data`] if the image cannot be read.
pub(super) fn check<M: Classifier>(
    model: &M,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
) -> Result<(), TrainingError> {
    let images = data.train.len();
    if !has_single(images, recipe) {
        return Ok(());
    }
    let moving: Vec<String> = parameters(model)
        .into_iter()
        .filter(|param| param.buffer && param.changes)
        .filter_map(|param| Some(param.path.rsplit_once('.')?.0.to_owned()))
        .collect();
    let plain = model.valid();
    let stages = plain.staged().map_or_else(Vec::new, Staged::stages);
    if moving.is_empty() || stages.is_empty() {
        return Ok(());
    }
    let first = in_order(data.train, data.normalization, 1, device).next();
    let Some(first) = first.transpose()? else {
        return Ok(());
    };
    let mut features = Features::from(first.images);
    for stage in &stages {
        features = stage.forward(features);
        // The maps inside a stage are at least as large as those at its end.
        let single = features.dims()[2..].iter().product::<usize>() == 1;
        let mut norms = moving.iter().filter(|path| stage.holds(path));
        if let (true, Some(norm)) = (single, norms.next_back()) {
            return Err(TrainingError::SingleValue {
                norm: norm.clone(),
                images,
                batch_size: recipe.batch_size,
                remedy: remedy(images, recipe),
            });
        }
    }
    Ok(())
}

/// Whether one of the batches of so many images has a single image.
fn has_single(images: usize, recipe: &Recipe) -> bool {
    let last = images % recipe.batch_size == 1 && !recipe.drops_last(images);
    images > 0 && (recipe.batch_size == 1 || last)
}

/// What to change so that no batch has a single image.
fn remedy(images: usize, recipe: &Recipe) -> String {
    let fits = |size: &usize| {
        let batch_size = *size;
        let recipe = Recipe {
            batch_size,
            ..recipe.clone()
        };
        !has_single(images, &recipe)
    };
    let below = (2..recipe.batch_size).rev().find(fits);
    match below.or_else(|| (recipe.batch_size + 1..=images).find(fits)) {
        Some(size) => format!("choose another batch size, e.g. {size}, or larger images"),
        None => "train on more images, or on larger ones".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Optimizer;

    fn recipe(batch_size: usize, drop_last: bool) -> Recipe {
        Recipe {
            batch_size,
            drop_last,
            ..Recipe::new(Optimizer::Adam, 0.001)
        }
    }

    #[test]
    fn the_remedy_has_no_batch_of_one_image() {
        let has_single = |images, size| has_single(images, &recipe(size, false));
        let remedy = |images, size| remedy(images, &recipe(size, false));
        assert!(has_single(9, 8) && has_single(8, 1) && has_single(1, 64) && has_single(1, 1));
        assert!(!has_single(8, 8) && !has_single(10, 8) && !has_single(7, 8));
        assert!(remedy(9, 8).contains("e.g. 7,"));
        assert!(remedy(9, 1).contains("e.g. 2,") || remedy(9, 1).contains("e.g. 3,"));
        assert!(remedy(3, 2).contains("e.g. 3,"));
        assert_eq!(remedy(1, 64), "train on more images, or on larger ones");
    }

    #[test]
    fn a_last_image_that_is_left_out_is_no_batch() {
        let has_single = |images, size| has_single(images, &recipe(size, true));
        assert!(!has_single(9, 8) && !has_single(8, 8));
        assert!(has_single(8, 1) && has_single(1, 64) && has_single(1, 1));
        assert!(remedy(9, &recipe(1, true)).contains("e.g. 2,"));
    }
}
