//! Changes of colours, as torchvision's `ColorJitter` on PIL images.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::Augment;
use super::pillow;

/// A change of colours: by a factor, or for the hue by a share of the colour circle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tone {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f32),
}

impl Tone {
    /// Draws the changes and their order. Brightness and contrast have been drawn before.
    pub(crate) fn draw(
        augment: &Augment,
        rng: &mut impl Rng,
        brightness: f32,
        contrast: f32,
    ) -> Vec<Self> {
        let mut symmetric = |limit: f32| limit * (2.0 * rng.random::<f32>() - 1.0);
        let mut tones = Vec::new();
        if augment.brightness > 0.0 {
            tones.push(Self::Brightness(brightness));
        }
        if augment.contrast > 0.0 {
            tones.push(Self::Contrast(contrast));
        }
        if augment.saturation > 0.0 {
            tones.push(Self::Saturation(
                (1.0 + symmetric(augment.saturation)).max(0.0),
            ));
        }
        if augment.hue > 0.0 {
            tones.push(Self::Hue(symmetric(augment.hue.min(0.5))));
        }
        tones.shuffle(rng);
        tones
    }

    pub(crate) fn apply(self, pixels: &mut [u8]) {
        match self {
            Self::Brightness(factor) => pillow::brightness(pixels, factor),
            Self::Contrast(factor) => pillow::contrast(pixels, factor),
            Self::Saturation(factor) => pillow::saturation(pixels, factor),
            Self::Hue(share) => pillow::hue(pixels, share),
        }
    }
}
