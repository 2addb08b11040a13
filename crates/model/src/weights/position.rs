//! Resampling a position embedding to another number of patches.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// Resamples the embedding `[1, prefix + from², width]` of some tokens and a square of patches to
/// `[1, prefix + to², width]`: bicubic (Catmull–Rom), antialiased if it shrinks, as in timm's
/// `resample_abs_pos_embed`. The embedding of the first tokens stays. `None` if `values` are too few.
pub(crate) fn resample(values: &[f32], prefix: usize, width: usize, to: usize) -> Option<Vec<f32>> {
    let (first, patches) = values.split_at_checked(prefix * width)?;
    let from = (patches.len() / width.max(1)).isqrt();
    let mut resampled = first.to_vec();
    resampled.resize((prefix + to * to) * width, 0.0);
    let side = |length: usize| u32::try_from(length).ok();
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    for feature in 0..width {
        let plane: Vec<u8> = patches
            .iter()
            .skip(feature)
            .step_by(width)
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let source = Image::from_vec_u8(side(from)?, side(from)?, plane, PixelType::F32).ok()?;
        let mut target = Image::new(side(to)?, side(to)?, PixelType::F32);
        Resizer::new().resize(&source, &mut target, &options).ok()?;
        let pixels = target.buffer().as_chunks::<4>().0;
        for (patch, bytes) in pixels.iter().enumerate() {
            resampled[(prefix + patch) * width + feature] = f32::from_le_bytes(*bytes);
        }
    }
    Some(resampled)
}
