//! Output buffers that are written without being zeroed first, and conversions between flex tensors
//! and slices.

use std::mem::MaybeUninit;

use burn::tensor::{DType, Shape, TensorData};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::conv::transpose::Transpose;
use crate::simd::Level;

/// The fewest values that several threads rearrange.
const MANY: usize = 1 << 14;

/// Rows of a transposed matrix per task: whole cache lines of the matrix.
const ROWS: usize = 32;

/// Allocates a buffer of `len` values, which `write` initialises.
///
/// # Safety
///
/// `write` must initialise every element before it returns.
#[allow(
    unsafe_code,
    reason = "a buffer that is not zeroed before it is written"
)]
pub(crate) unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    let places = &mut values.spare_capacity_mut()[..len];
    if cfg!(test) {
        // Lets a test notice values that a kernel does not write.
        places.fill(MaybeUninit::new(f32::NAN));
    }
    write(places);
    // SAFETY: the capacity is at least `len`, and the caller wrote that many elements.
    unsafe { values.set_len(len) };
    values
}

/// Whether all tensors hold `f32`, the only type that the kernels support.
pub(crate) fn are_f32<'a>(tensors: impl IntoIterator<Item = &'a FlexTensor>) -> bool {
    tensors
        .into_iter()
        .all(|tensor| tensor.dtype() == DType::F32)
}

/// The same tensor in row-major order; copied only if it is not contiguous.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        rearranged(&tensor)
    }
}

/// A copy in row-major order.
fn rearranged(tensor: &FlexTensor) -> FlexTensor {
    match Transposed::of(tensor) {
        Some(matrices) if tensor.layout().num_elements() >= MANY => {
            self::tensor(matrices.rearrange(), tensor.layout().shape().clone())
        }
        _ => tensor.to_contiguous(),
    }
}

/// Matrices that are stored row by row and seen column by column, as images are whose channels are moved to the
/// end or back.
struct Transposed<'a> {
    values: &'a [f32],
    count: usize,
    /// Distance between matrices.
    distance: usize,
    /// Rows and columns of a stored matrix.
    size: [usize; 2],
    /// Distance between its rows.
    stride: usize,
}

impl<'a> Transposed<'a> {
    fn of(tensor: &'a FlexTensor) -> Option<Self> {
        if !are_f32([tensor]) {
            return None;
        }
        let layout = tensor.layout();
        // Lengths and distances of axes, of which adjacent ones that are one in memory are joined.
        let mut axes: Vec<[usize; 2]> = Vec::new();
        for (&len, &stride) in layout.shape().iter().zip(layout.strides()) {
            let stride = usize::try_from(stride).ok()?;
            match axes.last_mut() {
                _ if len == 1 => {}
                Some([before, apart]) if *apart == stride * len => {
                    *before *= len;
                    *apart = stride;
                }
                _ => axes.push([len, stride]),
            }
        }
        let ([count, distance], [columns, one], [rows, stride]) = match *axes {
            [columns, rows] => ([1, 0], columns, rows),
            [matrices, columns, rows] => (matrices, columns, rows),
            _ => return None,
        };
        let values = tensor.storage::<f32>().get(layout.start_offset()..)?;
        let last = (count - 1) * distance + (rows - 1) * stride + columns;
        (one == 1 && columns <= stride && last <= values.len()).then_some(Self {
            values,
            count,
            distance,
            size: [rows, columns],
            stride,
        })
    }

    fn rearrange(&self) -> Vec<f32> {
        let [rows, columns] = self.size;
        let level = Level::best();
        let write = |out: &mut [MaybeUninit<f32>]| {
            let matrices = out.par_chunks_exact_mut(rows * columns).enumerate();
            matrices.for_each(|(matrix, out)| {
                let source = &self.values[matrix * self.distance..];
                let parts = out.par_chunks_mut(ROWS * rows).enumerate();
                parts.for_each(|(part, out)| {
                    level.run(Transpose {
                        source: &source[part * ROWS..],
                        rows,
                        columns: out.len() / rows,
                        stride: self.stride,
                        out,
                        out_stride: rows,
                        ahead: 0,
                    });
                });
            });
        };
        // SAFETY: the parts cover all rows of all matrices, and each writes all of its rows.
        #[allow(unsafe_code, reason = "a copy is written once, not zeroed first")]
        unsafe {
            written(self.count * rows * columns, write)
        }
    }
}

/// The same tensor in row-major order and in a buffer of its own, so that its storage is its
/// values; copied only if necessary.
pub(crate) fn whole(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let bytes = layout.num_elements() * tensor.dtype().size();
    if layout.is_contiguous() && layout.start_offset() == 0 && tensor.bytes().len() == bytes {
        return tensor;
    }
    rearranged(&tensor)
}

/// The values of a [`contiguous`] `f32` tensor.
///
/// # Panics
///
/// If the tensor is not contiguous or does not hold `f32`.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// Makes a tensor of values in row-major order.
///
/// # Panics
///
/// If the number of values is not that of the shape.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    let shape = shape.into();
    assert_eq!(values.len(), shape.num_elements());
    let data = TensorData::new(values, shape.clone());
    debug_assert_eq!(data.dtype(), DType::F32);
    FlexTensor::from_data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rearranges `0, 1, 2, …` of a shape, and compares with Burn's copy.
    fn check<const D: usize>(shape: [usize; D], axes: [usize; D], is_transposed: bool) {
        let count: usize = shape.iter().product();
        #[allow(clippy::cast_precision_loss)]
        let values = (0..count).map(|value| value as f32).collect();
        let permuted = tensor(values, shape).permute(&axes);
        let wanted = permuted.to_contiguous();
        assert_eq!(
            Transposed::of(&permuted).is_some(),
            is_transposed,
            "{shape:?} {axes:?}"
        );
        if let Some(matrices) = Transposed::of(&permuted) {
            let found = matrices.rearrange();
            assert_eq!(found, super::values(&wanted), "{shape:?} {axes:?}");
        }
        let found = contiguous(permuted);
        assert_eq!(found.layout().shape(), wanted.layout().shape());
        assert_eq!(super::values(&found), super::values(&wanted));
    }

    #[test]
    fn images_with_other_axes_last_are_rearranged() {
        for [batch, channels, height, width] in [
            [2, 96, 14, 14],
            [1, 3, 5, 7],
            [3, 33, 9, 65],
            [2, 1, 4, 4],
            [5, 17, 1, 1],
        ] {
            let several = channels > 1 && height * width > 1;
            check([batch, channels, height, width], [0, 2, 3, 1], several);
            check([batch, height, width, channels], [0, 3, 1, 2], several);
        }
        check([130, 200], [1, 0], true);
        // The order of the matrices themselves changes.
        check([4, 5, 6], [2, 1, 0], false);
        check([4, 5, 6, 7], [1, 3, 0, 2], false);
    }
}
