//! Images as planes that sums of shifted pixels are read from.
//!
//! The pixels of a plane are those of the padded images, row by row and image by image. So a kernel element
//! is one distance, the same for all pixels, whatever the row and the image; what is computed for the places
//! between rows and images is of no meaning. With a stride there is a plane for each remainder of rows and
//! columns.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use super::unit::BLOCK;
use crate::conv::sampled::Phase;
use crate::conv::window::Window;

/// The planes of one phase of a convolution.
pub(super) struct Planes {
    /// The part of a source channel that is read.
    window: Window,
    /// Distance between the pixels of a plane in the window.
    step: [usize; 2],
    /// Size of a plane of one image.
    size: [usize; 2],
    /// Size of the part of it that has meaning.
    grid: [usize; 2],
    /// Row and column of the window at which each plane begins.
    starts: Vec<[usize; 2]>,
    /// The plane that each kernel element reads, and how far from a pixel.
    taps: Vec<(usize, usize)>,
}

/// Adjacent pixels of a block that have meaning.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// The first one in the block.
    pub(super) lane: usize,
    pub(super) len: usize,
    pub(super) image: usize,
    /// Row and column of the first one in the grid.
    pub(super) place: [usize; 2],
}

impl Planes {
    pub(super) fn new(phase: &Phase, source: [usize; 2]) -> Self {
        let low = |axis: usize| {
            let offsets = phase.taps.iter().map(|tap| tap.offset[axis]);
            offsets.min().unwrap_or(0)
        };
        let start = [low(0), low(1)];
        let mut planes = Self {
            window: Window {
                source,
                start,
                size: [0, 0],
            },
            step: phase.step,
            size: phase.grid,
            grid: phase.grid,
            starts: Vec::new(),
            taps: Vec::new(),
        };
        // Remainder and distance of each kernel element.
        let read: Vec<[[usize; 2]; 2]> = phase
            .taps
            .iter()
            .map(|tap| {
                let from = [0, 1].map(|axis| (tap.offset[axis] - start[axis]).cast_unsigned());
                let divided = |by: fn(usize, usize) -> usize| {
                    [by(from[0], phase.step[0]), by(from[1], phase.step[1])]
                };
                [divided(|a, b| a % b), divided(|a, b| a / b)]
            })
            .collect();
        for [_, distance] in &read {
            for ((size, grid), far) in planes.size.iter_mut().zip(phase.grid).zip(distance) {
                *size = (*size).max(grid + far);
            }
        }
        for [remainder, distance] in read {
            let known = planes.starts.iter().position(|start| *start == remainder);
            let plane = known.unwrap_or_else(|| {
                planes.starts.push(remainder);
                planes.starts.len() - 1
            });
            let distance = distance[0] * planes.size[1] + distance[1];
            planes.taps.push((plane, distance));
        }
        planes
    }

    /// Number of planes of a channel.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Number of pixels of a plane of one image.
    pub(super) fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Number of pixels of a row of a plane.
    pub(super) fn pitch(&self) -> usize {
        self.size[1]
    }

    /// The plane that each kernel element of the phase reads, and how far from a pixel.
    pub(super) fn taps(&self) -> &[(usize, usize)] {
        &self.taps
    }

    /// The greatest distance of a kernel element.
    pub(super) fn reach(&self) -> usize {
        self.taps.iter().map(|(_, far)| *far).max().unwrap_or(0)
    }

    /// Calls `write` with the pixels of each row of a plane of one image, and with the number of zeros before
    /// and after them.
    #[inline(always)]
    pub(super) fn rows(&self, plane: usize, mut write: impl FnMut(Row)) {
        let [height, width] = self.window.source;
        for row in 0..self.size[0] {
            let at = row * self.step[0] + self.starts[plane][0];
            let at = self.window.start[0] + at.cast_signed();
            let inside = usize::try_from(at).ok().filter(|at| *at < height);
            // The columns from `first` to `last` are inside.
            let left = self.window.start[1] + self.starts[plane][1].cast_signed();
            let first = (-left).max(0).cast_unsigned().div_ceil(self.step[1]);
            let last = (width.cast_signed() - left).max(0).cast_unsigned();
            let last = last.div_ceil(self.step[1]).min(self.size[1]);
            let first = first.min(last);
            let (from, first, last) = match inside {
                Some(at) if first < last => {
                    let column = (first * self.step[1]).cast_signed() + left;
                    (at * width + column.cast_unsigned(), first, last)
                }
                _ => (0, 0, 0),
            };
            write(Row {
                from,
                len: last - first,
                step: self.step[1],
                place: row * self.size[1],
                before: first,
                after: self.size[1] - last,
            });
        }
    }

    /// The runs of each block of the pixels of so many images.
    pub(super) fn runs(&self, images: usize) -> Vec<Vec<Run>> {
        let all = images * self.pixels();
        let mut blocks = vec![Vec::new(); all.div_ceil(BLOCK)];
        for image in 0..images {
            for row in 0..self.grid[0] {
                let first = image * self.pixels() + row * self.size[1];
                let mut column = 0;
                while column < self.grid[1] {
                    let at = first + column;
                    let len = (BLOCK - at % BLOCK).min(self.grid[1] - column);
                    blocks[at / BLOCK].push(Run {
                        lane: at % BLOCK,
                        len,
                        image,
                        place: [row, column],
                    });
                    column += len;
                }
            }
        }
        blocks
    }
}

impl Row {
    /// The places of the pixels in a plane; those before and after them become 0.
    #[inline(always)]
    pub(super) fn places<'o, T: Copy + Default>(&self, plane: &'o mut [T]) -> &'o mut [T] {
        let row = &mut plane[self.place..][..self.before + self.len + self.after];
        let (before, row) = row.split_at_mut(self.before);
        let (pixels, after) = row.split_at_mut(self.len);
        before.fill(T::default());
        after.fill(T::default());
        pixels
    }
}

/// A row of a plane.
pub(super) struct Row {
    /// The first pixel in the channel, the number of pixels, and the distance between them.
    pub(super) from: usize,
    pub(super) len: usize,
    pub(super) step: usize,
    /// Where the row begins in the plane.
    place: usize,
    /// Number of zeros before and after the pixels.
    before: usize,
    after: usize,
}
