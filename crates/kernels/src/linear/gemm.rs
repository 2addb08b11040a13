//! Products of matrices in blocks, as in BLIS (Van Zee and van de Geijn 2015): a panel of the right
//! matrix is packed into rows of whole vectors that stay in a cache, and tiles of the result stay in
//! registers while they go through the inner size.
//!
//! The left matrix is read in place where its rows are contiguous: each value is broadcast, which needs no
//! order. Each sum runs through the inner size in one order, whatever the number of threads.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::product::Matrix;
use crate::conv::product::{Block, blocks, tiled};
use crate::conv::transpose::Transpose;
use crate::memory::written;
use crate::simd::{Kernel, Level, Part, Simd};

/// Length of the inner size that is worked through at a time: a strip of three vectors of the right
/// matrix stays in the first-level cache.
const INNER: usize = 192;

/// Rows of the left matrix that are packed side by side: a multiple of the height of every tile.
const GROUP: usize = 24;

/// Rows of the left matrix that are packed at a time, if it is packed.
const ROWS: usize = 4 * GROUP;

/// Columns of the result per task, if there are enough: they are the values of the left matrix that are
/// read once per task, and the packed part of the right one stays in the second-level cache.
const COLUMNS: usize = 240;

/// Inner size from which a small result, of at most so many values, is computed as a sum of products of
/// parts of it: there is too little of the result for all threads. The parts do not depend on the number of
/// threads.
const LONG: usize = 4096;
const SMALL: usize = 1 << 17;

/// Rows in advance that are prefetched when the right matrix is packed.
const AHEAD: usize = 4;

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// Nothing.
    Zero,
    /// The same row in each row of the result.
    Row(&'a [f32]),
    /// What has been written to the result before.
    Written,
}

impl<'a> Start<'a> {
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
        return by_inner(level, left, right, start, out);
    }
    let blocks = blocks(columns, level.lanes());
    let (row_parts, column_parts) = parts(rows, &blocks);
    let of_rows = evenly(rows, row_parts);
    let of_columns: Vec<&[Block]> = evenly(blocks.len(), column_parts)
        .into_iter()
        .map(|range| &blocks[range])
        .collect();
    // The parts of each row of the result that belong to a task.
    let mut tasks = Vec::new();
    let mut rest = out;
    for rows in &of_rows {
        let (piece, after) = rest.split_at_mut(rows.len() * columns);
        rest = after;
        let mut places: Vec<Vec<&mut [MaybeUninit<f32>]>> = of_columns
            .iter()
            .map(|_| Vec::with_capacity(rows.len()))
            .collect();
        for mut row in piece.chunks_exact_mut(columns.max(1)) {
            for (blocks, places) in of_columns.iter().zip(&mut places) {
                let (place, after) = row.split_at_mut(length(blocks));
                row = after;
                places.push(place);
            }
        }
        let of_columns = of_columns.iter().zip(places);
        tasks.extend(of_columns.map(|(blocks, places)| (rows.clone(), *blocks, places)));
    }
    tasks
        .into_par_iter()
        .for_each(|(rows, blocks, mut places)| {
            let first = blocks.first().map_or(0, |block| block.start);
            let columns = first..first + length(blocks);
            level.run(Product {
                left: left.some_rows(rows.start, rows.len()),
                right: right.some_columns(first, columns.len()),
                start: start.some_columns(&columns),
                blocks,
                first,
                out: &mut places,
            });
        });
}

/// The same by parts of the inner size.
fn by_inner(
    level: Level,
    left: Matrix<'_>,
    right: Matrix<'_>,
    start: Start<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let parts = evenly(left.columns(), left.columns().div_ceil(LONG / 2).min(16));
    let (first, others) = parts.split_first().expect("one part or more");
    let product = |part: &Range<usize>, start: Start<'_>, out: &mut [MaybeUninit<f32>]| {
        let left = left.some_columns(part.start, part.len());
        let right = right.some_rows(part.start, part.len());
        alone(level, left, right, start, out);
    };
    let len = out.len();
    let (sums, ()) = rayon::join(
        || -> Vec<Vec<f32>> {
            let others = others.par_iter();
            others
                .map(|part| {
                    // SAFETY: `alone` writes the whole result.
                    #[allow(unsafe_code)]
                    unsafe {
                        written(len, |out| product(part, Start::Zero, out))
                    }
                })
                .collect()
        },
        || product(first, start, out),
    );
    for sums in sums {
        for (out, sum) in out.iter_mut().zip(sums) {
            // SAFETY: the first part has written the whole result.
            #[allow(unsafe_code)]
            let so_far = unsafe { out.assume_init() };
            out.write(so_far + sum);
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
    level.run(Product {
        left,
        right,
        start,
        blocks: &blocks,
        first: 0,
        out: &mut places,
    });
}

/// Number of values of a cache line.
const LINE: usize = 16;

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
fn evenly(count: usize, parts: usize) -> Vec<Range<usize>> {
    (0..parts)
        .map(|part| count * part / parts..count * (part + 1) / parts)
        .collect()
}

thread_local! {
    /// Memory for packed panels, which a thread reuses.
    static PANELS: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// One task: some rows and columns of a product.
struct Product<'a, 'o> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    start: Start<'a>,
    /// The blocks of the columns, whose starts count from the first column of the whole product.
    blocks: &'a [Block],
    /// The first column.
    first: usize,
    /// The places of each row.
    out: &'a mut [&'o mut [MaybeUninit<f32>]],
}

impl Kernel for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        PANELS.with_borrow_mut(|(right, left)| self.compute(s, right, left));
    }
}

impl Product<'_, '_> {
    /// Number of tiles, at least.
    fn tiles(&self) -> usize {
        self.out.len().div_ceil(12) * self.blocks.len()
    }

    #[inline(always)]
    fn compute<S: Simd>(&mut self, s: S, panel: &mut Vec<f32>, packed: &mut Vec<f32>) {
        let (rows, inner) = (self.left.rows(), self.left.columns());
        let width: usize = self
            .blocks
            .iter()
            .map(|block| block.vectors * S::LANES)
            .sum();
        let packs = self.packs_left();
        // Once without an inner size, for what the product is added to.
        let some_inner = inner.div_ceil(inner.div_ceil(INNER).max(1)).max(1);
        for from in (0..inner.max(1)).step_by(some_inner) {
            let steps = from..inner.min(from + some_inner);
            panel.resize(width * steps.len().max(1), 0.0);
            self.pack(s, steps.clone(), panel);
            let next = steps.end..inner.min(steps.end + some_inner);
            let mut ahead = Ahead::new(self.right, next, self.tiles());
            let some = if packs { ROWS } else { rows };
            for first in (0..rows).step_by(some.max(1)) {
                let some = first..rows.min(first + some);
                let left = if packs {
                    self.pack_left(s, &some, &steps, packed)
                } else {
                    let (values, [row_stride, step_stride]) = self.left.part(&some, &steps);
                    Left {
                        values,
                        group: usize::MAX,
                        group_stride: 0,
                        row_stride,
                        step_stride,
                    }
                };
                let mut panel = panel.as_slice();
                for block in self.blocks {
                    let (strip, after) = panel.split_at(block.vectors * S::LANES * steps.len());
                    panel = after;
                    let mut work = Tiles {
                        left,
                        strip,
                        steps: steps.len(),
                        start: if from == 0 {
                            self.start
                        } else {
                            Start::Written
                        },
                        columns: block.start - self.first..block.start - self.first + block.len,
                        out: &mut self.out[some.clone()],
                        ahead: &mut ahead,
                    };
                    tiled!(S, block.vectors, tiles(s, &mut work));
                }
            }
        }
    }

    /// Whether the left matrix is packed: if its rows are not contiguous, or if they are so far apart that
    /// their values share few places of a cache.
    #[inline(always)]
    fn packs_left(&self) -> bool {
        /// Values after which addresses are at the same places of a cache.
        const PERIOD: usize = 512;
        let (_, [down, right]) = self.left.part(&(0..0), &(0..0));
        right != 1 || (down.is_multiple_of(PERIOD) && self.left.rows() >= GROUP)
    }

    /// Packs some rows of the left matrix as `[group of rows][step][row]`.
    #[inline(always)]
    fn pack_left<'p, S: Simd>(
        &self,
        s: S,
        some: &Range<usize>,
        steps: &Range<usize>,
        packed: &'p mut Vec<f32>,
    ) -> Left<'p> {
        let (values, [down, right]) = self.left.part(some, steps);
        let group_stride = GROUP * steps.len();
        packed.resize(some.len().div_ceil(GROUP) * group_stride, 0.0);
        let groups = packed.chunks_exact_mut(group_stride.max(1));
        for (first, group) in (0..some.len()).step_by(GROUP).zip(groups) {
            let rows = GROUP.min(some.len() - first);
            if right == 1 {
                Transpose {
                    source: &values[first * down..],
                    rows,
                    columns: steps.len(),
                    stride: down,
                    out: group,
                    out_stride: GROUP,
                    ahead: 0,
                }
                .run(s);
                continue;
            }
            debug_assert!(down == 1 || self.left.rows() == 1);
            for (step, out) in group.chunks_exact_mut(GROUP).enumerate() {
                let from = step * right + first;
                s.copy(&values[from..from + rows], &mut out[..rows]);
            }
        }
        Left {
            values: packed,
            group: GROUP,
            group_stride,
            row_stride: 1,
            step_stride: GROUP,
        }
    }

    /// Packs some rows of the right matrix as `[block][row][lane]`; lanes without a column are 0.
    #[inline(always)]
    fn pack<S: Simd>(&self, s: S, steps: Range<usize>, panel: &mut [f32]) {
        let mut rest = panel;
        for block in self.blocks {
            let width = block.vectors * S::LANES;
            let (strip, after) = rest.split_at_mut(width * steps.len());
            rest = after;
            let first = block.start - self.first;
            let columns = first..first + block.len;
            let (values, [down, right]) = self.right.part(&steps, &columns);
            if steps.is_empty() {
                continue;
            }
            if block.len < width {
                strip.fill(0.0);
            }
            if right == 1 {
                for (step, row) in strip.chunks_exact_mut(width).enumerate() {
                    for at in (0..block.len).step_by(S::LANES) {
                        s.prefetch(values, (step + AHEAD) * down + at);
                    }
                    s.copy(&values[step * down..][..block.len], &mut row[..block.len]);
                }
            } else {
                Transpose {
                    source: values,
                    rows: block.len,
                    columns: steps.len(),
                    stride: right,
                    out: strip,
                    out_stride: width,
                    ahead: 0,
                }
                .run(s);
            }
        }
    }
}

/// Some rows of the left matrix, in place or packed.
#[derive(Clone, Copy)]
struct Left<'a> {
    values: &'a [f32],
    /// Number of rows per group, and distance between groups.
    group: usize,
    group_stride: usize,
    /// Distance between the rows of a group.
    row_stride: usize,
    /// Distance between the values of a row.
    step_stride: usize,
}

/// The tiles of one strip of columns.
struct Tiles<'a, 'o, 'r> {
    left: Left<'a>,
    /// `[step][lane]`
    strip: &'a [f32],
    steps: usize,
    start: Start<'a>,
    columns: Range<usize>,
    out: &'a mut [&'o mut [MaybeUninit<f32>]],
    ahead: &'a mut Ahead<'r>,
}

/// What is read next, a part of it per tile.
#[derive(Clone, Copy)]
struct Ahead<'a> {
    values: &'a [f32],
    /// Number of values per tile.
    share: usize,
}

impl<'a> Ahead<'a> {
    /// The rows of the right matrix from `next` on. With few rows on the left, the time of a product is that
    /// of reading the right matrix, which is then fetched into the second-level cache while the rows
    /// before it are computed with.
    fn new(right: Matrix<'a>, next: Range<usize>, tiles: usize) -> Self {
        let columns = 0..right.columns();
        let (values, strides) = right.part(&next, &columns);
        // Whole rows are adjacent.
        let len = if strides == [columns.len(), 1] {
            next.len() * columns.len()
        } else {
            0
        };
        Self {
            values: values.get(..len).unwrap_or_default(),
            share: len.div_ceil(tiles.max(1)),
        }
    }

    /// The part that is fetched with the next tile.
    fn next(&mut self) -> &'a [f32] {
        let (part, rest) = self.values.split_at(self.share.min(self.values.len()));
        self.values = rest;
        part
    }
}

#[inline(always)]
fn tiles<S: Simd, const M: usize, const N: usize>(s: S, work: &mut Tiles) {
    let len = work.columns.len();
    let mut bias = [s.splat(0.0); N];
    if let Start::Row(row) = work.start {
        bias = loaded(s, &row[work.columns.clone()]);
    }
    for first in (0..work.out.len()).step_by(M) {
        let count = M.min(work.out.len() - first);
        let mut tile = [bias; M];
        if let Start::Written = work.start {
            for i in 0..count {
                let place = &work.out[first + i][work.columns.clone()];
                // SAFETY: an earlier round, or the caller, has written the whole result.
                #[allow(unsafe_code)]
                let written = unsafe { place.assume_init_ref() };
                tile[i] = loaded(s, written);
            }
        }
        let left = work.left;
        let base = first / left.group * left.group_stride + first % left.group * left.row_stride;
        // The last tile is filled up with its first row.
        let row = |i: usize| base + if i < count { i * left.row_stride } else { 0 };
        multiply(
            s,
            left.values,
            std::array::from_fn(row),
            left.step_stride,
            work.strip,
            work.steps,
            work.ahead.next(),
            &mut tile,
        );
        for i in 0..count {
            let place = &mut work.out[first + i][work.columns.clone()];
            for j in 0..N {
                let (from, vector) = (j * S::LANES, tile[i][j]);
                if from + S::LANES <= len {
                    s.write(vector, &mut place[from..]);
                } else if from < len {
                    let mut all = [0.0; 16];
                    s.store(vector, &mut all);
                    place[from..].write_copy_of_slice(&all[..len - from]);
                }
            }
        }
    }
}

/// A slice as vectors; lanes beyond its end are 0.
#[inline(always)]
fn loaded<S: Simd, const N: usize>(s: S, values: &[f32]) -> [S::V; N] {
    let mut vectors = [s.splat(0.0); N];
    for (j, vector) in vectors.iter_mut().enumerate() {
        let from = (j * S::LANES).min(values.len());
        let values = &values[from..];
        *vector = if values.len() >= S::LANES {
            s.load(values)
        } else {
            s.load_part(values)
        };
    }
    vectors
}

/// `tile[i] += Σ_step left[rows[i] + step · stride] · strip[step]`.
#[inline(always)]
fn multiply<S: Simd, const M: usize, const N: usize>(
    s: S,
    left: &[f32],
    rows: [usize; M],
    stride: usize,
    strip: &[f32],
    steps: usize,
    ahead: &[f32],
    tile: &mut [[S::V; N]; M],
) {
    if steps == 0 {
        return;
    }
    let reach = rows.iter().fold(0, |most, row| most.max(*row));
    assert!(reach + (steps - 1) * stride < left.len());
    assert!(strip.len() >= steps * N * S::LANES);
    s.apart(Sums {
        left,
        rows,
        stride,
        strip,
        steps,
        ahead,
        tile,
    });
}

struct Sums<'a, S: Simd, const M: usize, const N: usize> {
    left: &'a [f32],
    rows: [usize; M],
    stride: usize,
    strip: &'a [f32],
    steps: usize,
    ahead: &'a [f32],
    tile: &'a mut [[S::V; N]; M],
}

impl<S: Simd, const M: usize, const N: usize> Part<S> for Sums<'_, S, M, N> {
    #[allow(unsafe_code, reason = "bounds are checked once, before the loop")]
    #[inline(always)]
    fn run(self, s: S) {
        // Copies, because values behind a reference would be read again after each `pin`.
        let (rows, stride) = (self.rows, self.stride);
        let mut sums = *self.tile;
        let mut line = 0;
        for step in 0..self.steps {
            // A line every other step.
            if step % 2 == 0 && line < self.ahead.len() {
                s.prefetch_far(self.ahead, line);
                line += LINE;
            }
            // SAFETY: `multiply` has checked the last step of the last row, and the last vector of the
            // strip.
            let (left, strip) = unsafe {
                (
                    self.left.get_unchecked(step * stride..),
                    self.strip.get_unchecked(step * N * S::LANES..),
                )
            };
            let mut vectors = [s.splat(0.0); N];
            for (j, vector) in vectors.iter_mut().enumerate() {
                let at = j * S::LANES;
                // SAFETY: as above.
                *vector = s.load(unsafe { strip.get_unchecked(at..at + S::LANES) });
            }
            for i in 0..M {
                // SAFETY: as above.
                let value = s.splat(unsafe { *left.get_unchecked(rows[i]) });
                for j in 0..N {
                    sums[i][j] = s.pin(s.mul_add(value, vectors[j], sums[i][j]));
                }
            }
        }
        *self.tile = sums;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wave(count: usize, speed: f64) -> Vec<f32> {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let value = |at: usize| ((at as f64 + 1.0) * speed).sin() as f32;
        (0..count).map(value).collect()
    }

    /// The product in `f64`.
    fn exact(left: Matrix<'_>, right: Matrix<'_>, start: impl Fn(usize, usize) -> f32) -> Vec<f64> {
        let mut out = Vec::new();
        for row in 0..left.rows() {
            for column in 0..right.columns() {
                let products = (0..left.columns())
                    .map(|k| f64::from(left.get(row, k)) * f64::from(right.get(k, column)));
                out.push(f64::from(start(row, column)) + products.sum::<f64>());
            }
        }
        out
    }

    #[allow(clippy::cast_precision_loss)]
    fn check(level: Level, [rows, inner, columns]: [usize; 3], turned: [bool; 2]) {
        let (a, b) = (wave(rows * inner, 1.37), wave(inner * columns, 2.11));
        let left = if turned[0] {
            Matrix::new(&a, [inner, rows]).transposed()
        } else {
            Matrix::new(&a, [rows, inner])
        };
        let right = if turned[1] {
            Matrix::new(&b, [columns, inner]).transposed()
        } else {
            Matrix::new(&b, [inner, columns])
        };
        let bias = wave(columns, 0.7);
        let before = wave(rows * columns, 0.3);
        let bound = 1e-6 * (inner as f64 + 1.0);
        let near = |found: &[f32], wanted: &[f64], what: &str| {
            for (found, wanted) in found.iter().zip(wanted) {
                assert!(
                    (f64::from(*found) - wanted).abs() < bound,
                    "{what} {rows}×{inner}×{columns} {turned:?}: {found} instead of {wanted}"
                );
            }
        };
        // SAFETY: all of the result is written.
        #[allow(unsafe_code)]
        let of = |start: Start<'_>, all: bool| unsafe {
            written(rows * columns, |out| {
                if let Start::Written = start {
                    out.write_copy_of_slice(&before);
                }
                if all {
                    parallel(level, left, right, start, out);
                } else {
                    alone(level, left, right, start, out);
                }
            })
        };
        for all in [false, true] {
            near(
                &of(Start::Zero, all),
                &exact(left, right, |_, _| 0.0),
                "zero",
            );
            let wanted = exact(left, right, |_, column| bias[column]);
            near(&of(Start::Row(&bias), all), &wanted, "row");
            let wanted = exact(left, right, |row, column| before[row * columns + column]);
            near(&of(Start::Written, all), &wanted, "written");
        }
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        if inner < LONG {
            assert_eq!(bits(of(Start::Zero, true)), bits(of(Start::Zero, false)));
        }
    }

    #[test]
    fn products_of_all_orders_agree_with_sums_of_f64() {
        for level in Level::all() {
            for sizes in [
                [1, 1, 1],
                [3, 5, 7],
                [64, 400, 130],
                [13, 193, 49],
                [130, 64, 5],
                [97, 384, 251],
                [5, 0, 7],
                [20, 9000, 40],
            ] {
                for turned in [[false, false], [true, false], [false, true], [true, true]] {
                    check(level, sizes, turned);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_of_any_size_agree(
            rows in 1_usize..150, inner in 1_usize..220, columns in 1_usize..150,
            turned: [bool; 2],
        ) {
            check(Level::best(), [rows, inner, columns], turned);
        }
    }

    #[test]
    fn a_part_of_a_matrix_can_be_multiplied() {
        let (a, b) = (wave(20 * 30, 1.37), wave(30 * 40, 2.11));
        let left = Matrix::new(&a, [20, 30])
            .some_columns(4, 25)
            .some_rows(3, 9);
        let right = Matrix::new(&b, [30, 40])
            .some_rows(2, 25)
            .some_columns(1, 33);
        let mut out = vec![MaybeUninit::new(0.0); 9 * 33];
        alone(Level::best(), left, right, Start::Zero, &mut out);
        for (found, wanted) in out.iter().zip(exact(left, right, |_, _| 0.0)) {
            // SAFETY: the buffer began with zeros.
            #[allow(unsafe_code)]
            let found = unsafe { found.assume_init() };
            assert!((f64::from(found) - wanted).abs() < 1e-4);
        }
    }
}
