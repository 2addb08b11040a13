//! Products of matrices in row order, or of their transposes, into buffers that are written once.

use crate::memory::written;

/// A matrix in a slice: its sizes, and how far apart its rows and columns are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    stride: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row after row.
    ///
    /// # Panics
    ///
    /// Where there are not as many values.
    pub(super) fn new(values: &'a [f32], size: [usize; 2]) -> Self {
        assert_eq!(values.len(), size[0] * size[1]);
        Self {
            values,
            size,
            stride: [size[1], 1],
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.size[0]
    }

    pub(super) fn columns(&self) -> usize {
        self.size[1]
    }

    pub(super) fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.size, self.stride);
        Self {
            size: [columns, rows],
            stride: [right, down],
            ..self
        }
    }

    /// `self · other`, row after row.
    ///
    /// # Panics
    ///
    /// Where the sizes do not meet.
    pub(super) fn times(self, other: Self) -> Vec<f32> {
        let ([m, k], [inner, n]) = (self.size, other.size);
        assert_eq!(k, inner);
        if k == 0 {
            return vec![0.0; m * n];
        }
        let [left, right] =
            [self.stride, other.stride].map(|stride| stride.map(usize::cast_signed));
        let parallel = if m * n * k < 1 << 20 {
            gemm::Parallelism::None
        } else {
            gemm::Parallelism::Rayon(0)
        };
        // SAFETY: `gemm` reads the two matrices by their sizes and strides, which `new` has checked
        // against their slices, and writes all `m · n` values of the buffer without reading them
        // (`read_dst` is false); so the whole buffer is written.
        #[allow(unsafe_code)]
        unsafe {
            written(m * n, |out| {
                gemm::gemm(
                    m,
                    n,
                    k,
                    out.as_mut_ptr().cast::<f32>(),
                    1,
                    n.cast_signed(),
                    false,
                    self.values.as_ptr(),
                    left[1],
                    left[0],
                    other.values.as_ptr(),
                    right[1],
                    right[0],
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallel,
                );
            })
        }
    }
}
