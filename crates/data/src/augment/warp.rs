//! Shift, rotation and zoom with bilinear interpolation, in `f32`.

use crate::images::Normalization;

/// A shift, rotation and zoom about the centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Warp {
    /// Down and to the right, in whole pixels.
    pub(crate) shift: [f32; 2],
    /// Counter-clockwise, in radians.
    pub(crate) angle: f32,
    pub(crate) zoom: f32,
}

impl Warp {
    pub(crate) fn none() -> Self {
        Self {
            shift: [0.0; 2],
            angle: 0.0,
            zoom: 1.0,
        }
    }

    /// Writes bytes `[height, width, 3]` as normalised values `[3, height, width]`.
    ///
    /// Pixels from outside of the image repeat its edge.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn write(
        &self,
        pixels: &[u8],
        [height, width]: [usize; 2],
        norm: &Normalization,
        out: &mut [f32],
    ) {
        if *self == Self::none() {
            norm.write(pixels, out);
            return;
        }
        let plane = height * width;
        let (sin, cos) = self.angle.sin_cos();
        let centre = [(height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0];
        for row in 0..height {
            for column in 0..width {
                // The place of this pixel in the input: shift, zoom and rotation undone.
                let y = (row as f32 - centre[0] - self.shift[0]) / self.zoom;
                let x = (column as f32 - centre[1] - self.shift[1]) / self.zoom;
                let (y, x) = (cos * y + sin * x, cos * x - sin * y);
                let rgb = sample(pixels, [height, width], y + centre[0], x + centre[1]);
                for (channel, value) in rgb.into_iter().enumerate() {
                    let scale = 1.0 / norm.std[channel];
                    let value = (value / 255.0 - norm.mean[channel]) * scale;
                    out[channel * plane + row * width + column] = value;
                }
            }
        }
    }
}

/// Bilinear interpolation at a position, which may be outside of the image.
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

    /// Returns the red values of a picture after a warp.
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
    fn shifting_is_exact() {
        let picture = [1, 2, 3, 4, 5, 6];
        let shift = Warp {
            shift: [1.0, -1.0],
            ..Warp::none()
        };
        assert_eq!(red(shift, &picture, [2, 3]), [2.0, 3.0, 3.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn a_quarter_turn_moves_the_right_column_to_the_top() {
        let turn = Warp {
            angle: std::f32::consts::FRAC_PI_2,
            ..Warp::none()
        };
        let picture = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        // The turn is counter-clockwise, so the right column becomes the top row.
        assert_eq!(
            red(turn, &picture, [3, 3]),
            [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]
        );
    }

    #[test]
    fn zooming_interpolates() {
        let zoom = Warp {
            zoom: 2.0,
            ..Warp::none()
        };
        assert_eq!(red(zoom, &[0, 10, 20], [1, 3]), [5.0, 10.0, 15.0]);
    }
}
