//! Products of matrices in blocks, as in BLIS (Van Zee and van de Geijn 2015): a panel of the right
//! matrix is packed into rows of whole vectors that stay in a cache, and tiles of the result stay in
//! registers while they go through the inner size.
//!
//! The left matrix is read in place where its rows are contiguous: each value is broadcast, which needs no
//! order. Each sum runs through the inner size in one order, whatever the number of threads.

mod task;
mod tiles;

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use self::task::Task;
use super::product::Matrix;
use crate::conv::product::{Block, blocks};
use crate::memory::written;
use crate::simd::Level;

/// Columns of the result per task, if there are enough: they are the values of the left matrix that are
/// read once per task, and the packed part of the right one stays in the second-level cache.
const COLUMNS: usize = 240;

/// Inner size from which a small result, of at most so many values, is computed as a sum of products of
/// parts of it: there is too little of the result for all threads. The parts do not depend on the number of
/// threads.
const LONG: usize = 4096;
const SMALL: usize = 1 << 17;

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing.
    Zero,
    /// The same row in each row of the result.
    Row(&'a [f32]),
    /// What has been written to the result before.
    Written,
}

impl Start<'_> {
    /// The start of some columns.
    fn some_columns(self, columns: &Range<usize>) -> Self {
        match self {
            Self::Row(row) => Self::Row(&row[columns.clone()]),
            other => other,
        }
    }
}

/// Computes `start + left · right` into `out`, row-major, on all threads of the pool; writes all of
/// `out`.
///
/// # Panics
///
/// If the sizes do not match.
pub(super) fn parallel(
    level: Level,
    left: Matrix<'_>,
    right: Matrix<'_>,
    start: Start<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let [rows, columns] = [left.rows(), right.columns()];
    assert_eq!((left.columns(), out.len()), (right.rows(), rows * columns));
    if left.columns() >= LONG && out.len() <= SMALL {
        return long(level, left, &mut [(right, start, out)]);
    }
    let blocks = blocks(columns, level.lanes());
    let (row_parts, column_parts) = parts(rows, &blocks);
    let of_rows = evenly(rows, row_parts);
    let of_blocks: Vec<&[Block]> = evenly(blocks.len(), column_parts)
        .into_iter()
        .map(|range| &blocks[range])
        .collect();
    let of_columns: Vec<Range<usize>> = of_blocks
        .iter()
        .map(|blocks| {
            let first = blocks.first().map_or(0, |block| block.start);
            first..first + length(blocks)
        })
        .collect();
    let tasks = places(out, columns, &of_rows, &of_columns);
    tasks
        .into_par_iter()
        .enumerate()
        .for_each(|(at, (rows, columns, mut places))| {
            level.run(Task {
                left: left.some_rows(rows.start, rows.len()),
                right: right.some_columns(columns.start, columns.len()),
                start: start.some_columns(&columns),
                blocks: of_blocks[at % of_blocks.len()],
                first: columns.start,
                out: &mut places,
            });
        });
}

/// Some rows and columns of a result, and the places of each row.
pub(crate) type Places<'o> = (Range<usize>, Range<usize>, Vec<&'o mut [MaybeUninit<f32>]>);

/// Divides a result of so many columns into parts of its rows and columns, row by row.
pub(crate) fn places<'o>(
    out: &'o mut [MaybeUninit<f32>],
    columns: usize,
    of_rows: &[Range<usize>],
    of_columns: &[Range<usize>],
) -> Vec<Places<'o>> {
    let mut parts = Vec::with_capacity(of_rows.len() * of_columns.len());
    let mut rest = out;
    for rows in of_rows {
        let (piece, after) = rest.split_at_mut(rows.len() * columns);
        rest = after;
        let first = parts.len();
        parts.extend(of_columns.iter().map(|columns| {
            let places = Vec::with_capacity(rows.len());
            (rows.clone(), columns.clone(), places)
        }));
        for mut row in piece.chunks_exact_mut(columns.max(1)) {
            for (_, columns, places) in &mut parts[first..] {
                let (place, after) = row.split_at_mut(columns.len());
                row = after;
                places.push(place);
            }
        }
    }
    parts
}

/// A matrix on the right, what its product is added to, and where the result goes.
pub(super) type Right<'m, 'o> = (Matrix<'m>, Start<'m>, &'o mut [MaybeUninit<f32>]);

/// Whether the products of `left` are computed by parts of the inner size.
pub(super) fn is_long(left: Matrix<'_>, rights: [Matrix<'_>; 2]) -> bool {
    let small = |right: &Matrix<'_>| left.rows() * right.columns() <= SMALL;
    left.columns() >= LONG && rights.iter().all(small)
}

/// The same by parts of the inner size, for one matrix on the right or for several, which then use a part
/// of the left one while it is in the cache.
///
/// # Panics
///
/// If the sizes do not match.
pub(super) fn long(level: Level, left: Matrix<'_>, rights: &mut [Right<'_, '_>]) {
    for (right, _, out) in rights.iter() {
        let size = (right.rows(), left.rows() * right.columns());
        assert_eq!((left.columns(), out.len()), size);
    }
    let parts = evenly(left.columns(), left.columns().div_ceil(LONG / 2).min(16));
    let (first, others) = parts.split_first().expect("one part or more");
    let product = |part: &Range<usize>, right: Matrix<'_>, start: Start<'_>, out: &mut _| {
        let left = left.some_columns(part.start, part.len());
        alone(
            level,
            left,
            right.some_rows(part.start, part.len()),
            start,
            out,
        );
    };
    let sizes: Vec<(Matrix<'_>, usize)> = rights
        .iter()
        .map(|(right, _, out)| (*right, out.len()))
        .collect();
    let (sums, ()) = rayon::join(
        || -> Vec<Vec<Vec<f32>>> {
            let of_part = |part| {
                let sizes = sizes.iter();
                sizes
                    .map(|&(right, len)| {
                        // SAFETY: `alone` writes the whole result.
                        #[allow(unsafe_code)]
                        unsafe {
                            written(len, |out| product(part, right, Start::Zero, out))
                        }
                    })
                    .collect()
            };
            others.par_iter().map(of_part).collect()
        },
        || {
            for (right, start, out) in rights.iter_mut() {
                product(first, *right, *start, out);
            }
        },
    );
    for sums in sums {
        for ((_, _, out), sums) in rights.iter_mut().zip(sums) {
            for (out, sum) in out.iter_mut().zip(sums) {
                // SAFETY: the first part has written the whole result.
                #[allow(unsafe_code)]
                let so_far = unsafe { out.assume_init() };
                out.write(so_far + sum);
            }
        }
    }
}

/// The same on this thread alone.
///
/// # Panics
///
/// If the sizes do not match.
pub(super) fn alone(
    level: Level,
    left: Matrix<'_>,
    right: Matrix<'_>,
    start: Start<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let [rows, columns] = [left.rows(), right.columns()];
    assert_eq!((left.columns(), out.len()), (right.rows(), rows * columns));
    let blocks = blocks(columns, level.lanes());
    let mut places: Vec<&mut [MaybeUninit<f32>]> = out.chunks_exact_mut(columns.max(1)).collect();
    level.run(Task {
        left,
        right,
        start,
        blocks: &blocks,
        first: 0,
        out: &mut places,
    });
}

/// Number of columns of adjacent blocks.
fn length(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| block.len).sum()
}

/// Into how many parts of rows and of columns a result is divided, so that each thread gets two or
/// more. Parts of columns are preferred, because each part of rows packs the right matrix anew.
fn parts(rows: usize, blocks: &[Block]) -> (usize, usize) {
    /// The fewest rows of a part, unless there are fewer.
    const FEWEST: usize = 32;
    let wanted = 2 * rayon::current_num_threads();
    let columns = length(blocks);
    let by_columns = (columns / COLUMNS).clamp(1, wanted);
    let by_rows = wanted.div_ceil(by_columns).min(rows / FEWEST).max(1);
    // Few rows: narrower parts of columns.
    let by_columns = by_columns
        .max(wanted.div_ceil(by_rows))
        .min(blocks.len().max(1));
    (by_rows, by_columns)
}

/// Divides `count` things evenly.
pub(crate) fn evenly(count: usize, parts: usize) -> Vec<Range<usize>> {
    (0..parts)
        .map(|part| count * part / parts..count * (part + 1) / parts)
        .collect()
}
