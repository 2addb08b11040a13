//! Mixing two images: mixup and CutMix.
//!
//! Each image is mixed with the one before it in the epoch, before either is mixed, so that the result
//! does not depend on the batch size. Each pair has its own share, as in the formulas of the papers
//! (their programs draw one share per batch).

use rand::RngExt;
use rand_distr::{Beta, Distribution};

use super::Augment;
use super::rectangle::Rectangle;
use crate::random::rng;

/// How an image is mixed with another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mix {
    None,
    /// `share` of the image plus the rest of the other one (Zhang et al. 2017).
    Blend {
        share: f32,
    },
    /// A rectangle of the other image is pasted; `share` of the image remains (Yun et al. 2019).
    Paste {
        part: Rectangle,
        share: f32,
    },
}

impl Augment {
    /// Draws how an image is mixed. This depends on the seed, the epoch and the index of the image, and on
    /// nothing else.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub(crate) fn draw_mix(&self, seed: u64, epoch: usize, index: usize, size: [usize; 2]) -> Mix {
        let mut rng = rng(seed, 3 << 62 | (epoch as u64) << 32 | index as u64);
        let paste = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return Mix::None,
            (true, true) => rng.random::<bool>(),
            (_, cutmix) => cutmix,
        };
        let alpha = f64::from(if paste { self.cutmix } else { self.mixup });
        let share = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(&mut rng));
        // With a tiny alpha the quotient may be 0/0.
        let share = if share.is_finite() { share } else { 1.0 };
        if !paste {
            return Mix::Blend {
                share: share as f32,
            };
        }
        let part = Rectangle::to_paste(&mut rng, size, share);
        let pasted = (part.height * part.width) as f32 / (size[0] * size[1]) as f32;
        Mix::Paste {
            part,
            share: 1.0 - pasted,
        }
    }
}

impl Mix {
    /// The share of the image's own class in the target.
    pub(crate) fn share(self) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Blend { share } | Self::Paste { share, .. } => share,
        }
    }

    /// Mixes `other` into `values`, both `[3, height, width]`.
    pub(crate) fn apply(self, values: &mut [f32], other: &[f32], [height, width]: [usize; 2]) {
        match self {
            Self::None => {}
            Self::Blend { share } => {
                for (value, other) in values.iter_mut().zip(other) {
                    *value = share * *value + (1.0 - share) * other;
                }
            }
            Self::Paste { part, .. } => {
                for channel in 0..3 {
                    for row in part.top..part.top + part.height {
                        let start = (channel * height + row) * width + part.left;
                        let row = start..start + part.width;
                        values[row.clone()].copy_from_slice(&other[row]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests {
    use super::*;

    #[test]
    fn blending_and_pasting_follow_the_papers() {
        let (mut values, other) = ([1.0; 12], [5.0; 12]);
        let blend = Mix::Blend { share: 0.25 };
        blend.apply(&mut values, &other, [2, 2]);
        assert_eq!((values, blend.share()), ([4.0; 12], 0.25));
        let part = Rectangle {
            top: 1,
            left: 0,
            height: 1,
            width: 1,
        };
        let paste = Mix::Paste { part, share: 0.75 };
        let mut values = [1.0; 12];
        paste.apply(&mut values, &other, [2, 2]);
        let channel = [1.0, 1.0, 5.0, 1.0];
        assert_eq!(values[..], [channel; 3].concat());
    }

    #[test]
    fn shares_follow_the_beta_distribution() {
        let augment = Augment {
            mixup: 0.2,
            ..Augment::default()
        };
        let shares: Vec<f64> = (0..4000)
            .map(|index| f64::from(augment.draw_mix(1, 1, index, [8, 8]).share()))
            .collect();
        // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)) = 0.1786.
        let mean = shares.iter().sum::<f64>() / 4000.0;
        let variance = shares
            .iter()
            .map(|share| (share - mean).powi(2))
            .sum::<f64>()
            / 4000.0;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
        assert!((variance - 0.1786).abs() < 0.01, "{variance}");
    }

    #[test]
    fn the_pasted_area_equals_the_share_of_the_other_image() {
        let augment = Augment {
            cutmix: 1.0,
            ..Augment::default()
        };
        for index in 0..200 {
            let mix = augment.draw_mix(0, 2, index, [20, 30]);
            let mut values = vec![0.0; 1800];
            mix.apply(&mut values, &vec![1.0; 1800], [20, 30]);
            let pasted = values.iter().sum::<f32>() / 1800.0;
            assert!((pasted - (1.0 - mix.share())).abs() < 1e-5);
            assert_eq!(mix, augment.draw_mix(0, 2, index, [20, 30]));
        }
    }

    #[test]
    fn mixup_and_cutmix_together_are_each_applied_to_half_of_the_images() {
        let augment = Augment {
            mixup: 1e-30,
            cutmix: 1.0,
            ..Augment::default()
        };
        let draws = (0..1000).map(|index| augment.draw_mix(0, 0, index, [4, 4]));
        let draws: Vec<Mix> = draws.collect();
        let blended = draws
            .iter()
            .filter(|mix| matches!(mix, Mix::Blend { .. }))
            .count();
        assert!((440..=560).contains(&blended), "{blended}");
        assert!(draws.iter().all(|mix| (0.0..=1.0).contains(&mix.share())));
    }
}
