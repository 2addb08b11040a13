//! Pooling, plane by plane.

use rayon::prelude::*;

use super::Window;
use crate::memory::written;

/// The position of an output that comes from no input because a ReLU set it to 0.
const NO_INPUT: u8 = u8::MAX;

/// The sizes of a pooling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooling {
    pub(super) window: Window,
    /// Height and width of a plane.
    pub(super) input: [usize; 2],
    pub(super) rectify: bool,
}

impl Pooling {
    /// Whether a byte can hold every position in the window, and the window fits into the image.
    pub(super) fn fits(&self) -> bool {
        let Window {
            kernel, padding, ..
        } = self.window;
        let inside = |axis: usize| {
            2 * padding[axis] <= kernel[axis]
                && kernel[axis] <= self.input[axis] + 2 * padding[axis]
        };
        kernel[0] * kernel[1] < usize::from(NO_INPUT) && inside(0) && inside(1)
    }

    pub(super) fn output(&self) -> [usize; 2] {
        self.window.output(self.input)
    }

    fn areas(&self) -> [usize; 2] {
        [self.input, self.output()].map(|[height, width]| height * width)
    }

    /// Computes the maximum of each window, and its position in the window.
    pub(super) fn forward(&self, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
        let [area, small] = self.areas();
        let count = x.len() / area * small;
        let mut places = vec![NO_INPUT; count];
        // SAFETY: the chunks cover the buffer, and each of their rows is written.
        #[allow(unsafe_code)]
        let made = unsafe {
            written(count, |made| {
                made.par_chunks_mut(small)
                    .zip(places.par_chunks_mut(small))
                    .zip(x.par_chunks(area))
                    .for_each(|((made, places), x)| {
                        let width = self.output()[1];
                        let mut best = vec![0.0; width];
                        let rows = made.chunks_mut(width).zip(places.chunks_mut(width));
                        for (row, (made, places)) in rows.enumerate() {
                            self.row(x, row, &mut best, places);
                            made.write_copy_of_slice(&best);
                        }
                    });
            })
        };
        (made, places)
    }

    /// Computes one row of the output.
    fn row(&self, x: &[f32], row: usize, best: &mut [f32], places: &mut [u8]) {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let [height, width] = self.input;
        best.fill(if self.rectify { 0.0 } else { f32::NEG_INFINITY });
        places.fill(NO_INPUT);
        let mut place = 0;
        for down in 0..kernel[0] {
            let y = (row * stride[0] + down).checked_sub(padding[0]);
            let line = y.filter(|y| *y < height);
            for right in 0..kernel[1] {
                if let Some(y) = line {
                    let line = &x[y * width..(y + 1) * width];
                    // Columns of the output for which this position of the window is inside the
                    // image.
                    let first = padding[1].saturating_sub(right).div_ceil(stride[1]);
                    let at = first * stride[1] + right - padding[1];
                    if at < width {
                        let values = line[at..].iter().step_by(stride[1]);
                        let outputs = best[first..].iter_mut().zip(&mut places[first..]);
                        for ((best, kept), value) in outputs.zip(values) {
                            let greater = *value > *best || value.is_nan();
                            *best = if greater { *value } else { *best };
                            *kept = if greater { place } else { *kept };
                        }
                    }
                }
                place += 1;
            }
        }
    }

    /// The gradient of the input: that of each output is added to the input that it came from.
    pub(super) fn backward(&self, gradient: &[f32], places: &[u8]) -> Vec<f32> {
        let [area, small] = self.areas();
        let count = gradient.len() / small * area;
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let [_, width] = self.input;
        let columns = self.output()[1];
        // Offset of each position of a window from its corner, which may be outside the image.
        let offsets: Vec<usize> = (0..kernel[0] * kernel[1])
            .map(|place| place / kernel[1] * width + place % kernel[1])
            .collect();
        let outside = padding[0] * width + padding[1];
        // SAFETY: the chunks cover the buffer, and each is written as a whole.
        #[allow(unsafe_code)]
        unsafe {
            written(count, |made| {
                made.par_chunks_mut(area)
                    .zip(gradient.par_chunks(small))
                    .zip(places.par_chunks(small))
                    .for_each_init(
                        || vec![0.0; area],
                        |plane, ((made, gradient), places)| {
                            plane.fill(0.0);
                            let rows = gradient.chunks(columns).zip(places.chunks(columns));
                            for (row, (gradient, places)) in rows.enumerate() {
                                let corner = row * stride[0] * width;
                                for (column, (g, place)) in gradient.iter().zip(places).enumerate()
                                {
                                    if let Some(offset) = offsets.get(usize::from(*place)) {
                                        let at = corner + column * stride[1] + offset;
                                        plane[at - outside] += g;
                                    }
                                }
                            }
                            made.write_copy_of_slice(plane);
                        },
                    );
            })
        }
    }
}
