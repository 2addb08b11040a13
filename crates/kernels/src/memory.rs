//! Output buffers that are written without being zeroed first, and conversions between flex tensors
//! and slices.

use std::mem::MaybeUninit;

use burn::tensor::{DType, Shape, TensorData};
use burn_flex::FlexTensor;

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
        tensor.to_contiguous()
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
    tensor.to_contiguous()
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
