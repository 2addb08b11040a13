//! Products of row-major matrices or their transposes, into buffers that are written once.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::gemm::{self, Start};
use crate::bf16;
use crate::memory::{values, written};
use crate::precision;
use crate::simd::Level;

/// A matrix in a slice: its sizes, and the distances between its rows and its columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    stride: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A row-major matrix of size `[rows, columns]`.
    ///
    /// # Panics
    ///
    /// If the number of values does not match the size.
    pub(crate) fn new(values: &'a [f32], size: [usize; 2]) -> Self {
        assert_eq!(values.len(), size[0] * size[1]);
        Self {
            values,
            size,
            stride: [size[1], 1],
        }
    }

    /// A matrix of size `[rows, columns]` whose rows begin `stride` values apart.
    ///
    /// # Panics
    ///
    /// If there are fewer values.
    pub(crate) fn strided(values: &'a [f32], size: [usize; 2], stride: usize) -> Self {
        assert!(size[0] == 0 || (size[0] - 1) * stride + size[1] <= values.len());
        Self {
            values,
            size,
            stride: [stride, 1],
        }
    }

    /// A matrix of size `[rows, columns]` with these distances between its rows and between its columns.
    ///
    /// # Panics
    ///
    /// If there are fewer values.
    pub(crate) fn spaced(values: &'a [f32], size: [usize; 2], stride: [usize; 2]) -> Self {
        let last = |axis: usize| (size[axis].max(1) - 1) * stride[axis];
        assert!(size.contains(&0) || last(0) + last(1) < values.len());
        Self {
            values,
            size,
            stride,
        }
    }

    /// A contiguous `f32` tensor `[rows, columns]`.
    ///
    /// # Panics
    ///
    /// If the tensor is not a matrix or is not contiguous `f32`.
    pub(crate) fn of(tensor: &'a FlexTensor) -> Self {
        let shape = tensor.layout().shape();
        Self::new(values(tensor), [shape[0], shape[1]])
    }

    /// An `f32` tensor `[rows, columns]`, perhaps transposed or a part of another one; `None` if neither
    /// its rows nor its columns are contiguous.
    pub(super) fn seen(tensor: &'a FlexTensor) -> Option<Self> {
        let layout = tensor.layout();
        let (shape, strides) = (layout.shape(), layout.strides());
        let [down, right] =
            [strides.first()?, strides.get(1)?].map(|stride| usize::try_from(*stride));
        let (stride, size) = ([down.ok()?, right.ok()?], [shape[0], shape[1]]);
        let values = tensor.storage::<f32>().get(layout.start_offset()..)?;
        let last = |axis: usize| (size[axis].max(1) - 1) * stride[axis];
        let within = size[0] * size[1] == 0 || last(0) + last(1) < values.len();
        let contiguous = |axis: usize| stride[axis] == 1 || size[axis] == 1;
        (shape.num_dims() == 2 && within && (contiguous(0) || contiguous(1))).then_some(Self {
            values,
            size,
            stride,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.size[0]
    }

    pub(crate) fn columns(&self) -> usize {
        self.size[1]
    }

    pub(crate) fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.size, self.stride);
        Self {
            size: [columns, rows],
            stride: [right, down],
            ..self
        }
    }

    /// The `len` columns from `first` on.
    ///
    /// # Panics
    ///
    /// If the matrix has fewer columns.
    pub(crate) fn some_columns(self, first: usize, len: usize) -> Self {
        assert!(first + len <= self.size[1]);
        Self {
            values: self
                .values
                .get(first * self.stride[1]..)
                .unwrap_or_default(),
            size: [self.size[0], len],
            ..self
        }
    }

    /// The `len` rows from `first` on.
    ///
    /// # Panics
    ///
    /// If the matrix has fewer rows.
    pub(crate) fn some_rows(self, first: usize, len: usize) -> Self {
        self.transposed().some_columns(first, len).transposed()
    }

    /// The values from the first one of some rows and columns on, and the distances between rows and
    /// between columns.
    ///
    /// # Panics
    ///
    /// If the matrix has fewer rows or columns.
    pub(crate) fn part(
        self,
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> (&'a [f32], [usize; 2]) {
        assert!(rows.end <= self.size[0] && columns.end <= self.size[1]);
        let first = rows.start * self.stride[0] + columns.start * self.stride[1];
        (self.values.get(first..).unwrap_or_default(), self.stride)
    }

    #[cfg(test)]
    pub(crate) fn get(self, row: usize, column: usize) -> f32 {
        self.values[row * self.stride[0] + column * self.stride[1]]
    }

    /// Computes `self · other`, row-major.
    ///
    /// # Panics
    ///
    /// If the inner sizes differ.
    pub(crate) fn times(self, other: Self) -> Vec<f32> {
        let len = self.rows() * other.columns();
        // SAFETY: `multiply` initialises the whole buffer.
        #[allow(unsafe_code)]
        unsafe {
            written(len, |out| {
                self.multiply(other, Start::Zero, out, self.is_large(other));
            })
        }
    }

    /// Computes `self · other` with `row` added to each row, row-major.
    ///
    /// # Panics
    ///
    /// If the sizes do not match.
    pub(crate) fn times_plus_row(self, other: Self, row: &[f32]) -> Vec<f32> {
        assert_eq!(row.len(), other.columns());
        // SAFETY: `multiply` initialises the whole buffer.
        #[allow(unsafe_code)]
        unsafe {
            written(self.rows() * row.len(), |out| {
                self.multiply(other, Start::Row(row), out, self.is_large(other));
            })
        }
    }

    /// Computes the products with two matrices, row-major, in one pass over `self` if it is long enough.
    ///
    /// # Panics
    ///
    /// If the inner sizes differ.
    pub(crate) fn times_both(self, others: [Self; 2]) -> (Vec<f32>, Vec<f32>) {
        let level = Level::best();
        let ours = precision::unit().is_none() && !matches!(level, Level::Portable);
        if !(ours && gemm::is_long(self, others)) {
            return (self.times(others[0]), self.times(others[1]));
        }
        let mut second = Vec::new();
        // SAFETY: `long` writes both results.
        #[allow(unsafe_code)]
        let first = unsafe {
            written(self.rows() * others[0].columns(), |one| {
                second = written(self.rows() * others[1].columns(), |two| {
                    gemm::long(
                        level,
                        self,
                        &mut [(others[0], Start::Zero, one), (others[1], Start::Zero, two)],
                    );
                });
            })
        };
        (first, second)
    }

    /// The sum of each column. Rows are added in groups of a fixed size, so that the order does not
    /// depend on the number of threads.
    pub(crate) fn column_sums(self) -> Vec<f32> {
        const ROWS: usize = 64;
        let ([rows, columns], [stride, _]) = (self.size, self.stride);
        let parts: Vec<Vec<f32>> = (0..rows.div_ceil(ROWS))
            .into_par_iter()
            .map(|part| {
                let mut sums = vec![0.0; columns];
                for row in part * ROWS..rows.min((part + 1) * ROWS) {
                    add(&mut sums, &self.values[row * stride..][..columns]);
                }
                sums
            })
            .collect();
        let mut sums = vec![0.0; columns];
        for part in &parts {
            add(&mut sums, part);
        }
        sums
    }

    /// Small products are not worth a second thread.
    fn is_large(self, other: Self) -> bool {
        self.rows() * self.columns() * other.columns() >= 1 << 20
    }

    /// Computes `self · other` into `out`, row-major, on this thread alone.
    ///
    /// # Panics
    ///
    /// If the inner sizes differ.
    pub(crate) fn times_into(self, other: Self, out: &mut [f32]) {
        self.multiply(other, Start::Zero, uninitialised(out), false);
    }

    /// Adds `self · other` to `out`, row-major, on this thread alone.
    ///
    /// # Panics
    ///
    /// If the sizes do not match.
    pub(crate) fn add_into(self, other: Self, out: &mut [f32]) {
        self.multiply(other, Start::Written, uninitialised(out), false);
    }

    /// Computes `base + self · other` into `out`, row-major, on this thread alone; writes all of
    /// `out`.
    ///
    /// # Panics
    ///
    /// If the sizes do not match.
    pub(crate) fn times_plus(self, other: Self, base: &[f32], out: &mut [MaybeUninit<f32>]) {
        assert_eq!(base.len(), out.len());
        out.write_copy_of_slice(base);
        self.multiply(other, Start::Written, out, false);
    }

    /// Computes `start + self · other`; writes all of `out`.
    fn multiply(self, other: Self, start: Start<'_>, out: &mut [MaybeUninit<f32>], parallel: bool) {
        if let Some(unit) = precision::unit()
            && bf16::product_fits(self, other)
        {
            bf16::multiply(unit, (self, other), start, out, parallel);
            return;
        }
        let level = Level::best();
        // The `gemm` crate knows the instructions of other processors than x86, and is a little faster for
        // small products. It has no limit to its instructions.
        let elsewhere = match level {
            Level::Portable => !cfg!(target_arch = "x86_64"),
            _ => !parallel && level.is_widest(),
        };
        if elsewhere {
            self.elsewhere(other, start, out, parallel);
        } else if parallel {
            gemm::parallel(level, self, other, start, out);
        } else {
            gemm::alone(level, self, other, start, out);
        }
    }

    /// The same with the `gemm` crate.
    fn elsewhere(
        self,
        other: Self,
        start: Start<'_>,
        out: &mut [MaybeUninit<f32>],
        parallel: bool,
    ) {
        let ([m, k], [inner, n]) = (self.size, other.size);
        assert_eq!((k, out.len()), (inner, m * n));
        let add = !matches!(start, Start::Zero);
        match start {
            Start::Zero if k == 0 => out.fill(MaybeUninit::new(0.0)),
            Start::Row(row) => {
                for out in out.chunks_exact_mut(row.len().max(1)) {
                    out.write_copy_of_slice(row);
                }
            }
            Start::Zero | Start::Written => {}
        }
        if k == 0 {
            return;
        }
        let parallel = if parallel {
            ::gemm::Parallelism::Rayon(0)
        } else {
            ::gemm::Parallelism::None
        };
        let [left, right] =
            [self.stride, other.stride].map(|stride| stride.map(usize::cast_signed));
        // SAFETY: `gemm` reads the two matrices by their sizes and strides, which are within their
        // slices (`new`, `strided`, `some_columns`), and writes all `m · n` values of the buffer. It
        // reads them only to add to them, when they have been written.
        #[allow(unsafe_code)]
        unsafe {
            ::gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr().cast::<f32>(),
                1,
                n.cast_signed(),
                add,
                self.values.as_ptr(),
                left[1],
                left[0],
                other.values.as_ptr(),
                right[1],
                right[0],
                if add { 1.0 } else { 0.0 },
                1.0,
                false,
                false,
                false,
                parallel,
            );
        }
    }
}

/// Initialised values as places that are written.
fn uninitialised(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: initialised values may be viewed as `MaybeUninit`; `multiply` leaves them initialised.
    #[allow(unsafe_code)]
    unsafe {
        &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>])
    }
}

fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
