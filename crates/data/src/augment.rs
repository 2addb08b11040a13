//! Random changes of training images.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::images::Normalization;
use crate::random::rng;

/// Which random changes an image gets; the default is none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Left and right change places in half of the images.
    pub flip: bool,
    /// Moved by up to this many pixels either way in both directions.
    pub shift: usize,
    /// Turned by up to this many degrees either way.
    pub rotate: f32,
    /// Enlarged or reduced by up to this share: `1 ± this`, never below a tenth.
    pub scale: f32,
    /// Brightness times `1 ± this` at most (torchvision's `ColorJitter`).
    pub brightness: f32,
    /// Contrast times `1 ± this` at most (torchvision's `ColorJitter`).
    pub contrast: f32,
}

impl Augment {
    /// The change of one image: it depends on seed, epoch and the image's index, on nothing else.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn draw(&self, seed: u64, epoch: usize, index: usize) -> Warp {
        if *self == Self::default() {
            return Warp::none();
        }
        // One stream an image and epoch: 2^32 of either.
        let mut rng = rng(seed, ((epoch as u64) << 32) | index as u64 | 1 << 63);
        let mut symmetric = |limit: f32| limit * (2.0 * rng.random::<f32>() - 1.0);
        let angle = symmetric(self.rotate).to_radians();
        // Settings may be beyond 1: never turned inside out, never negative light.
        let zoom = (1.0 + symmetric(self.scale)).max(0.1);
        let brightness = (1.0 + symmetric(self.brightness)).max(0.0);
        let contrast = (1.0 + symmetric(self.contrast)).max(0.0);
        let shift = self.shift as f32 + 0.5;
        let shift = [symmetric(shift), symmetric(shift)].map(f32::round);
        let limit = self.shift as f32;
        Warp {
            flip: self.flip && rng.random::<bool>(),
            shift: shift.map(|pixels| pixels.clamp(-limit, limit)),
            angle,
            zoom,
            brightness,
            contrast,
        }
    }
}

/// One drawn change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Warp {
    pub flip: bool,
    /// Down and to the right, whole pixels.
    pub shift: [f32; 2],
    /// Counter-clockwise, radians.
    pub angle: f32,
    pub zoom: f32,
    pub brightness: f32,
    pub contrast: f32,
}

impl Warp {
    pub(crate) fn none() -> Self {
        Self {
            flip: false,
            shift: [0.0; 2],
            angle: 0.0,
            zoom: 1.0,
            brightness: 1.0,
            contrast: 1.0,
        }
    }

    /// Writes an image `[height, width, 3]` of bytes as `[3, height, width]` normalised values.
    ///
    /// What lies outside the image repeats its edge.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn write(
        &self,
        pixels: &[u8],
        [height, width]: [usize; 2],
        norm: &Normalization,
        out: &mut [f32],
    ) {
        let plane = height * width;
        if *self == Self::none() {
            for (i, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
                for channel in 0..3 {
                    out[channel * plane + i] = f32::from(pixel[channel]) / 255.0;
                }
            }
        } else {
            let (sin, cos) = self.angle.sin_cos();
            let centre = [(height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0];
            for row in 0..height {
                for column in 0..width {
                    // Where this pixel comes from: shift, turn and zoom undone about the centre.
                    let y = (row as f32 - centre[0] - self.shift[0]) / self.zoom;
                    let x = (column as f32 - centre[1] - self.shift[1]) / self.zoom;
                    let (y, x) = (cos * y + sin * x, cos * x - sin * y);
                    let x = if self.flip { -x } else { x };
                    let rgb = sample(pixels, [height, width], y + centre[0], x + centre[1]);
                    for (channel, value) in rgb.into_iter().enumerate() {
                        out[channel * plane + row * width + column] = value / 255.0;
                    }
                }
            }
            self.jitter(out, plane);
        }
        for channel in 0..3 {
            let (mean, scale) = (norm.mean[channel], 1.0 / norm.std[channel]);
            for value in &mut out[channel * plane..][..plane] {
                *value = (*value - mean) * scale;
            }
        }
    }

    /// Brightness, then contrast about the mean grey (ITU-R 601 luma), as torchvision.
    #[allow(clippy::cast_precision_loss)]
    fn jitter(&self, out: &mut [f32], plane: usize) {
        if self.brightness.to_bits() != 1.0_f32.to_bits() {
            for value in out.iter_mut() {
                *value = (*value * self.brightness).clamp(0.0, 1.0);
            }
        }
        if self.contrast.to_bits() != 1.0_f32.to_bits() {
            let mean =
                |channel: usize| out[channel * plane..][..plane].iter().sum::<f32>() / plane as f32;
            let grey = 0.299 * mean(0) + 0.587 * mean(1) + 0.114 * mean(2);
            for value in out.iter_mut() {
                *value = (grey + (*value - grey) * self.contrast).clamp(0.0, 1.0);
            }
        }
    }
}

/// Bilinear interpolation at a position that may lie outside.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn sample(pixels: &[u8], [height, width]: [usize; 2], y: f32, x: f32) -> [f32; 3] {
    let split = |position: f32, size: usize| {
        let position = position.clamp(0.0, size as f32 - 1.0);
        let low = position.floor();
        (
            low as usize,
            (low as usize + 1).min(size - 1),
            position - low,
        )
    };
    let ((top, bottom, down), (left, right, across)) = (split(y, height), split(x, width));
    let at = |row: usize, column: usize, channel: usize| {
        f32::from(pixels[(row * width + column) * 3 + channel])
    };
    std::array::from_fn(|channel| {
        let upper = at(top, left, channel) * (1.0 - across) + at(top, right, channel) * across;
        let lower =
            at(bottom, left, channel) * (1.0 - across) + at(bottom, right, channel) * across;
        upper * (1.0 - down) + lower * down
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Normalization = Normalization {
        mean: [0.0; 3],
        std: [1.0 / 255.0; 3],
    };

    /// Red values after a change of a one-channel picture.
    fn red(warp: Warp, values: &[u8], size: [usize; 2]) -> Vec<f32> {
        let pixels: Vec<u8> = values.iter().flat_map(|value| [*value, 0, 0]).collect();
        let mut out = vec![0.0; pixels.len()];
        warp.write(&pixels, size, &PLAIN, &mut out);
        out[..values.len()]
            .iter()
            .map(|value| (value * 100.0).round() / 100.0)
            .collect()
    }

    #[test]
    fn flip_and_shift_are_exact() {
        let picture = [1, 2, 3, 4, 5, 6];
        let flip = Warp {
            flip: true,
            ..Warp::none()
        };
        assert_eq!(red(flip, &picture, [2, 3]), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        let shift = Warp {
            shift: [1.0, -1.0],
            ..Warp::none()
        };
        assert_eq!(red(shift, &picture, [2, 3]), [2.0, 3.0, 3.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn a_quarter_turn_turns() {
        let turn = Warp {
            angle: std::f32::consts::FRAC_PI_2,
            ..Warp::none()
        };
        let picture = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        // Counter-clockwise: the right column becomes the top row.
        assert_eq!(
            red(turn, &picture, [3, 3]),
            [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]
        );
    }

    #[test]
    fn doubling_interpolates() {
        let zoom = Warp {
            zoom: 2.0,
            ..Warp::none()
        };
        assert_eq!(red(zoom, &[0, 10, 20], [1, 3]), [5.0, 10.0, 15.0]);
    }

    #[test]
    fn brightness_and_contrast_follow_torchvision() {
        let bright = Warp {
            brightness: 1.5,
            ..Warp::none()
        };
        assert_eq!(red(bright, &[100, 200], [1, 2]), [150.0, 255.0]);
        // Mean grey 0.299 · 140 = 41.86; 41.86 + (100 - 41.86) · 0.5 = 70.93.
        let flat = Warp {
            contrast: 0.5,
            ..Warp::none()
        };
        assert_eq!(red(flat, &[100, 180], [1, 2]), [70.93, 110.93]);
    }

    #[test]
    fn a_draw_depends_on_seed_epoch_and_index_alone() {
        let augment = Augment {
            flip: true,
            shift: 3,
            rotate: 10.0,
            ..Augment::default()
        };
        assert_eq!(augment.draw(1, 2, 3), augment.draw(1, 2, 3));
        assert_ne!(augment.draw(1, 2, 3), augment.draw(1, 2, 4));
        assert_ne!(augment.draw(1, 2, 3), augment.draw(1, 3, 3));
        assert_ne!(augment.draw(1, 2, 3), augment.draw(2, 2, 3));
        assert_eq!(Augment::default().draw(1, 2, 3), Warp::none());
    }

    #[test]
    fn draws_stay_within_their_limits_and_reach_them() {
        let augment = Augment {
            flip: true,
            shift: 2,
            rotate: 30.0,
            scale: 0.1,
            brightness: 0.2,
            contrast: 5.0,
        };
        let draws: Vec<_> = (0..2000).map(|index| augment.draw(0, 1, index)).collect();
        for draw in &draws {
            assert!(draw.shift.iter().all(|shift| shift.abs() <= 2.0));
            assert!(draw.angle.abs() <= 30_f32.to_radians());
            assert!((0.9..=1.1).contains(&draw.zoom));
            assert!((0.8..=1.2).contains(&draw.brightness));
            assert!((0.0..=6.0).contains(&draw.contrast));
        }
        // Each of the five shifts in a fifth of the draws, a flip in half of them: 400 and 1000,
        // with standard deviations of 18 and 22.
        for shift in [-2.0_f32, -1.0, 0.0, 1.0, 2.0] {
            let count = draws
                .iter()
                .filter(|draw| (draw.shift[0] - shift).abs() < 0.5)
                .count();
            assert!((310..=490).contains(&count), "{shift}: {count}");
        }
        let flips = draws.iter().filter(|draw| draw.flip).count();
        assert!((890..=1110).contains(&flips), "{flips}");
    }

    #[test]
    fn settings_beyond_one_give_finite_values() {
        let augment = Augment {
            scale: 3.0,
            brightness: 3.0,
            ..Augment::default()
        };
        for index in 0..100 {
            let values = red(augment.draw(0, 0, index), &[10, 20, 30, 40], [2, 2]);
            assert!(
                values.iter().all(|value| (0.0..=255.0).contains(value)),
                "{values:?}"
            );
        }
    }
}
