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

/// The weights `[to, from]` with which [`resample`] computes each of `to` values from `from`, along one
/// axis.
pub(crate) fn line_weights(from: usize, to: usize) -> Vec<f32> {
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut pixels = vec![0_u8; from * from * 4];
    for diagonal in 0..from {
        let start = (diagonal * from + diagonal) * 4;
        pixels[start..start + 4].copy_from_slice(&1_f32.to_le_bytes());
    }
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let mut target = Image::new(side(to), side(from), PixelType::F32);
    // Both images have the sizes and the type that the resizer checks.
    if let Ok(source) = Image::from_vec_u8(side(from), side(from), pixels, PixelType::F32) {
        let _ = Resizer::new().resize(&source, &mut target, &options);
    }
    let resized = target.buffer().as_chunks::<4>().0;
    let mut weights = vec![0.0; to * from];
    for (index, bytes) in resized.iter().enumerate() {
        weights[index % to * from + index / to] = f32::from_le_bytes(*bytes);
    }
    weights
}
