//! One task of a product: packing, and the order of the tiles.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::Start;
use super::tiles::{Ahead, GROUP, Left, Tiles, tiles};
use crate::conv::product::{Block, tiled};
use crate::conv::transpose::Transpose;
use crate::linear::product::Matrix;
use crate::simd::{Kernel, Simd};

/// The most of the inner size that is worked through at a time: each time, the result is read and written
/// once more.
const INNER: usize = 384;

/// Number of values of the right matrix that are packed at a time: they stay in the second-level cache.
const PANEL: usize = 96 * 1024;

/// Rows of the left matrix that are multiplied with the packed values at a time: they stay in the
/// second-level cache as well.
const ROWS: usize = 8 * GROUP;

/// Rows in advance that are prefetched when the right matrix is packed.
const AHEAD: usize = 4;

thread_local! {
    /// Memory for packed panels, which a thread reuses.
    static PANELS: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// One task: some rows and columns of a product.
pub(super) struct Task<'a, 'o> {
    pub(super) left: Matrix<'a>,
    pub(super) right: Matrix<'a>,
    pub(super) start: Start<'a>,
    /// The blocks of the columns, whose starts count from the first column of the whole product.
    pub(super) blocks: &'a [Block],
    /// The first column.
    pub(super) first: usize,
    /// The places of each row.
    pub(super) out: &'a mut [&'o mut [MaybeUninit<f32>]],
}

impl Kernel for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        PANELS.with_borrow_mut(|(right, left)| self.compute(s, right, left));
    }
}

impl Task<'_, '_> {
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
        let most = (PANEL / width.max(1)).clamp(INNER / 4, INNER);
        let some_inner = inner.div_ceil(inner.div_ceil(most).max(1)).max(1);
        for from in (0..inner.max(1)).step_by(some_inner) {
            let steps = from..inner.min(from + some_inner);
            panel.resize(width * steps.len().max(1), 0.0);
            self.pack(s, steps.clone(), panel);
            let next = steps.end..inner.min(steps.end + some_inner);
            let mut ahead = Ahead::new(self.right, next, self.tiles());
            for first in (0..rows).step_by(ROWS) {
                let some = first..rows.min(first + ROWS);
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
