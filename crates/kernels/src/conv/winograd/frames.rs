//! Blocks of tiles, and the pixels of a block with channels as lanes.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use super::transforms::{At, Map, tile};
use crate::conv::product::index;
use crate::conv::transpose::Target;
use crate::simd::Simd;

/// How the tiles of a batch are divided into blocks: whole images, or rows of tiles of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) batch: usize,
    /// Side of the square of pixels that a tile stands for.
    pub(super) side: usize,
    /// Size of the images that are divided into tiles, pixels.
    pub(super) size: [usize; 2],
    /// Number of images and of rows of tiles in a block; the last ones may have fewer.
    block: [usize; 2],
}

/// Some rows of tiles of some images. If there is more than one image, the rows are all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first_image: usize,
    pub(super) images: usize,
    pub(super) first_row: usize,
    pub(super) rows: usize,
}

impl Grid {
    /// Divides the tiles evenly into blocks of about `count` tiles.
    pub(super) fn new(batch: usize, side: usize, pixels: [usize; 2], count: usize) -> Self {
        let [rows, columns] = pixels.map(|pixels| pixels.div_ceil(side));
        let pieces = |total: usize, most: usize| total.div_ceil(total.div_ceil(most.max(1)));
        let block = if rows * columns <= count {
            [pieces(batch, count / (rows * columns)), rows]
        } else {
            [1, pieces(rows, count / columns)]
        };
        Self {
            batch,
            side,
            size: pixels,
            block,
        }
    }

    /// Number of rows and columns of tiles of an image.
    pub(super) fn tiles(&self) -> [usize; 2] {
        self.size.map(|size| size.div_ceil(self.side))
    }

    /// Number of tiles of a whole block.
    pub(super) fn block_tiles(&self) -> usize {
        self.block[0] * self.block[1] * self.tiles()[1]
    }

    /// Number of tiles of all images.
    pub(super) fn all_tiles(&self) -> usize {
        self.batch * self.tiles()[0] * self.tiles()[1]
    }

    /// The blocks, in the order of images and rows.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let [images, rows] = self.block;
        let all = self.tiles()[0];
        (0..self.batch)
            .step_by(images)
            .flat_map(|first_image| {
                (0..all).step_by(rows).map(move |first_row| Block {
                    first_image,
                    images: images.min(self.batch - first_image),
                    first_row,
                    rows: rows.min(all - first_row),
                })
            })
            .collect()
    }

    /// Number of tiles of a block.
    pub(super) fn count(&self, block: Block) -> usize {
        block.images * block.rows * self.tiles()[1]
    }
}

/// Pixels of one image with channels as lanes, `[row][column][lane]`; pixels outside the image are
/// 0.
#[derive(Default)]
pub(super) struct Frame {
    values: Vec<f32>,
    /// Row and column of the image at the first pixel.
    start: [isize; 2],
    /// Number of rows and columns.
    size: [usize; 2],
    /// Index of the first pixel of the image that is in the frame.
    first: usize,
    /// Where the values of this pixel and of those after it are.
    places: Vec<u32>,
}

impl Frame {
    /// Makes the frame that contains what the tiles of a block read, `halo` more rows and columns
    /// than they stand for, from an image of `size` with padding.
    pub(super) fn reset(
        &mut self,
        grid: &Grid,
        block: Block,
        halo: usize,
        (size, padding): ([usize; 2], [usize; 2]),
        lanes: usize,
    ) {
        let frame = [block.rows, grid.tiles()[1]].map(|tiles| tiles * grid.side + halo);
        let top = (block.first_row * grid.side).cast_signed() - padding[0].cast_signed();
        let start = [top, -padding[1].cast_signed()];
        if (self.size, self.start) == (frame, start) {
            // A frame is used for images of one size, so the same pixels are outside.
            return;
        }
        (self.size, self.start) = (frame, start);
        self.values.clear();
        self.values.resize(frame[0] * frame[1] * lanes, 0.0);
        let inside = |row: isize| usize::try_from(row).unwrap_or(0).min(size[0]);
        let rows = inside(top)..inside(top + frame[0].cast_signed());
        self.first = rows.start * size[1];
        self.places.clear();
        for row in rows {
            let row = (row.cast_signed() - top).cast_unsigned() * frame[1] + padding[1];
            let row = (row..row + size[1]).map(|place| index(place * lanes));
            self.places.extend(row);
        }
    }

    /// Reads up to a vector of channels of an image with `pixels` pixels, of which `image` begins
    /// with the first one.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&mut self, s: S, image: &[f32], channels: usize, pixels: usize) {
        for (square, places) in self.places.chunks(S::LANES).enumerate() {
            let start = self.first + square * S::LANES;
            let mut vectors = [s.splat(0.0); 16];
            if (S::LANES - 1) * pixels + start + S::LANES <= image.len() && channels == S::LANES {
                for (i, vector) in vectors.iter_mut().enumerate().take(S::LANES) {
                    let at = i * pixels + start;
                    // The same pixels of the channels that are probably read next.
                    s.prefetch(image, at + S::LANES * pixels);
                    *vector = s.load(&image[at..]);
                }
            } else {
                for (i, vector) in vectors.iter_mut().enumerate().take(channels) {
                    let from = &image[i * pixels + start..];
                    *vector = if from.len() >= S::LANES {
                        s.load(from)
                    } else {
                        s.load_part(from)
                    };
                }
            }
            s.transpose(&mut vectors);
            if places.len() == S::LANES {
                for i in 0..S::LANES {
                    s.store(vectors[i], &mut self.values[places[i] as usize..]);
                }
            } else {
                for (&vector, &place) in vectors.iter().zip(places) {
                    s.store(vector, &mut self.values[place as usize..]);
                }
            }
        }
    }

    /// Maps all tiles of the frame: the first one to `to`, the others at distances of `stride`.
    #[inline(always)]
    pub(super) fn transform<S: Simd, M: Map, const A: usize>(
        &self,
        s: S,
        grid: &Grid,
        block: Block,
        out: &mut (impl Target + ?Sized),
        to: At,
        stride: usize,
    ) {
        let columns = grid.tiles()[1];
        for index in 0..block.rows * columns {
            let from = self.tile(grid, index / columns, index % columns, S::LANES);
            let to = At {
                first: to.first + index * stride,
                ..to
            };
            tile::<S, M, A>(s, (&self.values, from), (&mut *out, to));
        }
    }

    /// Maps the sums of a tile to its pixels.
    #[inline(always)]
    pub(super) fn put<S: Simd, M: Map, const A: usize>(
        &mut self,
        s: S,
        grid: &Grid,
        index: usize,
        (sums, from): (&[f32], At),
    ) {
        let columns = grid.tiles()[1];
        let to = self.tile(grid, index / columns, index % columns, S::LANES);
        tile::<S, M, A>(s, (sums, from), (&mut self.values[..], to));
    }

    fn tile(&self, grid: &Grid, row: usize, column: usize, lanes: usize) -> At {
        At {
            first: (row * self.size[1] + column) * grid.side * lanes,
            row: self.size[1] * lanes,
            column: lanes,
        }
    }

    /// Writes the pixels of the image plus a value per channel, `out[channel][pixel]`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&self, s: S, bias: S::V, out: &mut [&mut [MaybeUninit<f32>]]) {
        let all = self.places.len();
        for start in (0..all).step_by(S::LANES) {
            // The last square overlaps the one before it, if there is one.
            let start = start.min(all.saturating_sub(S::LANES));
            let places = &self.places[start..all.min(start + S::LANES)];
            let mut vectors = [s.splat(0.0); 16];
            if places.len() == S::LANES {
                for i in 0..S::LANES {
                    vectors[i] = s.add(s.load(&self.values[places[i] as usize..]), bias);
                }
                s.transpose(&mut vectors);
                for (out, &vector) in out.iter_mut().zip(&vectors) {
                    s.write(vector, &mut out[start..]);
                }
            } else {
                for (vector, &place) in vectors.iter_mut().zip(places) {
                    *vector = s.add(s.load(&self.values[place as usize..]), bias);
                }
                s.transpose(&mut vectors);
                for (out, &vector) in out.iter_mut().zip(&vectors) {
                    out.put(s, start, vector, places.len());
                }
            }
        }
    }
}
