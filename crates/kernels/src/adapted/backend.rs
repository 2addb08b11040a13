//! A layer with factors as an operation of a backend.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Capture, Flex, TensorMetadata, backend_extension};
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;
use burn_flex::FlexTensor;

use super::{Form, conv, linear, matrices};
use crate::conv::{Bias, ConvBackend};
use crate::memory::are_f32;

/// A backend's layers with factors; by default with its ordinary products.
#[backend_extension(Flex, Capture, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait AdaptedBackend: ConvBackend {
    /// The convolution of `x` with `weight + b·a`, plus `bias`.
    fn adapted_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
        options: ConvOptions<2>,
        form: Form,
    ) -> FloatTensor<Self> {
        match form {
            Form::Factored => conv::factored::<Self>([x, weight, a, b], bias, options).0,
            Form::Merged(_) => {
                let weight = merged::<Self>(weight, a, b, options.groups);
                Self::convolution(x, weight, bias, options)
            }
        }
    }

    /// The product of `x` `[rows, in]` and `weight + (b·a)ᵀ` `[in, out]`.
    fn adapted_product(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        match form {
            Form::Factored => linear::factored::<Self>([x, weight, a, b]).0,
            Form::Merged(_) => {
                let weight = linear::merged::<Self>(weight, a, b);
                Self::matrix_product(x, false, weight, false, 1)
            }
        }
    }

    /// The convolution of `x` with `weight`, plus `bias`, and its convolution with `beside`, which sees
    /// the same pixels.
    fn convolutions(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        beside: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
        options: ConvOptions<2>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        crate::conv::pair::<Self>(x, [weight, beside], bias, options)
    }

    /// The products of `x` `[rows, in]` with `weight` `[in, out]` and with the transpose of `beside`
    /// `[columns, in]`.
    fn matrix_products(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        beside: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        matrices::products::<Self>(x, weight, beside)
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

impl AdaptedBackend for Capture {}

impl AdaptedBackend for Flex {
    fn convolutions(
        x: FlexTensor,
        weight: FlexTensor,
        beside: FlexTensor,
        bias: Bias<Self>,
        options: ConvOptions<2>,
    ) -> (FlexTensor, FlexTensor) {
        crate::conv::flex_pair(x, [weight, beside], bias, options)
    }

    fn matrix_products(
        x: FlexTensor,
        weight: FlexTensor,
        beside: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        if are_f32([&x, &weight, &beside]) {
            matrices::flex_products(x, weight, beside)
        } else {
            matrices::products::<Self>(x, weight, beside)
        }
    }

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
        form: Form,
    ) -> FloatTensor<Self> {
        if weight.is_tracked() {
            // Its gradient is needed as well: that of an ordinary sum.
            let weight = merged::<Self>(weight, a, b, options.groups);
            return Self::convolution(x, weight, bias, options);
        }
        conv::tracked::<B, C>([x, weight, a, b], bias, &options, form)
    }

    fn adapted_product(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        if weight.is_tracked() {
            let weight = linear::merged::<Self>(weight, a, b);
            return Self::float_matmul(x, weight);
        }
        linear::tracked::<B, C>([x, weight, a, b], form)
    }
}
