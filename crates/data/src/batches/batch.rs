//! The values of a batch: images are read, augmented and normalised in parallel, then mixed.

use std::ops::Range;

use burn::Tensor;
use burn::tensor::Int;
use rayon::prelude::*;

use crate::augment::{Augment, Mix};
use crate::error::DataError;
use crate::images::Normalization;
use crate::store::Reader;

/// Some images as tensors.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Normalised values, `[batch, 3, height, width]`.
    pub images: Tensor<4>,
    /// Index of the class of each image, `[batch]`.
    pub labels: Tensor<1, Int>,
    /// Probability of each class, `[batch, classes]`, if images were mixed (mixup, CutMix). It is the
    /// target then; `labels` has the class of the first image of each mixture.
    pub soft: Option<Tensor<2>>,
}

/// The images of an epoch, and what happens to them.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    /// Indices of the images, in order.
    pub(crate) indices: Vec<usize>,
    /// For each position, how often its image came before in the epoch; empty if no image comes twice.
    pub(crate) repeats: Vec<u32>,
    /// Seed and number of the epoch; `None` if nothing is random.
    pub(crate) random: Option<(u64, usize)>,
    /// Seed and number of the view that all images are shown in, in any epoch and however often an
    /// image comes.
    pub(crate) view: Option<(u64, usize)>,
    pub(crate) augment: Augment,
    pub(crate) normalization: Normalization,
}

impl Epoch {
    /// Images without augmentation.
    pub(crate) fn plain(indices: Vec<usize>, normalization: Normalization) -> Self {
        Self {
            indices,
            repeats: Vec::new(),
            random: None,
            view: None,
            augment: Augment::default(),
            normalization,
        }
    }

    /// Seed of the augmentation at a position: an image that comes again is augmented differently.
    fn seed(&self, seed: u64, position: usize) -> u64 {
        let repeat = self.repeats.get(position).copied().unwrap_or(0);
        seed.wrapping_add(u64::from(repeat).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// How the image at a position is mixed with the one before it.
    fn mix(&self, position: usize, size: [usize; 2]) -> Mix {
        match self.random {
            Some((seed, epoch)) if self.augment.mixes() => {
                let index = self.indices[position];
                let seed = self.seed(seed, position);
                self.augment.draw_mix(seed, epoch, index, size)
            }
            _ => Mix::None,
        }
    }

    /// The position of the image that the one at `position` is mixed with: the one before, and for the
    /// first one the last.
    fn partner(&self, position: usize) -> usize {
        position.checked_sub(1).unwrap_or(self.indices.len() - 1)
    }

    /// Probabilities of the classes, `[positions, classes]`; `None` if images are not mixed.
    pub(crate) fn targets(
        &self,
        positions: Range<usize>,
        labels: &[usize],
        classes: usize,
        [.., height, width]: [usize; 4],
    ) -> Option<Vec<f32>> {
        if self.random.is_none() || !self.augment.mixes() {
            return None;
        }
        let mut targets = vec![0.0; positions.len() * classes];
        for (position, row) in positions.zip(targets.chunks_exact_mut(classes.max(1))) {
            let share = self.mix(position, [height, width]).share();
            row[labels[self.indices[position]]] += share;
            row[labels[self.indices[self.partner(position)]]] += 1.0 - share;
        }
        Some(targets)
    }
}

/// The normalised values of the images at some positions of an epoch, `[positions, 3, height, width]`.
pub(crate) fn fill(
    reader: &Reader,
    epoch: &Epoch,
    positions: Range<usize>,
) -> Result<Vec<f32>, DataError> {
    let preprocess = reader.store.preprocess();
    let size = [preprocess.height, preprocess.width];
    let length = size[0] * size[1] * 3;
    let mut values = vec![0.0; positions.len() * length];
    if values.is_empty() {
        return Ok(values);
    }
    let mixes = epoch.random.is_some() && epoch.augment.mixes();
    let first = positions.start;
    let mut before = vec![0.0; if mixes { length } else { 0 }];
    reader.pool.install(|| {
        let ahead = if mixes {
            Some(epoch.partner(first))
        } else {
            None
        };
        let (rest, ahead) = rayon::join(
            || {
                let images = values.par_chunks_mut(length).with_max_len(1);
                let outcomes: Vec<Result<(), DataError>> = images
                    .zip(positions.clone())
                    .map(|(values, position)| one(reader, epoch, position, values))
                    .collect();
                // In the order of the images, so that the first error does not depend on the threads.
                outcomes.into_iter().collect::<Result<(), _>>()
            },
            || ahead.map_or(Ok(()), |position| one(reader, epoch, position, &mut before)),
        );
        ahead.and(rest)
    })?;
    if mixes {
        // From last to first, so that each image is mixed with one that is not mixed yet.
        for position in positions.rev() {
            let (earlier, rest) = values.split_at_mut((position - first) * length);
            let partner = earlier.rchunks_exact(length).next().unwrap_or(&before);
            let mix = epoch.mix(position, size);
            mix.apply(&mut rest[..length], partner, size);
        }
    }
    Ok(values)
}

/// The values of the image at a position.
fn one(
    reader: &Reader,
    epoch: &Epoch,
    position: usize,
    values: &mut [f32],
) -> Result<(), DataError> {
    let index = epoch.indices[position];
    let (store, norm) = (&reader.store, &epoch.normalization);
    let own = |(seed, number)| (epoch.seed(seed, position), number);
    let random = epoch.view.or_else(|| epoch.random.map(own));
    let Some((seed, number)) = random.filter(|_| epoch.augment.changes()) else {
        norm.write(&store.fitted(index)?.pixels, values);
        return Ok(());
    };
    // Random crops are cut from the picture as it is stored; everything else is done to the fitted image.
    let image = match epoch.augment.crop {
        Some(_) => store.stored(index)?,
        None => store.fitted(index)?,
    };
    let preprocess = store.preprocess();
    let to = [preprocess.height, preprocess.width];
    let draw = epoch
        .augment
        .draw(seed, number, index, [image.height, image.width], to);
    draw.write(&image, preprocess, norm, values);
    Ok(())
}
