//! Products of matrices.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::{Form, Scratch, Strip, WORDS};
use super::unit::{BLOCK, INNER, Operand, Steps, Sums, TILE, Unit};
use crate::linear::gemm::{Places, Start, evenly, places};
use crate::linear::product::Matrix;
use crate::simd::Level;

/// Number of values of both packed operands, at most, unless they have many rows.
const PACKED: usize = 1 << 22;

/// Whether a product is computed in bfloat16. Small ones are not: packing takes longer than the product.
pub(crate) fn fits(left: Matrix<'_>, right: Matrix<'_>) -> bool {
    let sizes = [left.rows(), left.columns(), right.columns()];
    sizes.iter().all(|size| *size >= TILE) && sizes.iter().product::<usize>() >= 1 << 16
}

/// Computes `start + left · right` into `out`, row-major; writes all of `out`. The sums do not depend on the
/// number of threads.
///
/// # Panics
///
/// If the sizes do not match.
pub(crate) fn multiply(
    unit: Unit,
    (left, right): (Matrix<'_>, Matrix<'_>),
    start: Start<'_>,
    out: &mut [MaybeUninit<f32>],
    parallel: bool,
) {
    let [rows, columns, inner] = [left.rows(), right.columns(), left.columns()];
    assert_eq!((inner, out.len()), (right.rows(), rows * columns));
    if out.is_empty() {
        return;
    }
    let outer = rows.next_multiple_of(BLOCK) + columns.next_multiple_of(BLOCK);
    let most = (PACKED / outer).max(8 * INNER);
    // Once without an inner size, for what the product is added to.
    let parts = evenly(inner.div_ceil(INNER), inner.div_ceil(most).max(1));
    for (part, steps) in parts.into_iter().enumerate() {
        let some = steps.start * INNER..inner.min(steps.end * INNER);
        let left = packed(
            left.some_columns(some.start, some.len()),
            Form::Left,
            parallel,
        );
        let right = right.some_rows(some.start, some.len()).transposed();
        let right = packed(right, Form::Right, parallel);
        let work = Work {
            unit,
            steps: Steps::new((0..steps.len()).map(|step| [2 * step * WORDS; 2])),
            strip: 2 * steps.len() * WORDS,
            left: left.halves(),
            right: right.halves(),
            start: if part == 0 { start } else { Start::Written },
        };
        work.run([rows, columns], out, parallel);
    }
}

/// The tiles of a matrix `[outer, inner]`, an even number of strips.
fn packed(matrix: Matrix<'_>, form: Form, parallel: bool) -> Scratch {
    let strip = matrix.columns().div_ceil(INNER) * WORDS;
    let count = matrix.rows().next_multiple_of(BLOCK) / TILE;
    let mut scratch = Scratch::new(count * strip);
    if strip == 0 {
        return scratch;
    }
    let pack = |(at, out): (usize, &mut [u32])| {
        let first = (at * TILE).min(matrix.rows());
        let some = TILE.min(matrix.rows() - first);
        Level::best().run(Strip {
            matrix: matrix.some_rows(first, some),
            form,
            out,
        });
    };
    let strips = &mut scratch.words()[..count * strip];
    if parallel {
        strips.par_chunks_mut(strip).enumerate().for_each(pack);
    } else {
        strips.chunks_mut(strip).enumerate().for_each(pack);
    }
    scratch
}

/// The product of packed operands.
struct Work<'a> {
    unit: Unit,
    steps: Steps,
    /// Number of values of 16 rows of an operand.
    strip: usize,
    left: &'a [u16],
    right: &'a [u16],
    start: Start<'a>,
}

impl Work<'_> {
    fn run(&self, [rows, columns]: [usize; 2], out: &mut [MaybeUninit<f32>], parallel: bool) {
        let blocks = [rows, columns].map(|size| size.div_ceil(BLOCK));
        let tasks = if parallel {
            2 * rayon::current_num_threads()
        } else {
            1
        };
        let by_rows = tasks.min(blocks[0]);
        let by_columns = tasks.div_ceil(by_rows).min(blocks[1]);
        let ranges = |blocks: usize, parts: usize, size: usize| -> Vec<Range<usize>> {
            let parts = evenly(blocks, parts).into_iter();
            parts
                .map(|part| part.start * BLOCK..size.min(part.end * BLOCK))
                .collect()
        };
        let of_rows = ranges(blocks[0], by_rows, rows);
        let of_columns = ranges(blocks[1], by_columns, columns);
        let tasks = places(out, columns, &of_rows, &of_columns);
        if parallel {
            tasks.into_par_iter().for_each(|task| self.task(task));
        } else {
            for task in tasks {
                self.task(task);
            }
        }
    }

    fn task(&self, (rows, columns, mut out): Places<'_>) {
        let ready = self.unit.ready();
        let mut sums = [0.0; BLOCK * BLOCK];
        for column in columns.clone().step_by(BLOCK) {
            let right = self.operand(self.right, column);
            let place = column - columns.start..(column + BLOCK).min(columns.end) - columns.start;
            for row in rows.clone().step_by(BLOCK) {
                let left = self.operand(self.left, row);
                ready.multiply(&self.steps, left, right, &mut sums, false);
                let out = out[row - rows.start..].iter_mut().take(BLOCK);
                self.place(
                    &sums,
                    out.map(|out| &mut out[place.clone()]),
                    column..column + place.len(),
                );
            }
        }
    }

    fn operand<'a>(&self, values: &'a [u16], first: usize) -> Operand<'a> {
        let tile = first / TILE * self.strip;
        Operand {
            values,
            tiles: [tile, tile + self.strip],
            stride: INNER,
        }
    }

    /// Writes a block of sums.
    fn place<'o>(
        &self,
        sums: &Sums,
        out: impl Iterator<Item = &'o mut [MaybeUninit<f32>]>,
        columns: Range<usize>,
    ) {
        for (sums, out) in sums.chunks_exact(BLOCK).zip(out) {
            let sums = &sums[..out.len()];
            match self.start {
                Start::Zero => {
                    out.write_copy_of_slice(sums);
                }
                Start::Row(row) => {
                    let both = sums.iter().zip(&row[columns.clone()]);
                    for (out, (sum, start)) in out.iter_mut().zip(both) {
                        out.write(start + sum);
                    }
                }
                Start::Written => {
                    for (out, sum) in out.iter_mut().zip(sums) {
                        // SAFETY: an earlier part, or the caller, has written the whole result.
                        #[allow(unsafe_code)]
                        let so_far = unsafe { out.assume_init() };
                        out.write(so_far + sum);
                    }
                }
            }
        }
    }
}
