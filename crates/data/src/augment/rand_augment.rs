//! `RandAugment` (Cubuk et al. 2019, arXiv:1909.13719) with the operations and strengths of torchvision.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{affine, pillow};

/// How many operations are applied to an image, and how strong they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandAugment {
    /// Number of operations, N in the paper.
    pub operations: usize,
    /// Strength from 0 to 30, M in the paper.
    pub magnitude: usize,
}

impl Default for RandAugment {
    /// Two operations of magnitude 9, as in torchvision.
    fn default() -> Self {
        Self {
            operations: 2,
            magnitude: 9,
        }
    }
}

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

const KINDS: [Kind; 14] = [
    Kind::Identity,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Brightness,
    Kind::Color,
    Kind::Contrast,
    Kind::Sharpness,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
];

impl RandAugment {
    /// The largest magnitude.
    pub const LARGEST: usize = 30;

    /// Draws the operations of an image of `[height, width]`, with their amounts.
    pub(crate) fn draw(&self, rng: &mut impl Rng, size: [usize; 2]) -> Vec<(Kind, f64)> {
        let operation = |_| {
            let kind = KINDS[rng.random_range(0..KINDS.len())];
            let (amount, signed) = kind.amount(self.magnitude, size);
            let negative = signed && rng.random::<bool>();
            (kind, if negative { -amount } else { amount })
        };
        (0..self.operations).map(operation).collect()
    }
}

impl Kind {
    /// The amount for a magnitude, and whether it may be negated: torchvision's `_augmentation_space`.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn amount(self, magnitude: usize, [height, width]: [usize; 2]) -> (f64, bool) {
        let share = magnitude as f64 / RandAugment::LARGEST as f64;
        match self {
            Self::Identity | Self::AutoContrast | Self::Equalize => (0.0, false),
            Self::ShearX | Self::ShearY => (0.3 * share, true),
            Self::TranslateX => (150.0 / 331.0 * width as f64 * share, true),
            Self::TranslateY => (150.0 / 331.0 * height as f64 * share, true),
            Self::Rotate => (30.0 * share, true),
            Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => {
                (0.9 * share, true)
            }
            Self::Posterize => (8.0 - (4.0 * share).round_ties_even(), false),
            Self::Solarize => (255.0 * (1.0 - share), false),
        }
    }

    /// torchvision's `_apply_op` with bilinear interpolation; pixels from outside of the image are black.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn apply(self, amount: f64, pixels: &mut Vec<u8>, size: [usize; 2]) {
        let factor = (1.0 + amount) as f32;
        let matrix = match self {
            Self::ShearX => affine::shear_x(amount),
            Self::ShearY => affine::shear_y(amount),
            Self::TranslateX => affine::translate(amount.trunc(), 0.0),
            Self::TranslateY => affine::translate(0.0, amount.trunc()),
            Self::Rotate => affine::rotate(amount, size),
            Self::Identity => return,
            Self::Brightness => return pillow::brightness(pixels, factor),
            Self::Color => return pillow::saturation(pixels, factor),
            Self::Contrast => return pillow::contrast(pixels, factor),
            Self::Sharpness => return pillow::sharpness(pixels, size, factor),
            Self::Posterize => return pillow::posterize(pixels, amount as u32),
            Self::Solarize => return pillow::solarize(pixels, amount),
            Self::AutoContrast => return pillow::autocontrast(pixels),
            Self::Equalize => return pillow::equalize(pixels),
        };
        *pixels = affine::transform(pixels, size, matrix);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::super::pillow;
    use super::*;

    /// Returns the fixtures that `tests/parity/augment.py` wrote.
    fn fixtures() -> (Value, impl Fn(&str) -> image::RgbImage) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/augment");
        let cases = std::fs::read(folder.join("cases.json")).unwrap();
        let open = move |name: &str| image::open(folder.join(name)).unwrap().into_rgb8();
        (serde_json::from_slice(&cases).unwrap(), open)
    }

    fn kind(name: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    #[test]
    fn operations_equal_pillow_to_the_bit() {
        let (fixtures, open) = fixtures();
        let photo = open("photo.png");
        let size = [photo.height() as usize, photo.width() as usize];
        let cases = fixtures["cases"].as_array().unwrap();
        let mut wrong = Vec::new();
        for case in cases {
            let amount = case["amount"].as_f64().unwrap();
            let mut pixels = photo.as_raw().clone();
            match kind(case["kind"].as_str().unwrap()) {
                Some(kind) => kind.apply(amount, &mut pixels, size),
                None => pillow::hue(&mut pixels, amount as f32),
            }
            let wanted = open(case["file"].as_str().unwrap()).into_raw();
            let different = pixels.iter().zip(&wanted).filter(|(a, b)| a != b).count();
            if different > 0 {
                wrong.push(format!("{case}: {different} of {}", wanted.len()));
            }
        }
        assert_eq!(cases.len(), 29);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn amounts_equal_those_of_torchvision() {
        let (fixtures, _) = fixtures();
        let table = fixtures["magnitudes"].as_object().unwrap();
        assert_eq!(table.len(), KINDS.len());
        for (name, wanted) in table {
            let kind = kind(name).unwrap();
            for (magnitude, wanted_amount) in [0, 9, 17, 30]
                .into_iter()
                .zip(wanted["values"].as_array().unwrap())
            {
                let (amount, signed) = kind.amount(magnitude, [50, 66]);
                let wanted_amount = wanted_amount.as_f64().unwrap();
                assert!(
                    (amount - wanted_amount).abs() < 1e-4,
                    "{name} {magnitude}: {amount}"
                );
                assert_eq!(signed, wanted["signed"].as_bool().unwrap(), "{name}");
            }
        }
    }
}
