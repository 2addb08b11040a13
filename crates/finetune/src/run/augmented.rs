//! What the augmentation does to training images, for the report.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn::tensor::Device;
use finetune_data::{Augment, Loader};
use finetune_evaluation::AugmentedImage;
use finetune_training::{Recipe, TrainingData};

use super::job::Job;
use crate::error::Error;

/// Images that are shown.
const IMAGES: usize = 3;

/// The epochs as which each of them is shown.
const EPOCHS: [usize; 2] = [1, 2];

/// Longest side of the pictures, pixels.
const SIDE: usize = 96;

/// A few training images of different classes, as they are and as two epochs show them; none if nothing
/// random happens to the images, and none of a trial.
///
/// # Errors
///
/// An image cannot be read.
pub(super) fn augmented(
    job: &Job<'_>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
) -> Result<Vec<AugmentedImage>, Error> {
    if recipe.augment == Augment::default() || job.trial.is_some() {
        return Ok(Vec::new());
    }
    let epochs = EPOCHS.map(|epoch| data.epoch(recipe, epoch, device));
    let mut shown = Vec::new();
    for index in of_different_classes(&data.train.labels) {
        let versions = epochs
            .iter()
            .map(|epoch: &Loader<'_>| epoch.thumbnail(index, SIDE));
        // With balanced sampling, not every epoch has every image.
        let Some(versions) = versions.collect::<Result<Option<Vec<_>>, _>>()? else {
            continue;
        };
        shown.push(AugmentedImage {
            class: data.train.labels[index],
            original: STANDARD.encode(data.train.thumbnail(index, SIDE)?),
            augmented: versions.iter().map(|jpeg| STANDARD.encode(jpeg)).collect(),
        });
        if shown.len() == IMAGES {
            break;
        }
    }
    Ok(shown)
}

/// All images: the first one of each class, then the second one of each, …
fn of_different_classes(labels: &[usize]) -> Vec<usize> {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let place = |label: &usize| {
        let before = seen.entry(*label).or_default();
        *before += 1;
        (*before, *label)
    };
    let places: Vec<(usize, usize)> = labels.iter().map(place).collect();
    let mut indices: Vec<usize> = (0..labels.len()).collect();
    indices.sort_by_key(|index| places[*index]);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_all_classes_come_first() {
        // The first of each class are 3, 0 and 2.
        assert_eq!(
            of_different_classes(&[1, 1, 2, 0, 0, 1]),
            [3, 0, 2, 4, 1, 5]
        );
        assert!(of_different_classes(&[]).is_empty());
    }
}
