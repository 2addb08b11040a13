//! A layer with factors as an operation of a backend.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata, backend_extension};
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;
use burn_flex::FlexTensor;

use super::{Order, conv, linear, matrices};
use crate::conv::{Bias, ConvBackend};
use crate::memory::are_f32;

/// A backend's layers with factors; by default with its ordinary products.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait AdaptedBackend: ConvBackend {
    /// The convolution of `x` with `weight + b·a`, plus `bias`.
    fn adapted_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
        options: ConvOptions<2>,
        order: Order,
    ) -> FloatTensor<Self> {
        let _ = order; // concerns gradients alone
        let weight = merged::<Self>(weight, a, b, options.groups);
        Self::convolution(x, weight, bias, options)
    }

    /// The product of `x` `[rows, in]` and `weight + (b·a)ᵀ` `[in, out]`.
    fn adapted_product(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        order: Order,
    ) -> FloatTensor<Self> {
        let _ = order;
        let weight = linear::merged::<Self>(weight, a, b);
        Self::matrix_product(x, false, weight, false, 1)
    }

    /// `base + left·right`, group by group: `[groups · m, n]`, `[groups · m, k]`, `[groups · k, n]`.
    fn matrix_sum(
        base: FloatTensor<Self>,
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self> {
        matrices::sum::<Self>(base, left, right, groups)
    }

    /// The product of two matrices or their transposes, group by group; each has the rows of all
    /// groups.
    fn matrix_product(
        left: FloatTensor<Self>,
        left_transposed: bool,
        right: FloatTensor<Self>,
        right_transposed: bool,
        groups: usize,
    ) -> FloatTensor<Self> {
        matrices::product::<Self>((left, left_transposed), (right, right_transposed), groups)
    }
}

/// `weight + b·a` in the shape of a convolution's weight.
pub(super) fn merged<B: AdaptedBackend>(
    weight: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    groups: usize,
) -> FloatTensor<B> {
    let shape = weight.shape();
    let [outputs, seen, height, width] = shape.dims();
    let matrix = B::float_reshape(weight, Shape::new([outputs, seen * height * width]));
    B::float_reshape(B::matrix_sum(matrix, b, a, groups), shape)
}

#[cfg(feature = "ndarray")]
impl AdaptedBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl AdaptedBackend for burn::backend::Cube {}

impl AdaptedBackend for Flex {
    fn matrix_sum(
        base: FlexTensor,
        left: FlexTensor,
        right: FlexTensor,
        groups: usize,
    ) -> FlexTensor {
        if are_f32([&base, &left, &right]) {
            matrices::flex_sum(base, left, right, groups)
        } else {
            matrices::sum::<Self>(base, left, right, groups)
        }
    }

    fn matrix_product(
        left: FlexTensor,
        left_transposed: bool,
        right: FlexTensor,
        right_transposed: bool,
        groups: usize,
    ) -> FlexTensor {
        let (left, right) = ((left, left_transposed), (right, right_transposed));
        if are_f32([&left.0, &right.0]) {
            matrices::flex_product(left, right, groups)
        } else {
            matrices::product::<Self>(left, right, groups)
        }
    }
}

impl<B: AdaptedBackend, C: CheckpointStrategy> AdaptedBackend for Autodiff<B, C> {
    fn adapted_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        bias: Bias<Self>,
        options: ConvOptions<2>,
        order: Order,
    ) -> FloatTensor<Self> {
        if weight.is_tracked() {
            // Its gradient is needed as well: that of an ordinary sum.
            let weight = merged::<Self>(weight, a, b, options.groups);
            return Self::convolution(x, weight, bias, options);
        }
        conv::tracked::<B, C>([x, weight, a, b], bias, options, order)
    }

    fn adapted_product(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        order: Order,
    ) -> FloatTensor<Self> {
        if weight.is_tracked() {
            let weight = linear::merged::<Self>(weight, a, b);
            return Self::float_matmul(x, weight);
        }
        linear::tracked::<B, C>([x, weight, a, b], order)
    }
}
