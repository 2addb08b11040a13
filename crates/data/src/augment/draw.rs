//! The random changes of one image in one epoch, which are drawn first and made afterwards.

use std::borrow::Cow;

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::Augment;
use super::rand_augment::Kind;
use super::rectangle::Rectangle;
use super::tone::Tone;
use super::warp::Warp;
use crate::images::raster::Raster;
use crate::images::resize::resize;
use crate::images::{Normalization, Preprocess};
use crate::random::rng;

/// The changes that were drawn for one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draw {
    crop: Option<Rectangle>,
    flip: bool,
    operations: Vec<(Kind, f64)>,
    tones: Vec<Tone>,
    warp: Warp,
    /// The rectangle that is replaced by noise, and the seed of the noise.
    erase: Option<(Rectangle, u64)>,
}

impl Augment {
    /// Draws the changes of an image of `size`, `[height, width]`, that becomes one of size `to`. They
    /// depend on the seed, the epoch and the index of the image, and on nothing else.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn draw(
        &self,
        seed: u64,
        epoch: usize,
        index: usize,
        size: [usize; 2],
        to: [usize; 2],
    ) -> Draw {
        // One stream per image and epoch: there may be 2^32 images and 2^30 epochs.
        let mut rng = rng(seed, ((epoch as u64) << 32) | index as u64 | 1 << 63);
        let mut symmetric = |limit: f32| limit * (2.0 * rng.random::<f32>() - 1.0);
        let angle = symmetric(self.rotate).to_radians();
        // Settings may be above 1, but factors never become negative.
        let zoom = (1.0 + symmetric(self.scale)).max(0.1);
        let brightness = (1.0 + symmetric(self.brightness)).max(0.0);
        let contrast = (1.0 + symmetric(self.contrast)).max(0.0);
        let shift = self.shift as f32 + 0.5;
        let shift = [symmetric(shift), symmetric(shift)].map(f32::round);
        let limit = self.shift as f32;
        let warp = Warp {
            shift: shift.map(|pixels| pixels.clamp(-limit, limit)),
            angle,
            zoom,
        };
        let flip = self.flip && rng.random::<bool>();
        let crop = self
            .crop
            .map(|crop| Rectangle::to_crop(&mut rng, size, crop.scale, crop.ratio));
        let operations = self.rand_augment;
        let operations = operations.map_or_else(Vec::new, |some| some.draw(&mut rng, to));
        let tones = Tone::draw(self, &mut rng, brightness, contrast);
        let erase = if rng.random::<f32>() < self.erasing {
            Rectangle::to_erase(&mut rng, to).map(|part| (part, rng.random()))
        } else {
            None
        };
        Draw {
            crop,
            flip,
            operations,
            tones,
            warp,
            erase,
        }
    }
}

impl Draw {
    /// Makes the changes and writes normalised values `[3, height, width]`.
    pub(crate) fn write(
        &self,
        image: &Raster,
        preprocess: &Preprocess,
        norm: &Normalization,
        out: &mut [f32],
    ) {
        let size = [preprocess.height, preprocess.width];
        let mut pixels = match self.crop {
            Some(Rectangle {
                top,
                left,
                height,
                width,
            }) => {
                let part = image.view().crop([top, left], [height, width]);
                Cow::Owned(resize(part, size, preprocess.filter))
            }
            None => Cow::Borrowed(&image.pixels),
        };
        if self.flip {
            for row in pixels.to_mut().chunks_exact_mut(size[1] * 3) {
                row.as_chunks_mut::<3>().0.reverse();
            }
        }
        for (kind, amount) in &self.operations {
            kind.apply(*amount, pixels.to_mut(), size);
        }
        for tone in &self.tones {
            tone.apply(pixels.to_mut());
        }
        self.warp.write(&pixels, size, norm, out);
        if let Some((part, seed)) = self.erase {
            let mut rng = rng(seed, 0);
            for channel in 0..3 {
                for row in part.top..part.top + part.height {
                    let start = (channel * size[0] + row) * size[1] + part.left;
                    for value in &mut out[start..start + part.width] {
                        *value = StandardNormal.sample(&mut rng);
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
    use crate::augment::{Crop, RandAugment};

    const SIZE: [usize; 2] = [12, 12];

    fn draw(augment: &Augment, seed: u64, epoch: usize, index: usize) -> Draw {
        augment.draw(seed, epoch, index, SIZE, SIZE)
    }

    fn written(augment: &Augment, index: usize, values: &[u8], size: [usize; 2]) -> Vec<f32> {
        let image = Raster {
            height: size[0],
            width: size[1],
            pixels: values.iter().flat_map(|value| [*value; 3]).collect(),
        };
        let preprocess = Preprocess {
            height: size[0],
            width: size[1],
            ..Preprocess::square(1)
        };
        let plain = Normalization {
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
        };
        let mut out = vec![0.0; values.len() * 3];
        let draw = augment.draw(0, 0, index, size, size);
        draw.write(&image, &preprocess, &plain, &mut out);
        out
    }

    #[test]
    fn a_draw_depends_only_on_seed_epoch_and_index() {
        let augment = Augment {
            shift: 3,
            rotate: 10.0,
            ..Augment::strong()
        };
        let one = draw(&augment, 1, 2, 3);
        assert_eq!(one, draw(&augment, 1, 2, 3));
        assert_ne!(one, draw(&augment, 1, 2, 4));
        assert_ne!(one, draw(&augment, 1, 3, 3));
        assert_ne!(one, draw(&augment, 2, 2, 3));
        assert_eq!(draw(&Augment::default(), 1, 2, 3).warp, Warp::none());
    }

    #[test]
    fn half_of_the_images_are_mirrored_and_keep_their_exact_values() {
        let augment = Augment {
            flip: true,
            ..Augment::default()
        };
        let mirrored = (0..2000)
            .filter(|index| {
                let values = written(&augment, *index, &[1, 2, 3, 4, 5, 6], [2, 3]);
                let red: Vec<f32> = values[..6].iter().map(|value| value.round()).collect();
                let is = red == [3.0, 2.0, 1.0, 6.0, 5.0, 4.0];
                assert!(is || red == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "{red:?}");
                is
            })
            .count();
        // The expected count is 1000, with a standard deviation of 22.
        assert!((890..=1110).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn draws_are_within_their_limits_and_evenly_distributed() {
        let augment = Augment {
            shift: 2,
            rotate: 30.0,
            scale: 0.1,
            brightness: 0.2,
            contrast: 5.0,
            saturation: 0.3,
            hue: 0.1,
            ..Augment::default()
        };
        let draws: Vec<_> = (0..2000).map(|index| draw(&augment, 0, 1, index)).collect();
        let mut first = [0; 4];
        for draw in &draws {
            assert!(draw.warp.shift.iter().all(|shift| shift.abs() <= 2.0));
            assert!(draw.warp.angle.abs() <= 30_f32.to_radians());
            assert!((0.9..=1.1).contains(&draw.warp.zoom));
            assert_eq!(draw.tones.len(), 4);
            for (place, tone) in draw.tones.iter().enumerate() {
                let (kind, within) = match tone {
                    Tone::Brightness(factor) => (0, (0.8..=1.2).contains(factor)),
                    Tone::Contrast(factor) => (1, (0.0..=6.0).contains(factor)),
                    Tone::Saturation(factor) => (2, (0.7..=1.3).contains(factor)),
                    Tone::Hue(share) => (3, (-0.1..=0.1).contains(share)),
                };
                assert!(within, "{tone:?}");
                first[kind] += usize::from(place == 0);
            }
        }
        // Each operation is the first in a quarter of the draws: 500 ± 19.
        assert!(
            first.iter().all(|count| (400..=600).contains(count)),
            "{first:?}"
        );
        // Each of the five shifts occurs in a fifth of the draws: 400 ± 18.
        for shift in [-2.0_f32, -1.0, 0.0, 1.0, 2.0] {
            let is = |draw: &&Draw| (draw.warp.shift[0] - shift).abs() < 0.5;
            let count = draws.iter().filter(is).count();
            assert!((310..=490).contains(&count), "{shift}: {count}");
        }
    }

    #[test]
    fn erasing_replaces_a_rectangle_by_noise_in_a_share_of_the_images() {
        let augment = Augment {
            erasing: 0.25,
            ..Augment::default()
        };
        let mut count = 0;
        let mut noise = Vec::new();
        for index in 0..1000 {
            let values = written(&augment, index, &[200; 400], [20, 20]);
            let changed = values.iter().filter(|value| (**value - 200.0).abs() > 1e-3);
            let changed: Vec<f32> = changed.copied().collect();
            count += usize::from(!changed.is_empty());
            noise.extend(changed);
        }
        // The expected count is 250 ± 14.
        assert!((195..=305).contains(&count), "{count}");
        let n = noise.len() as f32;
        let mean = noise.iter().sum::<f32>() / n;
        let variance = noise.iter().map(|value| value * value).sum::<f32>() / n;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }

    #[test]
    fn a_crop_of_the_whole_area_changes_nothing() {
        let augment = Augment {
            crop: Some(Crop {
                scale: [1.0, 1.0],
                ratio: [1.0, 1.0],
            }),
            ..Augment::default()
        };
        let values: Vec<u8> = (0..144).collect();
        let out = written(&augment, 7, &values, SIZE);
        for (out, value) in out.iter().zip(values.iter().cycle()) {
            assert!((out - f32::from(*value)).abs() < 1e-3);
        }
    }

    #[test]
    fn all_operations_are_drawn_and_large_settings_give_valid_values() {
        let augment = Augment {
            scale: 3.0,
            brightness: 3.0,
            rand_augment: Some(RandAugment {
                operations: 3,
                magnitude: 30,
            }),
            ..Augment::default()
        };
        let mut kinds = Vec::new();
        for index in 0..300 {
            let values = written(&augment, index, &[10, 20, 30, 40], [2, 2]);
            assert!(
                values.iter().all(|value| (0.0..=255.1).contains(value)),
                "{values:?}"
            );
            for (kind, _) in draw(&augment, 0, 0, index).operations {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        assert_eq!(kinds.len(), 14);
    }
}
