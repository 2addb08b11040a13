//! Products of row-major matrices or their transposes, into buffers that are written once.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::memory::{values, written};

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

    /// A contiguous `f32` tensor `[rows, columns]`.
    ///
    /// # Panics
    ///
    /// If the tensor is not a matrix or is not contiguous `f32`.
    pub(crate) fn of(tensor: &'a FlexTensor) -> Self {
        let shape = tensor.layout().shape();
        Self::new(values(tensor), [shape[0], shape[1]])
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

    /// Computes `self · other`, row-major.
    ///
    /// # Panics
    ///
    /// If the inner sizes differ.
    pub(crate) fn times(self, other: Self) -> Vec<f32> {
        let len = self.rows() * other.columns();
        // SAFETY: `write` initialises the whole buffer.
        #[allow(unsafe_code)]
        unsafe {
            written(len, |out| self.write(other, out, self.parallel(other)))
        }
    }

    /// Computes `self · other` with `row` added to each row, row-major.
    ///
    /// # Panics
    ///
    /// If the sizes do not match.
    pub(crate) fn times_plus_row(self, other: Self, row: &[f32]) -> Vec<f32> {
        assert_eq!(row.len(), other.columns());
        // SAFETY: the rows are written first; `multiply` adds to them.
        #[allow(unsafe_code)]
        unsafe {
            written(self.rows() * row.len(), |out| {
                for out in out.chunks_exact_mut(row.len().max(1)) {
                    out.write_copy_of_slice(row);
                }
                self.multiply(other, out, true, self.parallel(other));
            })
        }
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
    fn parallel(self, other: Self) -> gemm::Parallelism {
        if self.rows() * self.columns() * other.columns() < 1 << 20 {
            gemm::Parallelism::None
        } else {
            gemm::Parallelism::Rayon(0)
        }
    }

    /// Computes `self · other` into `out`, row-major, on this thread alone.
    ///
    /// # Panics
    ///
    /// If the inner sizes differ.
    pub(crate) fn times_into(self, other: Self, out: &mut [f32]) {
        // SAFETY: initialised values may be viewed as `MaybeUninit`; `write` leaves them
        // initialised.
        #[allow(unsafe_code)]
        let out = unsafe { &mut *(std::ptr::from_mut(out) as *mut [MaybeUninit<f32>]) };
        self.write(other, out, gemm::Parallelism::None);
    }

    /// Adds `self · other` to `out`, row-major, on this thread alone.
    ///
    /// # Panics
    ///
    /// If the sizes do not match.
    pub(crate) fn add_into(self, other: Self, out: &mut [f32]) {
        // SAFETY: initialised values may be viewed as `MaybeUninit`; `multiply` leaves them
        // initialised.
        #[allow(unsafe_code)]
        let out = unsafe { &mut *(std::ptr::from_mut(out) as *mut [MaybeUninit<f32>]) };
        self.multiply(other, out, true, gemm::Parallelism::None);
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
        self.multiply(other, out, true, gemm::Parallelism::None);
    }

    /// Writes all of `out`.
    fn write(self, other: Self, out: &mut [MaybeUninit<f32>], parallel: gemm::Parallelism) {
        if self.columns() == 0 {
            out.fill(MaybeUninit::new(0.0));
        }
        self.multiply(other, out, false, parallel);
    }

    /// Writes all of `out`, or adds to it what has been written there; does nothing if the inner
    /// size is 0.
    fn multiply(
        self,
        other: Self,
        out: &mut [MaybeUninit<f32>],
        add: bool,
        parallel: gemm::Parallelism,
    ) {
        let ([m, k], [inner, n]) = (self.size, other.size);
        assert_eq!((k, out.len()), (inner, m * n));
        if k == 0 {
            return;
        }
        let [left, right] =
            [self.stride, other.stride].map(|stride| stride.map(usize::cast_signed));
        // SAFETY: `gemm` reads the two matrices by their sizes and strides, which are within their
        // slices (`new`, `strided`, `some_columns`), and writes all `m · n` values of the buffer. It
        // reads them only to add to them, when the callers have written them.
        #[allow(unsafe_code)]
        unsafe {
            gemm::gemm(
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

fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
