//! Shears, translations and rotations of bytes `[height, width, 3]`, as Pillow's `Image.transform` does
//! them.

/// From the centre of an output pixel to its place in the input: `x' = a·x + b·y + c`,
/// `y' = d·x + e·y + f`.
pub(crate) type Matrix = [f64; 6];

/// Shear along x about the corner, as torchvision's `affine`.
pub(crate) fn shear_x(amount: f64) -> Matrix {
    [
        1.0,
        amount.atan().to_degrees().to_radians().tan(),
        0.0,
        0.0,
        1.0,
        0.0,
    ]
}

/// Shear along y about the corner.
pub(crate) fn shear_y(amount: f64) -> Matrix {
    let angle = amount.atan().to_degrees().to_radians();
    [1.0, 0.0, 0.0, angle.sin() / angle.cos(), 1.0, 0.0]
}

/// Translation to the right and down, pixels.
pub(crate) fn translate(x: f64, y: f64) -> Matrix {
    [1.0, 0.0, -x, 0.0, 1.0, -y]
}

/// Rotation counter-clockwise about the centre, degrees, as `Image.rotate`.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn rotate(degrees: f64, [height, width]: [usize; 2]) -> Matrix {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let fifteen = |value: f64| (value * 1e15).round_ties_even() / 1e15;
    let (cos, sin) = (fifteen(angle.cos()), fifteen(angle.sin()));
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    [
        cos,
        sin,
        cos * -x + sin * -y + x,
        -sin,
        cos,
        -sin * -x + cos * -y + y,
    ]
}

/// Transforms an image with bilinear interpolation. Pixels from outside of it are black (`Geometry.c`,
/// `ImagingGenericTransform` and `bilinear_filter32RGB`).
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::many_single_char_names
)]
pub(crate) fn transform(pixels: &[u8], [height, width]: [usize; 2], matrix: Matrix) -> Vec<u8> {
    let [a, b, c, d, e, f] = matrix;
    let mut to = vec![0; pixels.len()];
    let (from, _) = pixels.as_chunks::<3>();
    for (index, to) in to.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let x = (index % width) as f64 + 0.5;
        let y = (index / width) as f64 + 0.5;
        let (x, y) = (a * x + b * y + c, d * x + e * y + f);
        let inside = |value: f64, side: usize| value >= 0.0 && value < side as f64;
        if !(inside(x, width) && inside(y, height)) {
            continue;
        }
        let (x, y) = (x - 0.5, y - 0.5);
        let (column, row) = (x.floor(), y.floor());
        let (dx, dy) = (x - column, y - row);
        let clip = |value: f64, side: usize| (value.max(0.0) as usize).min(side - 1);
        let (left, right) = (clip(column, width), clip(column + 1.0, width));
        let (upper, lower) = (clip(row, height), clip(row + 1.0, height));
        for (channel, to) in to.iter_mut().enumerate() {
            let at = |row: usize, column: usize| f64::from(from[row * width + column][channel]);
            let across = |row: usize| at(row, left) + (at(row, right) - at(row, left)) * dx;
            let (above, below) = (across(upper), across(lower));
            *to = (above + (below - above) * dy) as u8;
        }
    }
    to
}
