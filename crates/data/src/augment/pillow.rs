//! Operations on bytes `[height, width, 3]`, equal to Pillow's to the bit: `ImageEnhance`, `ImageOps` and
//! the conversions between colour spaces.

/// `Image.blend` (`Blend.c`): interpolates from `degenerate` (factor 0) to `pixel` (factor 1), or
/// extrapolates beyond, in `f32`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn blend(degenerate: u8, pixel: u8, factor: f32) -> u8 {
    let difference = f32::from(i16::from(pixel) - i16::from(degenerate));
    let value = f32::from(degenerate) + factor * difference;
    // The conversion truncates the fraction and clamps to 0–255.
    value as u8
}

/// `ImageEnhance.Brightness`: factor 0 gives black.
pub(crate) fn brightness(pixels: &mut [u8], factor: f32) {
    let table: [u8; 256] = table(|value| blend(0, value, factor));
    replace(pixels, &table);
}

/// `ImageEnhance.Contrast`: factor 0 gives the rounded mean of the grey levels.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(crate) fn contrast(pixels: &mut [u8], factor: f32) {
    let (colours, _) = pixels.as_chunks::<3>();
    let sum: u64 = colours.iter().map(|rgb| u64::from(grey(*rgb))).sum();
    let mean = (sum as f64 / colours.len().max(1) as f64 + 0.5) as u8;
    let table: [u8; 256] = table(|value| blend(mean, value, factor));
    replace(pixels, &table);
}

/// `ImageEnhance.Color`: factor 0 gives the grey picture.
pub(crate) fn saturation(pixels: &mut [u8], factor: f32) {
    for rgb in pixels.as_chunks_mut::<3>().0 {
        let grey = grey(*rgb);
        *rgb = rgb.map(|value| blend(grey, value, factor));
    }
}

/// torchvision's `adjust_hue`: adds `share · 255` to the hue, a byte in HSV, which wraps around.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn hue(pixels: &mut [u8], share: f32) {
    let step = (f64::from(share) * 255.0) as i16;
    let step = step.rem_euclid(256).to_le_bytes()[0];
    for rgb in pixels.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*rgb);
        *rgb = from_hsv([hue.wrapping_add(step), saturation, value]);
    }
}

/// `ImageEnhance.Sharpness`: factor 0 gives the smoothed picture.
pub(crate) fn sharpness(pixels: &mut [u8], [height, width]: [usize; 2], factor: f32) {
    let smooth = smooth(pixels, [height, width]);
    for (pixel, smooth) in pixels.iter_mut().zip(smooth) {
        *pixel = blend(smooth, *pixel, factor);
    }
}

/// `ImageFilter.SMOOTH`: 1/13 of each neighbour plus 5/13 of the pixel; pixels at the edge stay.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn smooth(pixels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    const SIDE: f32 = 1.0 / 13.0;
    const MIDDLE: f32 = 5.0 / 13.0;
    let mut to = pixels.to_vec();
    let at = |row: usize, place: usize| f32::from(pixels[row * width * 3 + place]);
    for row in 1..height.saturating_sub(1) {
        for place in 3..(width * 3).saturating_sub(3) {
            let three = |row: usize, middle: f32| {
                at(row, place - 3) * SIDE + at(row, place) * middle + at(row, place + 3) * SIDE
            };
            let sum = 0.5 + three(row + 1, SIDE) + three(row, MIDDLE) + three(row - 1, SIDE);
            to[row * width * 3 + place] = sum as u8;
        }
    }
    to
}

/// `ImageOps.posterize`: only the upper `bits` bits of each value stay.
pub(crate) fn posterize(pixels: &mut [u8], bits: u32) {
    let mask = u8::MAX.checked_shl(8_u32.saturating_sub(bits)).unwrap_or(0);
    replace(pixels, &table(|value| value & mask));
}

/// `ImageOps.solarize`: values of `threshold` or more are inverted.
pub(crate) fn solarize(pixels: &mut [u8], threshold: f64) {
    let invert = |value: u8| {
        if f64::from(value) < threshold {
            value
        } else {
            255 - value
        }
    };
    replace(pixels, &table(invert));
}

/// `ImageOps.autocontrast`: stretches the values of each channel over all levels.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(crate) fn autocontrast(pixels: &mut [u8]) {
    each_channel(pixels, |counts| {
        let low = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        if high <= low {
            return table(|value| value);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        table(|value| (f64::from(value) * scale + offset) as u8)
    });
}

/// `ImageOps.equalize`: flattens the histogram of each channel.
pub(crate) fn equalize(pixels: &mut [u8]) {
    each_channel(pixels, |counts| {
        let mut used = counts.iter().filter(|count| **count > 0);
        let last = counts.iter().rev().find(|count| **count > 0).unwrap_or(&0);
        let several = used.nth(1).is_some();
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if !several || step == 0 {
            return table(|value| value);
        }
        let mut sum = step / 2;
        let levels: Vec<u8> = counts
            .iter()
            .map(|count| {
                let level = u8::try_from(sum / step).unwrap_or(u8::MAX);
                sum += count;
                level
            })
            .collect();
        table(|value| levels[usize::from(value)])
    });
}

/// The results of a function for all bytes.
fn table(value: impl Fn(u8) -> u8) -> [u8; 256] {
    let mut table = [0; 256];
    for (from, to) in (0..=u8::MAX).zip(&mut table) {
        *to = value(from);
    }
    table
}

/// Replaces each byte by its entry of a table.
fn replace(pixels: &mut [u8], table: &[u8; 256]) {
    for value in pixels {
        *value = table[usize::from(*value)];
    }
}

/// Replaces the bytes of each channel by those of a table that is computed from its histogram.
fn each_channel(pixels: &mut [u8], table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    let (colours, _) = pixels.as_chunks_mut::<3>();
    for channel in 0..3 {
        let mut counts = [0; 256];
        for rgb in colours.iter() {
            counts[usize::from(rgb[channel])] += 1;
        }
        let table = table(&counts);
        for rgb in colours.iter_mut() {
            rgb[channel] = table[usize::from(rgb[channel])];
        }
    }
}

/// Pillow's mode `L`: ITU-R BT.601 with 16 fractional bits.
#[allow(clippy::cast_possible_truncation)]
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    ((sum + 0x8000) >> 16) as u8
}

/// `Convert.c`, `rgb2hsv_row`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::many_single_char_names
)]
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let saturation = range / f32::from(most);
    let [rc, gc, bc] = [r, g, b].map(|value| f32::from(most - value) / range);
    let hue = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = ((f64::from(hue) / 6.0 + 1.0) % 1.0) as f32;
    let byte = |value: f32| (f64::from(value) * 255.0) as u8;
    [byte(hue), byte(saturation), most]
}

/// `Convert.c`, `hsv2rgb_row`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::many_single_char_names
)]
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let fs = f64::from((f64::from(saturation) / 255.0) as f32);
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sector = sixths.floor();
    let f = f64::from((sixths - sector) as f32);
    let v = f64::from(value);
    let level = |share: f64| (v * share).round() as u8;
    let p = level(1.0 - fs);
    let q = level(1.0 - fs * f);
    let t = level(1.0 - fs * (1.0 - f));
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
