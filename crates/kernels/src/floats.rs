//! The values of a tensor in host memory.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use burn::Tensor;
use burn::backend::Flex;
use burn_flex::FlexTensor;

use crate::memory::{are_f32, values, whole};

/// Values in row-major order: a vector, or the memory of a flex tensor, which is shared instead of
/// copied. Clones share the values as well.
///
/// While the memory of a tensor is shared, an operation that would change the tensor in place
/// changes a copy.
#[derive(Clone)]
pub struct Floats(Held);

#[derive(Clone)]
enum Held {
    Own(Arc<Vec<f32>>),
    Shared(FlexTensor),
}

impl Floats {
    /// The values of a tensor of any rank, converted to `f32` and detached from its autodiff graph.
    #[must_use]
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let tensor = tensor.inner();
        match tensor.clone().try_into_primitive::<Flex>() {
            Ok(tensor) if are_f32([&tensor]) => Self(Held::Shared(whole(tensor))),
            _ => {
                let data = tensor.into_data();
                // Allocated at once: a growing vector would reserve up to twice the memory.
                let mut values = Vec::with_capacity(data.num_elements());
                values.extend(data.iter::<f32>());
                values.into()
            }
        }
    }

    /// The values as little-endian bytes; copied only on big-endian machines.
    #[must_use]
    pub fn to_le_bytes(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return bytemuck::cast_slice(self).into();
        }
        let bytes = self.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect::<Vec<u8>>().into()
    }

    /// The values as a mutable vector; copied first if they are shared.
    pub fn to_mut(&mut self) -> &mut Vec<f32> {
        if let Held::Shared(tensor) = &self.0 {
            self.0 = Held::Own(Arc::new(values(tensor).to_vec()));
        }
        match &mut self.0 {
            Held::Own(values) => Arc::make_mut(values),
            Held::Shared(_) => unreachable!("made a vector above"),
        }
    }

    /// The values as a vector; copied if they are shared.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        match self.0 {
            Held::Own(values) => Arc::unwrap_or_clone(values),
            Held::Shared(tensor) => values(&tensor).to_vec(),
        }
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Held::Own(values) => values,
            Held::Shared(tensor) => values(tensor),
        }
    }
}

impl From<Vec<f32>> for Floats {
    fn from(values: Vec<f32>) -> Self {
        Self(Held::Own(Arc::new(values)))
    }
}

impl FromIterator<f32> for Floats {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        Vec::from_iter(values).into()
    }
}

impl PartialEq for Floats {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Floats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    fn tensor(device: &Device) -> Tensor<2> {
        let data = TensorData::new(vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
        Tensor::from_data(data, device)
    }

    #[test]
    fn numbers_are_in_row_order_for_every_device_and_type() {
        let devices = [
            Device::flex(),
            Device::flex().autodiff(),
            #[cfg(feature = "ndarray")]
            Device::ndarray(),
        ];
        for device in devices {
            let tensor = tensor(&device);
            assert_eq!(*Floats::of(tensor.clone()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            let turned = tensor.clone().transpose();
            assert_eq!(*Floats::of(turned), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
            let row = tensor.clone().slice([1..2, 0..3]);
            assert_eq!(Floats::of(row).into_vec(), [4.0, 5.0, 6.0]);
            let double = Floats::of(tensor.cast(DType::F64));
            assert_eq!(*double, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        }
    }

    #[test]
    fn the_memory_of_a_tensor_is_borrowed_and_does_not_change() {
        let tensor = tensor(&Device::flex());
        let (first, second) = (Floats::of(tensor.clone()), Floats::of(tensor.clone()));
        assert_eq!(first.as_ptr(), second.as_ptr());
        let changed = tensor + 1.0;
        assert_eq!(first[..1], [1.0]);
        assert_eq!(Floats::of(changed)[..1], [2.0]);
        assert_eq!(first, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0].into());
        let mut own = first.clone();
        own.to_mut()[5] = -2.0;
        assert_eq!((&first[5..], &own[5..]), (&[6.0][..], &[-2.0][..]));
        assert_eq!(own.to_le_bytes()[20..], [0, 0, 0, 0xc0]);
    }
}
