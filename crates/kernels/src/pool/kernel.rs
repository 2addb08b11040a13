//! Pooling, plane by plane.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Window;
use crate::lanes::{Loop, widest};
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

    /// Computes the maximum of each window, and, if `places` is set, its position in the window.
    pub(super) fn forward(&self, x: &[f32], places: bool) -> (Vec<f32>, Vec<u8>) {
        let [area, small] = self.areas();
        let count = x.len() / area * small;
        let mut kept = vec![NO_INPUT; if places { count } else { 0 }];
        // SAFETY: the chunks cover the buffer, and each of their rows is written.
        #[allow(unsafe_code)]
        let made = unsafe {
            written(count, |made| {
                let images = made.par_chunks_mut(small).zip(x.par_chunks(area));
                let plane = |made, places, x| {
                    widest(Plane {
                        pooling: self,
                        x,
                        made,
                        places,
                    });
                };
                if places {
                    images
                        .zip(kept.par_chunks_mut(small))
                        .for_each(|((made, x), places)| plane(made, Some(places), x));
                } else {
                    images.for_each(|(made, x)| plane(made, None, x));
                }
            })
        };
        (made, kept)
    }

    /// Columns of the output for which column `right` of the window is inside the image, by their
    /// first one, and the column of the image that this one reads.
    #[inline(always)]
    fn columns(&self, right: usize) -> Option<(usize, usize)> {
        let (stride, padding) = (self.window.stride[1], self.window.padding[1]);
        let first = padding.saturating_sub(right).div_ceil(stride);
        let at = first * stride + right - padding;
        (at < self.input[1]).then_some((first, at))
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
        let pairs = kernel == [2, 2] && stride == [2, 2] && padding == [0, 0];
        // SAFETY: the chunks cover the buffer, and each is written as a whole.
        #[allow(unsafe_code)]
        unsafe {
            written(count, |made| {
                made.par_chunks_mut(area)
                    .zip(gradient.par_chunks(small))
                    .zip(places.par_chunks(small))
                    .for_each_init(
                        || vec![0.0; if pairs { 0 } else { area }],
                        |plane, ((made, gradient), places)| {
                            if pairs {
                                widest(Pairs {
                                    pooling: self,
                                    gradient,
                                    places,
                                    made,
                                });
                                return;
                            }
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

/// The maxima of a plane, and their positions.
struct Plane<'a> {
    pooling: &'a Pooling,
    x: &'a [f32],
    made: &'a mut [MaybeUninit<f32>],
    places: Option<&'a mut [u8]>,
}

impl Loop for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let pooling = self.pooling;
        let width = pooling.output()[1];
        let mut best = vec![0.0; width];
        for (row, made) in self.made.chunks_mut(width).enumerate() {
            best.fill(if pooling.rectify {
                0.0
            } else {
                f32::NEG_INFINITY
            });
            let places = self.places.as_deref_mut();
            let mut places = places.map(|places| &mut places[row * width..(row + 1) * width]);
            let Window {
                kernel,
                stride,
                padding,
            } = pooling.window;
            let [height, length] = pooling.input;
            for down in 0..kernel[0] {
                let y = (row * stride[0] + down).checked_sub(padding[0]);
                let Some(y) = y.filter(|y| *y < height) else {
                    continue;
                };
                for right in 0..kernel[1] {
                    let Some((first, at)) = pooling.columns(right) else {
                        continue;
                    };
                    let line = &self.x[y * length + at..(y + 1) * length];
                    let best = &mut best[first..];
                    let Some(places) = places.as_deref_mut() else {
                        larger(line, stride[1], best);
                        continue;
                    };
                    let place = u8::try_from(down * kernel[1] + right).unwrap_or(NO_INPUT);
                    larger_at(line, stride[1], best, &mut places[first..], place);
                }
            }
            made.write_copy_of_slice(&best);
        }
    }
}

/// Whether a value replaces the largest one so far.
#[inline(always)]
fn replaces(value: f32, best: f32) -> bool {
    value > best || value.is_nan()
}

/// Replaces maxima by those of every `stride`-th value that are larger.
#[inline(always)]
fn larger(line: &[f32], stride: usize, best: &mut [f32]) {
    let replace = |best: &mut f32, value: f32| {
        *best = if replaces(value, *best) { value } else { *best };
    };
    // The compiler makes vectors of pairs, but not of `step_by`.
    if stride == 2 {
        let (pairs, rest) = line.as_chunks::<2>();
        for (best, pair) in best.iter_mut().zip(pairs) {
            replace(best, pair[0]);
        }
        if let (Some(best), Some(value)) = (best.get_mut(pairs.len()), rest.first()) {
            replace(best, *value);
        }
    } else {
        for (best, value) in best.iter_mut().zip(line.iter().step_by(stride)) {
            replace(best, *value);
        }
    }
}

/// The same, and notes that they are at `place` of their windows.
#[inline(always)]
fn larger_at(line: &[f32], stride: usize, best: &mut [f32], places: &mut [u8], place: u8) {
    let replace = |(best, kept): (&mut f32, &mut u8), value: f32| {
        let replaces = replaces(value, *best);
        *best = if replaces { value } else { *best };
        *kept = if replaces { place } else { *kept };
    };
    if stride == 2 {
        let (pairs, rest) = line.as_chunks::<2>();
        for (kept, pair) in best.iter_mut().zip(places.iter_mut()).zip(pairs) {
            replace(kept, pair[0]);
        }
        let kept = best.get_mut(pairs.len()).zip(places.get_mut(pairs.len()));
        if let (Some(kept), Some(value)) = (kept, rest.first()) {
            replace(kept, *value);
        }
    } else {
        let kept = best.iter_mut().zip(places);
        for (kept, value) in kept.zip(line.iter().step_by(stride)) {
            replace(kept, *value);
        }
    }
}

/// The gradient of a plane for windows of 2 × 2 pixels side by side, which are written as pairs.
struct Pairs<'a> {
    pooling: &'a Pooling,
    gradient: &'a [f32],
    places: &'a [u8],
    made: &'a mut [MaybeUninit<f32>],
}

impl Loop for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.pooling.input[1];
        let columns = self.pooling.output()[1];
        let rows = self
            .gradient
            .chunks(columns)
            .zip(self.places.chunks(columns));
        let mut rows = rows.flat_map(|row| [(row, 0), (row, 2)]);
        for made in self.made.chunks_mut(width) {
            let (pairs, rest) = made.as_chunks_mut::<2>();
            rest.fill(MaybeUninit::new(0.0));
            let Some(((gradient, places), left)) = rows.next() else {
                // A last row of an odd number is in no window.
                pairs.as_flattened_mut().fill(MaybeUninit::new(0.0));
                continue;
            };
            for (pair, (&g, &place)) in pairs.iter_mut().zip(gradient.iter().zip(places)) {
                let of = |wanted: u8| MaybeUninit::new(if place == wanted { g } else { 0.0 });
                *pair = [of(left), of(left + 1)];
            }
        }
    }
}
