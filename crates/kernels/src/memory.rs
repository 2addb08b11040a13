//! Output buffers that are written once, not zeroed first, and Burn's flex tensors as slices.

use std::mem::MaybeUninit;

use burn::tensor::{DType, Shape, TensorData};
use burn_flex::FlexTensor;

/// A buffer of `len` values, every one of them written by `write`.
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
        // What a kernel forgets to write, a test sees.
        places.fill(MaybeUninit::new(f32::NAN));
    }
    write(places);
    // SAFETY: the capacity is at least `len`, and the caller wrote that many elements.
    unsafe { values.set_len(len) };
    values
}

/// Whether all of these hold `f32`; the kernels compute nothing else.
pub(crate) fn are_f32<'a>(tensors: impl IntoIterator<Item = &'a FlexTensor>) -> bool {
    tensors
        .into_iter()
        .all(|tensor| tensor.dtype() == DType::F32)
}

/// The same tensor with its values in row-major order; copies only where they are not.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The same tensor in row-major order in a buffer that holds nothing else, so that its storage is
/// its values; copies only where it is not.
pub(crate) fn whole(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let bytes = layout.num_elements() * tensor.dtype().size();
    if layout.is_contiguous() && layout.start_offset() == 0 && tensor.bytes().len() == bytes {
        return tensor;
    }
    tensor.to_contiguous()
}

/// The values of a [`contiguous`] tensor of `f32`.
///
/// # Panics
///
/// Where it is not contiguous, or holds something else.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// A tensor of these values in row-major order.
///
/// # Panics
///
/// Where the shape has another number of elements.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    let shape = shape.into();
    assert_eq!(values.len(), shape.num_elements());
    let data = TensorData::new(values, shape.clone());
    debug_assert_eq!(data.dtype(), DType::F32);
    FlexTensor::from_data(data)
}
