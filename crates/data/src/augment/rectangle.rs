//! Random rectangles to crop, to erase and to paste.

use rand::{Rng, RngExt};

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// Attempts to draw a rectangle that fits, as in torchvision.
const ATTEMPTS: usize = 10;

/// Draws the sides of a rectangle: its area is a uniform share of `area`, and the logarithm of its ratio,
/// width to height, is uniform.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn sides(rng: &mut impl Rng, area: f64, scale: [f32; 2], ratio: [f32; 2]) -> [usize; 2] {
    let area = area * uniform(rng, scale.map(f64::from));
    let ratio = uniform(rng, ratio.map(|side| f64::from(side).ln())).exp();
    // Halves are rounded to even, as in Python.
    [area / ratio, area * ratio].map(|square| square.sqrt().round_ties_even() as usize)
}

fn uniform(rng: &mut impl Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// Draws the place of a rectangle of `[height, width]` in an image of `size`.
fn at_random(rng: &mut impl Rng, size: [usize; 2], [height, width]: [usize; 2]) -> Rectangle {
    Rectangle {
        top: rng.random_range(0..=size[0] - height),
        left: rng.random_range(0..=size[1] - width),
        height,
        width,
    }
}

impl Rectangle {
    /// Draws a crop: torchvision's `RandomResizedCrop.get_params`.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub(crate) fn to_crop(
        rng: &mut impl Rng,
        size: [usize; 2],
        scale: [f32; 2],
        ratio: [f32; 2],
    ) -> Self {
        let [height, width] = size;
        for _ in 0..ATTEMPTS {
            let [h, w] = sides(rng, (height * width) as f64, scale, ratio);
            if (1..=height).contains(&h) && (1..=width).contains(&w) {
                return at_random(rng, size, [h, w]);
            }
        }
        // None fits: the largest rectangle at the centre that the ratios allow.
        let own = width as f64 / height as f64;
        let (h, w) = if own < f64::from(ratio[0]) {
            let high = (width as f64 / f64::from(ratio[0])).round_ties_even();
            (high as usize, width)
        } else if own > f64::from(ratio[1]) {
            let wide = (height as f64 * f64::from(ratio[1])).round_ties_even();
            (height, wide as usize)
        } else {
            (height, width)
        };
        let (h, w) = (h.clamp(1, height), w.clamp(1, width));
        Self {
            top: (height - h) / 2,
            left: (width - w) / 2,
            height: h,
            width: w,
        }
    }

    /// Draws a rectangle to erase: torchvision's `RandomErasing.get_params` with its defaults. `None` if no
    /// attempt fits.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn to_erase(rng: &mut impl Rng, size: [usize; 2]) -> Option<Self> {
        for _ in 0..ATTEMPTS {
            let area = (size[0] * size[1]) as f64;
            // torchvision's ratio is height to width here, so the sides are swapped.
            let [width, height] = sides(rng, area, [0.02, 0.33], [0.3, 3.3]);
            if (1..size[0]).contains(&height) && (1..size[1]).contains(&width) {
                return Some(at_random(rng, size, [height, width]));
            }
        }
        None
    }

    /// Draws a rectangle to paste: a share of `1 - kept` of the area around a random centre, cut off at the
    /// edges of the image (Yun et al. 2019, equation 2).
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub(crate) fn to_paste(rng: &mut impl Rng, size: [usize; 2], kept: f64) -> Self {
        let share = (1.0 - kept).max(0.0).sqrt();
        let mut span = |side: usize| {
            let half = (side as f64 * share) as usize / 2;
            let centre = rng.random_range(0..side);
            (centre.saturating_sub(half), (centre + half).min(side))
        };
        let ((top, bottom), (left, right)) = (span(size[0]), span(size[1]));
        Self {
            top,
            left,
            height: bottom - top,
            width: right - left,
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests {
    use super::*;
    use crate::random::rng;

    const RATIO: [f32; 2] = [0.75, 4.0 / 3.0];

    #[test]
    fn crops_have_the_requested_areas_and_ratios() {
        let mut random = rng(3, 0);
        let mut areas = Vec::new();
        for _ in 0..4000 {
            let part = Rectangle::to_crop(&mut random, [400, 400], [0.1, 0.5], RATIO);
            assert!(part.top + part.height <= 400 && part.left + part.width <= 400);
            let area = (part.height * part.width) as f64 / 160_000.0;
            let ratio = part.width as f64 / part.height as f64;
            assert!((0.098..0.503).contains(&area), "{area}");
            assert!((0.74..1.35).contains(&ratio), "{ratio}");
            areas.push(area);
        }
        // Uniform between 0.1 and 0.5: mean 0.3, standard error 0.0018.
        let mean = areas.iter().sum::<f64>() / 4000.0;
        assert!((mean - 0.3).abs() < 0.008, "{mean}");
    }

    #[test]
    fn a_crop_that_never_fits_is_taken_from_the_centre() {
        // At ratios near 1, no crop has the whole area of a strip. The fallback has height 10 and
        // width 10 · 4/3 = 13, from column 43 on.
        let part = Rectangle::to_crop(&mut rng(0, 0), [10, 100], [1.0, 1.0], RATIO);
        let wanted = Rectangle {
            top: 0,
            left: 43,
            height: 10,
            width: 13,
        };
        assert_eq!(part, wanted);
    }

    #[test]
    fn rectangles_to_erase_are_inside_the_image() {
        let mut random = rng(5, 0);
        for _ in 0..2000 {
            let part = Rectangle::to_erase(&mut random, [60, 80]).unwrap();
            let area = (part.height * part.width) as f64 / 4800.0;
            assert!((0.01..0.36).contains(&area), "{area}");
            assert!(part.top + part.height <= 60 && part.left + part.width <= 80);
        }
        assert_eq!(Rectangle::to_erase(&mut random, [1, 1]), None);
    }

    #[test]
    fn rectangles_to_paste_have_the_share_of_the_other_image() {
        let mut random = rng(6, 0);
        for _ in 0..500 {
            // Each side is √0.25 = ½ of the image's, unless the edge of the image cuts it off.
            let part = Rectangle::to_paste(&mut random, [100, 60], 0.75);
            assert!((25..=50).contains(&part.height) && (15..=30).contains(&part.width));
        }
        let none = Rectangle::to_paste(&mut random, [10, 10], 1.0);
        assert_eq!(none.height * none.width, 0);
    }
}
